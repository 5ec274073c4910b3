//! The notice that precedes a window.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::maintenance::Plan;

/// `Scheduled-Maintenance: @1767225600;until=@1767229200;mode=full`.
pub const SCHEDULED_MAINTENANCE: HeaderName = HeaderName::from_static("scheduled-maintenance");
/// RFC 8594: the time from which on a resource is expected to be gone.
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Adds the notice to an answer before the window.
pub(super) fn write_notice(headers: &mut HeaderMap, plan: &Plan, status_page: Option<&str>) {
    let (name, value) = if plan.is_for_good() {
        (SUNSET, httpdate::fmt_http_date(plan.begin))
    } else {
        let until = plan.end.map_or_else(String::new, |end| format!(";until={}", date(end)));
        let mode = plan.extent.name();
        (SCHEDULED_MAINTENANCE, format!("{}{until};mode={mode}", date(plan.begin)))
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(name, value);
    }
    if let Some(page) = plan.status_page.as_deref().or(status_page)
        && let Ok(link) = HeaderValue::from_str(&format!("<{page}>; rel=\"status\""))
    {
        headers.append(LINK, link);
    }
}

/// A Date (RFC 9651 3.3.7).
fn date(time: SystemTime) -> String {
    format!("@{}", time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
