//! A window in words.

use humantime::format_rfc3339_seconds;
use plimsoll::maintenance::{Extent, Plan};
use serde_json::{Value, json};

/// One sentence for people.
pub(crate) fn message(plan: &Plan) -> String {
    let mut message = match plan.extent {
        Extent::Full => "closed for maintenance".to_owned(),
        Extent::Writes => "writes are closed for maintenance, reads go on".to_owned(),
        Extent::Percentage(share) => {
            format!("{share} of 100 requests are refused for maintenance")
        }
        Extent::Retired => "retired: this service does not come back".to_owned(),
    };
    if let Some(end) = plan.end {
        message.push_str(&format!(", until {}", format_rfc3339_seconds(end)));
    }
    if !plan.reason.is_empty() {
        message.push_str(&format!(" ({})", plan.reason));
    }
    message.push_str("; nothing was executed");
    message
}

/// The same for programs.
pub(crate) fn describe(plan: &Plan) -> Value {
    let mut described = json!({
        "mode": plan.extent.name(),
        "begin": format_rfc3339_seconds(plan.begin).to_string(),
        "end": plan.end.map(|end| format_rfc3339_seconds(end).to_string()),
        "reason": &*plan.reason,
    });
    if let Extent::Percentage(share) = plan.extent {
        described["percentage"] = share.into();
    }
    described
}
