//! The paths of `sys/quotas/`.

use crate::context::Context;
use crate::error::VaultError;
use crate::quota::config::QuotaConfig;
use crate::quota::entry::{LeaseCounts, Quota, Quotas, RateLimits};
use crate::quota::{leases, params};
use crate::request::Operation;
use crate::response::Response;
use crate::sys::{SysAnswer, SysCall, unsupported_path};
use crate::vault::Effect;

/// Bytes of a quota's name at most.
const NAME_BYTES_MAX: usize = 128;

/// Answers a request to `sys/quotas/<rest>`.
pub(crate) fn handle(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    rest: &str,
) -> Result<SysAnswer, VaultError> {
    use Operation::{Delete, List, Read, Write};
    let operation = call.request.operation;
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    if !name.is_empty() && !is_name(name) {
        return Err(unsupported_path());
    }
    match (kind, name, operation) {
        ("config", "", Read) => Ok(Response::data(QuotaConfig::read(context)?.describe()).into()),
        ("config", "", Write) => {
            QuotaConfig::of(call.request)?.write(context)?;
            Ok(SysAnswer::then(Effect::QuotasChanged))
        }
        ("rate-limit", "", List) => list(RateLimits::read(context)?),
        ("lease-count", "", List) => list(LeaseCounts::read(context)?),
        ("rate-limit" | "lease-count" | "config", "", _) => Err(VaultError::Unsupported),
        ("rate-limit", name, Read) => {
            let quotas = RateLimits::read(context)?;
            let quota = quotas.get(name).ok_or_else(VaultError::not_found)?;
            Ok(Response::data(params::describe_rate_limit(name, quota)).into())
        }
        ("lease-count", name, Read) => {
            let quotas = LeaseCounts::read(context)?;
            let quota = quotas.get(name).ok_or_else(VaultError::not_found)?;
            let count = leases::count(context, quota)?;
            let mut data = params::describe_lease_count(name, quota, count);
            if leases::is_counting(context, quota)? {
                data.insert("counting".to_owned(), true.into());
            }
            Ok(Response::data(data).into())
        }
        ("rate-limit", name, Write) => write_rate_limit(context, call, name),
        ("lease-count", name, Write) => write_lease_count(context, call, name),
        ("rate-limit", name, Delete) => {
            let mut quotas = RateLimits::read(context)?;
            if quotas.remove(name).is_some() {
                quotas.write(context)?;
            }
            Ok(SysAnswer::then(Effect::QuotasChanged))
        }
        ("lease-count", name, Delete) => {
            let mut quotas = LeaseCounts::read(context)?;
            if let Some(quota) = quotas.remove(name) {
                leases::forget(context, &quota);
                quotas.write(context)?;
            }
            Ok(SysAnswer::then(Effect::QuotasChanged))
        }
        ("rate-limit" | "lease-count", ..) => Err(VaultError::Unsupported),
        _ => Err(unsupported_path()),
    }
}

fn list<Q: Quota>(quotas: Quotas<Q>) -> Result<SysAnswer, VaultError> {
    let names: Vec<String> = quotas.iter().map(|(name, _)| name.clone()).collect();
    if names.is_empty() { Err(VaultError::not_found()) } else { Ok(Response::keys(names).into()) }
}

fn write_rate_limit(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    name: &str,
) -> Result<SysAnswer, VaultError> {
    let mut quota = params::rate_limit(call.request, call.routes)?;
    let mut quotas = RateLimits::read(context)?;
    if let Some(known) = quotas.get(name)
        && quota.continues(known)
    {
        // Another rate for the same clients: what they have asked still counts.
        quota.id = known.id;
    }
    quotas.insert(name, quota)?;
    quotas.write(context)?;
    Ok(SysAnswer::then(Effect::QuotasChanged))
}

fn write_lease_count(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    name: &str,
) -> Result<SysAnswer, VaultError> {
    let mut quota = params::lease_count(call.request, call.routes)?;
    let mut quotas = LeaseCounts::read(context)?;
    match quotas.get(name).cloned() {
        Some(known) if known.scope == quota.scope => quota.id = known.id,
        known => {
            if let Some(known) = known {
                leases::forget(context, &known);
            }
            leases::begin(context, &quota)?;
        }
    }
    quotas.insert(name, quota)?;
    quotas.write(context)?;
    Ok(SysAnswer::then(Effect::QuotasChanged))
}

/// Letters, digits, `_`, and `-` and `.` between them.
fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(is_word)
        && name.ends_with(is_word)
        && name.chars().all(|c| is_word(c) || matches!(c, '-' | '.'))
}
