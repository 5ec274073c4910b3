//! `sys/health`: Vault's fields and codes, and how loaded the server is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use plimsoll::{GateSnapshot, Timestamp};
use plimsoll_daemon::clock;
use plimsoll_http::maintenance::Maintenance;
use plimsoll_vault::Vault;
use serde::Serialize;
use serde_json::json;

use crate::face::{self, HttpResponse, json_response, message};
use crate::gates::Gates;
use crate::replication::Following;

/// Held over the load line from which a server counts as degraded.
const DEGRADED_SATURATION: f64 = 0.75;

/// A commit that takes longer than this is told about: the disk hangs.
const STALL: Duration = Duration::from_secs(1);

/// How loaded the server is, for people and balancers. Never a reason for another
/// status code unless one was asked for: a balancer that ejects a loaded server
/// makes the next one's overload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Load {
    Ok,
    Degraded,
    Overloaded,
}

impl Load {
    /// Of one gate. The server's is that of its most loaded gate.
    pub(crate) fn of(gate: &GateSnapshot) -> Self {
        let GateSnapshot { saturation, reject_fraction, .. } = *gate;
        if reject_fraction > 0.0 && saturation >= DEGRADED_SATURATION {
            Self::Overloaded
        } else if reject_fraction > 0.0 || saturation >= DEGRADED_SATURATION {
            Self::Degraded
        } else {
            Self::Ok
        }
    }
}

/// Answers `sys/health`; asks nobody who could block.
pub(crate) struct Health {
    pub(crate) vault: Arc<Vault>,
    pub(crate) gates: Gates,
    pub(crate) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The primary, for a secondary.
    pub(crate) following: Arc<Following>,
    pub(crate) maintenance: Maintenance,
    /// Why the store takes no more writes, if it does not.
    pub(crate) storage_fault: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Health {
    /// Of a HEAD request the body is left out where it is sent.
    pub(crate) fn answer_to(&self, method: &Method, query: &str) -> HttpResponse {
        match *method {
            Method::GET | Method::HEAD => self.answer(&face::query(query)),
            _ => message(405, ""),
        }
    }

    /// That of the most loaded gate; a disk that hangs is a load, too.
    pub(crate) fn load(&self) -> Load {
        let now = (self.clock)();
        let snapshots = self.gates.snapshots(now);
        // A gate that only watches while others enforce shows what it sees, but is no
        // reason to send clients elsewhere.
        let mode = self.gates.mode();
        let loads = snapshots.iter().filter(|gate| gate.mode == mode).map(Load::of);
        let load = loads.max().unwrap_or(Load::Ok);
        if self.stalled(now).is_some() { load.max(Load::Degraded) } else { load }
    }

    fn gate_loads(&self, now: Timestamp) -> BTreeMap<&'static str, Load> {
        let snapshots = self.gates.snapshots(now);
        snapshots.iter().map(|gate| (gate.gate.name(), Load::of(gate))).collect()
    }

    /// The age of a commit that takes too long.
    fn stalled(&self, now: Timestamp) -> Option<Duration> {
        self.gates.write.snapshot(now).commit_age.filter(|age| *age >= STALL)
    }

    fn answer(&self, query: &BTreeMap<String, String>) -> HttpResponse {
        let status = self.vault.status();
        let following = self.vault.is_following();
        let now = (self.clock)();
        let load = self.load();
        let in_maintenance = self.maintenance.in_force(clock::wall()).is_some();
        let fault = (self.storage_fault)();
        let (parameter, default) = if !status.initialized {
            ("uninitcode", 501)
        } else if status.sealed || fault.is_some() {
            ("sealedcode", 503)
        } else if following && !is_true(query, "perfstandbyok") {
            ("performancestandbycode", 473)
        } else if load == Load::Overloaded && query.contains_key("overloadedcode") {
            ("overloadedcode", 200)
        } else {
            ("activecode", 200)
        };
        let replication = following.then(|| {
            let (state, lag) = (self.following.state(), self.following.lag(now));
            json!({
                "state": state.name(),
                "reason": state.reason(),
                "lag_groups": lag.groups,
                "lag_bytes": lag.bytes,
                "lag_ms": lag.age.as_secs_f64() * 1000.0,
            })
        });
        let Some(code) = code(query, parameter, default) else { return message(400, "") };
        let body = json!({
            "initialized": status.initialized,
            "sealed": status.sealed,
            "standby": following,
            "performance_standby": following,
            "replication_performance_mode": match (following, self.following.is_primary()) {
                (true, _) => "secondary",
                (false, true) => "primary",
                (false, false) => "disabled",
            },
            "replication": replication,
            "replication_dr_mode": "disabled",
            "server_time_utc": clock::unix().as_secs(),
            "version": status.version,
            "enterprise": false,
            "cluster_name": status.cluster_name,
            "cluster_id": status.cluster_id,
            "echo_duration_ms": 0,
            "clock_skew_ms": 0,
            "replication_primary_canary_age_ms": 0,
            "load": if in_maintenance { json!("maintenance") } else { json!(load) },
            "gates": self.gate_loads(now),
            "reject_fraction": self.gates.write.snapshot(now).reject_fraction,
            "commit_stalled_ms": self.stalled(now).map(|age| age.as_millis() as u64),
            "storage_fault": fault,
        });
        json_response(code, &body)
    }
}

/// As Vault reads a flag: there without a value counts.
fn is_true(query: &BTreeMap<String, String>, name: &str) -> bool {
    query.get(name).is_some_and(|value| matches!(&**value, "" | "true" | "1"))
}

/// The status asked for. A parameter that is no status is 400 in Vault.
fn code(query: &BTreeMap<String, String>, parameter: &str, default: u16) -> Option<StatusCode> {
    let code = match query.get(parameter) {
        Some(text) => text.parse().ok()?,
        None => default,
    };
    StatusCode::from_u16(code).ok().filter(|code| code.as_u16() >= 200)
}

#[cfg(test)]
mod tests {
    use plimsoll::{Gate, Mode};

    use super::*;

    #[test]
    fn a_full_gate_that_refuses_nobody_is_degraded_not_overloaded() {
        let of = |saturation, reject_fraction| {
            Load::of(&GateSnapshot {
                gate: Gate::Write,
                mode: Mode::Enforce,
                saturation,
                reject_fraction,
                offered: 0,
                refused: Default::default(),
            })
        };
        assert_eq!(of(0.1, 0.0), Load::Ok);
        assert_eq!(of(1.0, 0.0), Load::Degraded);
        assert_eq!(of(0.1, 0.2), Load::Degraded);
        assert_eq!(of(1.0, 0.2), Load::Overloaded);
    }

    #[test]
    fn a_code_that_is_no_status_is_refused() {
        let query = |text: &str| BTreeMap::from([("sealedcode".to_owned(), text.to_owned())]);
        assert_eq!(code(&query("299"), "sealedcode", 503).map(|c| c.as_u16()), Some(299));
        assert_eq!(code(&query("sealed"), "sealedcode", 503), None);
        assert_eq!(code(&query("99"), "sealedcode", 503), None);
        assert_eq!(code(&BTreeMap::new(), "sealedcode", 503).map(|c| c.as_u16()), Some(503));
    }
}
