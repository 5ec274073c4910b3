//! What a request wants of a quota, with Vault's words for what is wrong with it.

use aws_lc_rs::rand;
use serde_json::{Map, Value, json};

use crate::backend::object;
use crate::engines::fields::Fields;
use crate::error::VaultError;
use crate::mounts::Routes;
use crate::quota::entry::{GroupBy, LeaseCount, RateLimit, whole};
use crate::quota::scope::Scope;
use crate::request::Request;

/// Seconds of a year and a day, beyond which nobody counts.
const INTERVAL_S_MAX: u64 = 366 * 24 * 3600;

/// Where the quota applies; and whether it says so itself.
fn scope(request: &Request, routes: &Routes) -> Result<Scope, VaultError> {
    let fields = Fields::of(request);
    let path = fields.trimmed("path")?;
    let scope = Scope::parse(&path, &fields.trimmed("role")?, routes)?;
    match (fields.flag("inheritable")?, scope.is_global()) {
        (Some(true), false) => {
            Err(VaultError::invalid("only namespace quotas can be configured as inheritable"))
        }
        (Some(false), true) => Err(VaultError::invalid("all global quotas must be inheritable")),
        _ => Ok(scope),
    }
}

/// A rate limit as a request describes it. What it leaves out is at its default,
/// whatever it was before.
pub(crate) fn rate_limit(request: &Request, routes: &Routes) -> Result<RateLimit, VaultError> {
    let fields = Fields::of(request);
    let rate = fields.float("rate")?.unwrap_or_default();
    if !(rate > 0.0 && rate <= f64::from(u32::MAX)) {
        return Err(VaultError::invalid("'rate' is invalid"));
    }
    let interval = seconds(fields, "interval", "'interval' is invalid")?.max(1);
    let block_interval = seconds(fields, "block_interval", "'block' is invalid")?;
    let group_by = group_by(fields)?;
    let secondary_rate = secondary_rate(fields, group_by, rate)?;
    let scope = scope(request, routes)?;
    let id = random_id()?;
    let limit = RateLimit { id, scope, rate, interval, block_interval, group_by, secondary_rate };
    limit.limit(rate).map_err(|_| VaultError::invalid("'interval' is invalid"))?;
    Ok(limit)
}

/// A duration; what is negative or absurd has an error of its own.
fn seconds(fields: Fields<'_>, field: &str, refusal: &str) -> Result<u64, VaultError> {
    let is_negative = match fields.value(field) {
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number < 0.0),
        Some(Value::String(text)) => text.trim_start().starts_with('-'),
        _ => false,
    };
    if is_negative {
        return Err(VaultError::invalid(refusal));
    }
    let seconds = fields.seconds(field)?.unwrap_or(0);
    if seconds > INTERVAL_S_MAX { Err(VaultError::invalid(refusal)) } else { Ok(seconds) }
}

fn group_by(fields: Fields<'_>) -> Result<GroupBy, VaultError> {
    let name = fields.trimmed("group_by")?;
    if name.is_empty() {
        return Ok(GroupBy::default());
    }
    let mode = GroupBy::ALL.into_iter().find(|mode| mode.name() == name);
    mode.ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        VaultError::invalid(format!("invalid grouping mode {shown:?}"))
    })
}

/// 0 is as good as nothing: the rate itself, where there is use for a second one.
fn secondary_rate(fields: Fields<'_>, group_by: GroupBy, rate: f64) -> Result<f64, VaultError> {
    let asked = fields.float("secondary_rate")?.unwrap_or_default();
    if !(0.0..=f64::from(u32::MAX)).contains(&asked) {
        return Err(VaultError::invalid("secondary rate must be greater than or equal to 0"));
    }
    match (group_by.has_secondary(), asked > 0.0) {
        (true, true) => Ok(asked),
        (true, false) => Ok(rate),
        (false, false) => Ok(0.0),
        (false, true) => Err(VaultError::invalid(
            "secondary rate is only valid when using entity-based grouping",
        )),
    }
}

/// A limit on leases as a request describes it.
pub(crate) fn lease_count(request: &Request, routes: &Routes) -> Result<LeaseCount, VaultError> {
    let max_leases = Fields::of(request).integer("max_leases")?;
    let max_leases = max_leases.and_then(|max| u64::try_from(max).ok()).filter(|max| *max > 0);
    let max_leases = max_leases.ok_or_else(|| VaultError::invalid("'max_leases' is invalid"))?;
    Ok(LeaseCount { id: random_id()?, scope: scope(request, routes)?, max_leases })
}

fn random_id() -> Result<u64, VaultError> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).map_err(|_| VaultError::Internal("no randomness".to_owned()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// As it is read back.
pub(crate) fn describe_rate_limit(name: &str, quota: &RateLimit) -> Map<String, Value> {
    let mut data = described(name, "rate-limit", &quota.scope);
    data.extend(object([
        ("rate", number(quota.rate)),
        ("interval", json!(quota.interval)),
        ("block_interval", json!(quota.block_interval)),
        ("group_by", json!(quota.group_by.name())),
        ("secondary_rate", number(quota.secondary_rate)),
    ]));
    data
}

/// As it is read back, with the leases that are counted.
pub(crate) fn describe_lease_count(
    name: &str,
    quota: &LeaseCount,
    count: u64,
) -> Map<String, Value> {
    let mut data = described(name, "lease-count", &quota.scope);
    data.extend(object([("max_leases", json!(quota.max_leases)), ("counter", json!(count))]));
    data
}

fn described(name: &str, kind: &str, scope: &Scope) -> Map<String, Value> {
    object([
        ("name", json!(name)),
        ("type", json!(kind)),
        ("path", json!(scope.path())),
        ("role", json!(scope.role)),
        ("inheritable", json!(scope.is_global())),
    ])
}

/// As Go prints it: without a fraction if it has none.
fn number(rate: f64) -> Value {
    if rate == 0.0 {
        json!(0)
    } else if rate.fract() == 0.0 {
        json!(whole(rate))
    } else {
        json!(rate)
    }
}
