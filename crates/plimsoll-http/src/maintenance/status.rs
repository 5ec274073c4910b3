//! The status document that `Link: rel="status"` leads to.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response};
use serde_json::{Value, json};

use crate::maintenance::{Announced, Maintenance, Phase, Plan, message};
use crate::refusal::{escaped, preferred};

/// How the service is, in the words of the status pages that dashboards read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Indicator {
    /// As it should be.
    Operational,
    /// Some requests are refused or slow.
    Degraded,
    /// Most are.
    Overloaded,
    /// None can be served.
    Down,
}

impl Indicator {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Operational => ("none", "operational"),
            Self::Degraded => ("minor", "some requests are refused"),
            Self::Overloaded => ("major", "overloaded: requests are refused"),
            Self::Down => ("critical", "not available"),
        }
    }
}

/// The document: a page for whoever prefers one, else JSON in the shape of the
/// public status pages' `summary.json` (`status.indicator`,
/// `scheduled_maintenances`). It tells nothing that a refusal would not.
pub fn status_document<B: From<Bytes>>(
    name: &str,
    indicator: Indicator,
    maintenance: &Maintenance,
    now: SystemTime,
    headers: &HeaderMap,
) -> Response<B> {
    let current = maintenance.current(now);
    let (indicator, description) = match &current {
        Some((announced, Phase::InForce(_))) => ("maintenance", message(&announced.plan)),
        _ => {
            let (indicator, description) = indicator.words();
            (indicator, description.to_owned())
        }
    };
    let is_page = preferred(headers).is_some_and(|media| media == "text/html");
    let (content_type, body) = if is_page {
        ("text/html; charset=utf-8", page(name, &description, current.as_ref()))
    } else {
        let body = json!({
            "page": { "name": name, "updated_at": humantime::format_rfc3339_seconds(now).to_string() },
            "status": { "indicator": indicator, "description": description },
            "scheduled_maintenances": current.iter().map(listed).collect::<Vec<_>>(),
        });
        ("application/json", format!("{body}\n"))
    };
    let mut response = Response::new(B::from(body.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn listed((announced, phase): &(Arc<Announced>, Phase)) -> Value {
    let Plan { begin, end, reason, .. } = &*announced.plan;
    let time = |time| humantime::format_rfc3339_seconds(time).to_string();
    json!({
        "name": &**reason,
        "status": if matches!(phase, Phase::Ahead(_)) { "scheduled" } else { "in_progress" },
        "impact": "maintenance",
        "mode": announced.plan.extent.name(),
        "scheduled_for": time(*begin),
        "scheduled_until": end.map(time),
    })
}

fn page(name: &str, description: &str, current: Option<&(Arc<Announced>, Phase)>) -> String {
    let name = escaped(name);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{name}: status\
         </title>\n<h1>{name}</h1>\n<p>{}</p>\n",
        escaped(description)
    );
    if let Some((announced, Phase::Ahead(_))) = current {
        let begin = humantime::format_rfc3339_seconds(announced.plan.begin);
        let message = escaped(&message(&announced.plan));
        html.push_str(&format!("<p>Announced: from {begin} {message}</p>\n"));
    }
    html.push_str("</html>\n");
    html
}
