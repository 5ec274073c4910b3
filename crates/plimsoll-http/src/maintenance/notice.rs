//! The notice that precedes a window.

use core::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::maintenance::Plan;
use crate::refusal::Face;
use crate::rule::Settle;

/// `Scheduled-Maintenance: @1767225600;until=@1767229200;mode=full`.
pub const SCHEDULED_MAINTENANCE: HeaderName = HeaderName::from_static("scheduled-maintenance");
/// RFC 8594: the time from which on a resource is expected to be gone.
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// What is added to an answer before the window.
pub struct Notice {
    pub(super) plan: Arc<Plan>,
    pub(super) face: Arc<dyn Face>,
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Settle for Notice {
    fn settle<R, E>(self, mut answer: Result<Response<R>, E>) -> Result<Response<R>, E> {
        if let Ok(response) = &mut answer {
            self.write(response.headers_mut());
        }
        answer
    }
}

impl Notice {
    fn write(&self, headers: &mut HeaderMap) {
        let (name, value) = self.field();
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
        if let Some(page) = self.plan.status_page.as_deref().or_else(|| self.face.status_page())
            && let Ok(link) = HeaderValue::from_str(&format!("<{page}>; rel=\"status\""))
        {
            headers.append(LINK, link);
        }
    }

    fn field(&self) -> (HeaderName, String) {
        let Plan { begin, end, extent, .. } = &*self.plan;
        if self.plan.is_for_good() {
            return (SUNSET, httpdate::fmt_http_date(*begin));
        }
        let until = end.map_or_else(String::new, |end| format!(";until={}", date(end)));
        (SCHEDULED_MAINTENANCE, format!("{}{until};mode={}", date(*begin), extent.name()))
    }
}

/// A Date (RFC 9651 3.3.7).
fn date(time: SystemTime) -> String {
    format!("@{}", time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
