//! `sys/capabilities`, `sys/capabilities-self`, `sys/capabilities-accessor`.

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::VaultError;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::sys::SysCall;
use crate::sys::body::merged;
use crate::token::policies::names_field;

pub(super) fn handle(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    whose: &str,
) -> Result<Response, VaultError> {
    if call.request.operation != Operation::Write {
        return Err(VaultError::Unsupported);
    }
    let service = call.vault.token_service()?;
    let policies = match whose {
        "capabilities-self" => call.who.entry.policies.clone(),
        "capabilities" => {
            let token = text(call.request, "token", "1 error occurred:\n\t* no token found\n\n")?;
            let found = service.policies(context, &token.into())?;
            found.ok_or_else(|| VaultError::invalid("1 error occurred:\n\t* invalid token\n\n"))?
        }
        _ => {
            let accessor = text(call.request, "accessor", "missing accessor")?;
            let found = service.policies_of_accessor(context, &accessor)?;
            found.ok_or_else(|| VaultError::invalid("invalid accessor"))?
        }
    };
    let paths = paths(call.request)?;
    let acl = call.vault.acls().load(context, &policies)?;
    let mut data: Map<String, Value> =
        paths.iter().map(|path| (path.clone(), json!(acl.capabilities(path)))).collect();
    if let [only] = &paths[..] {
        data.insert("capabilities".to_owned(), json!(acl.capabilities(only)));
    }
    Ok(merged(call.request, data))
}

fn paths(request: &Request) -> Result<Vec<String>, VaultError> {
    let field = if request.data.contains_key("paths") { "paths" } else { "path" };
    let paths = names_field(request.data.get(field), field)?;
    if paths.is_empty() {
        return Err(VaultError::invalid("paths must be supplied"));
    }
    Ok(paths)
}

fn text(request: &Request, field: &str, missing: &str) -> Result<String, VaultError> {
    let text = request.text(field)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| VaultError::invalid(missing))
}
