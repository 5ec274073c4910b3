//! `sys/mounts` and `sys/auth`: what is mounted where.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::backend::{Call, Prepared};
use crate::context::Context;
use crate::duration::duration_field;
use crate::engines::backend_for;
use crate::error::VaultError;
use crate::lease;
use crate::mounts::{MountEntry, MountKind, MountTable, Unmount};
use crate::quota;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::sys::body::merged;
use crate::sys::{SysAnswer, SysCall, tune};
use crate::token::Ttls;
use crate::vault::Effect;

/// Bytes of a description at most.
const DESCRIPTION_BYTES_MAX: usize = 4096;

/// Options of one mount at most, and bytes of a key or value.
const OPTIONS_MAX: usize = 64;
const OPTION_BYTES_MAX: usize = 1024;

/// Engines that only the server itself mounts.
const BUILT_IN: [&str; 3] = ["system", "token", "cubbyhole"];

/// Which engines are auth methods; all others hold secrets.
const AUTH_METHODS: [&str; 2] = ["approle", "userpass"];

pub(super) fn handle(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    kind: MountKind,
    rest: &str,
) -> Result<SysAnswer, VaultError> {
    let operation = call.request.operation;
    if rest.is_empty() {
        return match operation {
            Operation::Read => Ok(list(call, kind).into()),
            Operation::List => Err(super::unsupported_path()),
            _ => Err(VaultError::Unsupported),
        };
    }
    if let Some(mount) = rest.strip_suffix("/tune") {
        // Clients tune auth methods here as well.
        let (kind, mount) = match mount.strip_prefix(MountKind::Auth.route_prefix()) {
            Some(method) if kind == MountKind::Secret => (MountKind::Auth, method),
            _ => (kind, mount),
        };
        return tune::handle(context, call, kind, &format!("{mount}/")).map(Into::into);
    }
    let path = format!("{rest}/");
    match operation {
        Operation::Read => read(call, kind, &path).map(Into::into),
        Operation::Write => enable(context, call, kind, &path).map(Into::into),
        Operation::Delete => disable(context, call, kind, &path),
        Operation::List | Operation::Patch => Err(VaultError::Unsupported),
    }
}

fn list(call: &SysCall<'_>, kind: MountKind) -> Response {
    let table = call.routes.table(kind);
    let mounts = table.iter().map(|entry| (entry.path.clone(), entry.describe().into()));
    merged(call.request, mounts.collect())
}

fn read(call: &SysCall<'_>, kind: MountKind, path: &str) -> Result<Response, VaultError> {
    let entry = call.routes.table(kind).get(path).ok_or_else(|| {
        VaultError::invalid(match kind {
            MountKind::Secret => format!("No secret engine mount at {path}"),
            MountKind::Auth => format!("No auth engine at {path}"),
        })
    })?;
    Ok(merged(call.request, entry.describe()))
}

fn enable(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    kind: MountKind,
    path: &str,
) -> Result<Response, VaultError> {
    let entry = requested(call.request, kind, path, call.vault.ttls())?;
    let options = entry.options.clone().unwrap_or_default();
    let engine = backend_for(&entry.engine, &options)
        .filter(|_| !BUILT_IN.contains(&entry.engine.as_str()))
        .filter(|_| (kind == MountKind::Auth) == AUTH_METHODS.contains(&entry.engine.as_str()))
        .ok_or_else(|| {
            VaultError::invalid(format!("plugin not found in the catalog: {}", entry.engine))
        })?;
    let mut table = MountTable::clone(call.routes.table(kind));
    table.add(entry.clone())?;
    context.put(kind.table_key(), &table)?;
    let mount = entry.view(call.vault.ttls());
    engine.initialize(&mut Call {
        request: call.request,
        path: "",
        mount,
        caller: None,
        storage: context.scope(&entry.storage()),
        prepared: &Prepared::Nothing,
    })?;
    Ok(Response::default())
}

/// The mount that the body asks for.
fn requested(
    request: &Request,
    kind: MountKind,
    path: &str,
    system: Ttls,
) -> Result<MountEntry, VaultError> {
    let engine = match request.data.get("type") {
        Some(Value::String(engine)) if !engine.is_empty() => engine.as_str(),
        _ => return Err(VaultError::invalid("backend type must be specified as a string")),
    };
    let mut options = options(request.data.get("options"))?;
    let engine = match engine.strip_prefix("kv-v") {
        Some(version @ ("1" | "2")) => {
            options.get_or_insert_default().insert("version".to_owned(), version.to_owned());
            "kv"
        }
        _ => engine,
    };
    let mut entry = MountEntry::new(kind, path, engine)?;
    entry.options = options;
    entry.description = description(request)?.unwrap_or_default();
    entry.local = flag(&request.data, "local");
    entry.seal_wrap = flag(&request.data, "seal_wrap");
    match request.data.get("config") {
        None | Some(Value::Null) => {}
        Some(Value::Object(config)) => configure(&mut entry, config, system)?,
        Some(_) => {
            return Err(VaultError::invalid("unable to convert given mount config information"));
        }
    }
    Ok(entry)
}

