//! `sys/maintenance`: closed on purpose, now or later.
//!
//! The window is stored like anything else, in the transaction of the request that
//! announces it, so it survives a restart and reaches the secondaries. Who enforces it
//! is told of every change and of what is found when the vault is opened, and knows also
//! of windows from elsewhere ([`Windows`](crate::Windows)).

mod parse;
mod record;

use std::time::SystemTime;

use plimsoll::maintenance::{Extent, Phase, Plan};
use serde_json::{Value, json};

use crate::backend::object;
use crate::context::Context;
use crate::error::VaultError;
use crate::request::Operation;
use crate::sys::body::merged;
use crate::sys::{SysAnswer, SysCall};
use crate::vault::Effect;

pub(crate) use crate::sys::maintenance::record::MAINTENANCE_KEY;
pub use crate::sys::maintenance::record::MaintenanceRecord;
use crate::sys::maintenance::record::at;

pub(super) fn handle(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
) -> Result<SysAnswer, VaultError> {
    let now = at(context.now().seconds());
    match call.request.operation {
        Operation::Read => {
            let plan = match call.vault.windows() {
                Some(windows) => windows.announced(),
                None => MaintenanceRecord::read(context)?.and_then(|record| record.plan().ok()),
            };
            Ok(merged(call.request, describe(plan.as_ref(), now)).into())
        }
        Operation::Write => {
            let record = MaintenanceRecord::parse(&call.request.data, now)?;
            record.write(context)?;
            let plan = record.plan().map_err(|error| VaultError::invalid(error.to_string()))?;
            let mut data = describe(Some(&plan), now);
            data.insert("bypass_token".to_owned(), record.bypass_token.into());
            let effect = Some(Effect::MaintenanceChanged);
            Ok(SysAnswer { response: merged(call.request, data), effect })
        }
        Operation::Delete => {
            MaintenanceRecord::remove(context);
            Ok(SysAnswer::then(Effect::MaintenanceChanged))
        }
        _ => Err(VaultError::Unsupported),
    }
}

/// Without the bypass token: that is told once.
fn describe(plan: Option<&Plan>, now: SystemTime) -> serde_json::Map<String, Value> {
    let Some(plan) = plan else { return object([("state", json!("none"))]) };
    let time = |time| humantime::format_rfc3339_seconds(time).to_string();
    let state = match plan.phase(now) {
        Phase::Ahead(_) => "scheduled",
        Phase::InForce(_) => "in_force",
        Phase::Over => "over",
    };
    let percentage = match plan.extent {
        Extent::Percentage(share) => json!(share),
        _ => Value::Null,
    };
    object([
        ("state", json!(state)),
        ("mode", json!(plan.extent.name())),
        ("percentage", percentage),
        ("begin", json!(time(plan.begin))),
        ("end", json!(plan.end.map(time))),
        ("reason", json!(&*plan.reason)),
        ("status_page", json!(plan.status_page.as_deref())),
    ])
}
