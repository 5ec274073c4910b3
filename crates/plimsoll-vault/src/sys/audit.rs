//! `sys/audit` and `sys/audit-hash`.

use serde_json::json;

use crate::audit::{DeviceEntry, Devices};
use crate::backend::object;
use crate::context::Context;
use crate::error::VaultError;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::sys::body::merged;
use crate::sys::mounts::{description, flag, options};
use crate::sys::{SysAnswer, SysCall};
use crate::vault::Effect;

pub(super) fn handle(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    rest: &str,
) -> Result<SysAnswer, VaultError> {
    let devices = Devices::read(context)?;
    let path = format!("{rest}/");
    match call.request.operation {
        Operation::Read if rest.is_empty() => Ok(merged(call.request, devices.describe()).into()),
        Operation::Write if !rest.is_empty() => {
            let mut devices = Devices::clone(&devices);
            devices.enable(&path, device(call.request)?)?;
            devices.write(context)?;
            Ok(SysAnswer::then(Effect::AuditChanged))
        }
        Operation::Delete if !rest.is_empty() => {
            let mut devices = Devices::clone(&devices);
            if !devices.disable(&path) {
                return Ok(Response::default().into());
            }
            devices.write(context)?;
            Ok(SysAnswer::then(Effect::AuditChanged))
        }
        _ => Err(VaultError::Unsupported),
    }
}

/// The device that a request wants to enable. Whether it can be is tried
/// beforehand: that opens a file, which is nothing for a decision.
pub(crate) fn device_to_try(request: &Request) -> Option<DeviceEntry> {
    let name = request.path.strip_prefix("sys/audit/")?;
    if request.operation != Operation::Write || name.is_empty() {
        return None;
    }
    // What is wrong with the request itself, the decision says.
    device(request).ok()
}

fn device(request: &Request) -> Result<DeviceEntry, VaultError> {
    let kind = request.text("type")?.unwrap_or_default();
    let description = description(request)?.unwrap_or_default();
    let options = options(request.data.get("options"))?.unwrap_or_default();
    DeviceEntry::new(kind, description, options, flag(&request.data, "local"))
}

pub(super) fn hash(call: &SysCall<'_>, rest: &str) -> Result<Response, VaultError> {
    if call.request.operation != Operation::Write {
        return Err(VaultError::Unsupported);
    }
    let input = call.request.text("input")?.unwrap_or_default();
    if input.is_empty() {
        return Err(VaultError::invalid("the \"input\" parameter is empty"));
    }
    let path = format!("{rest}/");
    let hash = call.vault.audit().hash(&path, &input);
    let hash =
        hash.ok_or_else(|| VaultError::invalid(format!("unknown audit backend {path:?}")))?;
    Ok(merged(call.request, object([("hash", json!(hash))])))
}