/// Sets what `config` of a mount and the body of `tune` have in common.
pub(super) fn configure(
    entry: &mut MountEntry,
    config: &Map<String, Value>,
    system: Ttls,
) -> Result<(), VaultError> {
    if let Some(ttl) = ttl(config, "default_lease_ttl")? {
        entry.default_lease_ttl = ttl;
    }
    if let Some(ttl) = ttl(config, "max_lease_ttl")? {
        entry.max_lease_ttl = ttl;
    }
    let Ttls { default, max } = entry.ttls(system);
    if entry.max_lease_ttl != 0 && entry.default_lease_ttl > max {
        return Err(VaultError::invalid(format!(
            "backend max lease TTL of {max} would be less than backend default lease TTL of {default}"
        )));
    }
    if config.contains_key("force_no_cache") {
        entry.force_no_cache = flag(config, "force_no_cache");
    }
    if let Some(Value::String(token_type)) = config.get("token_type")
        && entry.kind == MountKind::Auth
    {
        entry.token_type = token_type_of(token_type)?;
    }
    for name in KEPT {
        match config.get(name) {
            None | Some(Value::Null) => {}
            Some(value) if value.to_string().len() <= OPTION_BYTES_MAX => {
                entry.tuning.insert(name.to_owned(), value.clone());
            }
            Some(_) => return Err(VaultError::invalid(format!("{name} is too long"))),
        }
    }
    Ok(())
}

/// Settings that are kept and shown, because clients send and compare them.
const KEPT: [&str; 5] = [
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "listing_visibility",
    "passthrough_request_headers",
    "allowed_response_headers",
];

fn token_type_of(token_type: &str) -> Result<String, VaultError> {
    match token_type {
        "" | "default-service" => Ok("default-service".to_owned()),
        "default-batch" | "service" | "batch" => Ok(token_type.to_owned()),
        _ => Err(VaultError::invalid(format!("invalid value for 'token_type': {token_type:?}"))),
    }
}

/// Seconds; `system` stands for the system's.
fn ttl(config: &Map<String, Value>, field: &str) -> Result<Option<u64>, VaultError> {
    match config.get(field) {
        Some(Value::String(text)) if text == "system" => Ok(Some(0)),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        _ => duration_field(config, field),
    }
}

pub(super) fn description(request: &Request) -> Result<Option<String>, VaultError> {
    let description = request.text("description")?;
    match description {
        Some(text) if text.len() > DESCRIPTION_BYTES_MAX => {
            Err(VaultError::invalid("description is too long"))
        }
        description => Ok(description),
    }
}

pub(super) fn options(
    value: Option<&Value>,
) -> Result<Option<BTreeMap<String, String>>, VaultError> {
    let fields = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(fields)) if fields.len() <= OPTIONS_MAX => fields,
        Some(_) => return Err(VaultError::invalid("invalid options")),
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let mut options = BTreeMap::new();
    for (key, value) in fields {
        let value = text(value)
            .filter(|value| key.len() <= OPTION_BYTES_MAX && value.len() <= OPTION_BYTES_MAX)
            .ok_or_else(|| VaultError::invalid(format!("invalid option {key:?}")))?;
        options.insert(key.clone(), value);
    }
    Ok(Some(options))
}

pub(super) fn flag(data: &Map<String, Value>, field: &str) -> bool {
    match data.get(field) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true" || text == "1",
        _ => false,
    }
}

fn disable(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    kind: MountKind,
    path: &str,
) -> Result<SysAnswer, VaultError> {
    let mut table = MountTable::clone(call.routes.table(kind));
    let Some(entry) = table.remove(kind, path)? else { return Ok(Response::default().into()) };
    context.put(kind.table_key(), &table)?;
    Unmount::intend(context, &entry)?;
    if kind == MountKind::Auth {
        // Tokens that it granted go with it, a chunk now and the rest later.
        lease::revoke_prefix(context, &entry.route(), lease::LEASES_PER_STEP_MAX)?;
    }
    quota::forget_mount(context, &entry.route())?;
    Ok(SysAnswer::then(Effect::MountRemoved))
}
