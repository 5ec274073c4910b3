//! A scenario before an opaque upstream, from a file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{clients::Clients, upstream::Upstream};
use crate::scenario::{ScenarioError, Slowdown, Span, Stall, named, tables};

/// One case, ready to run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's stem, and the case after a slash if there are several.
    pub name: String,
    /// What it is about, in a sentence.
    pub title: String,
    /// What stands behind the proxy.
    pub upstream: Upstream,
    /// Time on the way there and back, and whatever takes no capacity.
    pub way: Span,
    /// Who asks, by name.
    pub clients: Vec<(String, Clients)>,
    /// What happens to the upstream.
    pub disturbances: Disturbances,
    /// What is measured.
    pub measure: Measure,
    /// What is expected of a good gate.
    pub expect: Expect,
}

/// What happens to an upstream.
#[derive(Clone, Debug, Default)]
pub struct Disturbances {
    slowdowns: Vec<Slowdown>,
    stalls: Vec<(u64, u64)>,
    /// It is down from here to there, in nanoseconds.
    pub restarts: Vec<(u64, u64)>,
}

/// The upstream dies, and refuses connections until it is back.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// When it dies.
    pub at: Span,
    /// How long it is away.
    #[serde(rename = "for")]
    pub lasting: Span,
}

/// The part of the run that counts.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// From here,
    pub from: Span,
    /// to here.
    pub until: Span,
    /// An answer later than this is worth nothing to the client.
    pub within: Span,
}

/// What is expected of a good gate beside the two marks that every case has:
/// 95 % of the best fixed limit's goodput, and 1.5 times its 99th percentile.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Refused though it fits, over all requests, at most.
    pub false_rejects_max: Option<f64>,
    /// Requests of the group `quiet` that succeed, at least.
    pub quiet_min: Option<f64>,
    /// Requests at other gates that succeed, at least.
    pub beside_min: Option<f64>,
    /// 99th percentile of the answers in milliseconds, at most.
    pub p99_ms_max: Option<f64>,
    /// An exception on record: the goodput over the best fixed limit's that is
    /// held instead of 95 %.
    pub goodput_exception: Option<f64>,
    /// The same for the 99th percentile instead of 1.5.
    pub p99_exception: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    title: String,
    upstream: Upstream,
    #[serde(default)]
    way: Span,
    clients: BTreeMap<String, Clients>,
    #[serde(default)]
    slowdown: Vec<Slowdown>,
    #[serde(default)]
    stall: Vec<Stall>,
    #[serde(default)]
    restart: Vec<Restart>,
    measure: Measure,
    #[serde(default)]
    expect: Expect,
}

const REQUESTS_MAX: f64 = 1e7;
const SECONDS_MAX: f64 = 7_200.0;

/// Reads the cases of a scenario called `name`.
///
/// # Errors
/// The text is no scenario.
pub fn parse(name: &str, text: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let read = |(name, table): (String, toml::Table)| {
        let case = Case::deserialize(table).map_err(|error| error.to_string());
        named(&name, case.and_then(|case| build(&name, case)))
    };
    tables(name, text)?.into_iter().map(read).collect()
}

fn build(name: &str, case: Case) -> Result<Scenario, String> {
    case.upstream.check()?;
    case.clients.iter().try_for_each(|(group, clients)| clients.check(group))?;
    case.slowdown.iter().try_for_each(Slowdown::check)?;
    let measure = case.measure;
    if case.clients.is_empty() || measure.from >= measure.until || measure.within.nanos() == 0 {
        return Err("clients, and measure: from < until, within more than zero".to_owned());
    }
    let scenario = Scenario {
        name: name.to_owned(),
        title: case.title,
        upstream: case.upstream,
        way: case.way,
        clients: case.clients.into_iter().collect(),
        disturbances: Disturbances::new(case.slowdown, &case.stall, &case.restart),
        measure,
        expect: case.expect,
    };
    let capacity = scenario.upstream.capacity();
    let requests: f64 = scenario.clients.iter().map(|(_, c)| c.count(capacity)).sum();
    if scenario.seconds() > SECONDS_MAX || requests > REQUESTS_MAX {
        return Err(format!("more than {SECONDS_MAX} s or {REQUESTS_MAX} requests"));
    }
    Ok(scenario)
}

impl Scenario {
    /// How long it runs, in seconds.
    pub fn seconds(&self) -> f64 {
        let ends = self.clients.iter().map(|(_, clients)| clients.seconds());
        ends.fold(self.measure.until.seconds(), f64::max)
    }
}

impl Disturbances {
    fn new(slowdowns: Vec<Slowdown>, stalls: &[Stall], restarts: &[Restart]) -> Self {
        let span = |at: Span, lasting: Span| (at.nanos(), at.nanos() + lasting.nanos());
        let mut stalls: Vec<_> = stalls.iter().map(|s| span(s.at, s.lasting)).collect();
        stalls.sort_unstable();
        let restarts = restarts.iter().map(|r| span(r.at, r.lasting)).collect();
        Self { slowdowns, stalls, restarts }
    }

    /// When work of `seconds` that begins at `now` is done.
    pub(super) fn end(&self, now: u64, seconds: f64) -> u64 {
        let slowness: f64 = self.slowdowns.iter().map(|s| s.factor(now as f64 / 1e9)).product();
        let mut end = now + ((seconds * slowness * 1e9) as u64).max(1);
        for &(begin, until) in &self.stalls {
            if now < until && end > begin {
                end += until - begin.max(now);
            }
        }
        end
    }

    /// The speed at `now`: 1 is the usual one.
    pub(super) fn speed(&self, now: u64) -> f64 {
        if self.stalls.iter().any(|&(begin, end)| (begin..end).contains(&now)) {
            return 0.0;
        }
        1.0 / self.slowdowns.iter().map(|s| s.factor(now as f64 / 1e9)).product::<f64>()
    }

    /// When the speed changes next.
    pub(super) fn next_change(&self, now: u64) -> u64 {
        let stalls = self.stalls.iter().flat_map(|&(begin, end)| [begin, end]);
        let slowdowns = self.slowdowns.iter().flat_map(|slow| {
            let begin = slow.at.nanos();
            [begin, begin + slow.lasting.nanos()]
        });
        stalls.chain(slowdowns).filter(|at| *at > now).min().unwrap_or(u64::MAX)
    }

    /// Whether the upstream is down.
    pub(super) fn down(&self, now: u64) -> bool {
        self.restarts.iter().any(|&(begin, end)| (begin..end).contains(&now))
    }
}

macro_rules! shipped_scenarios {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../lab/scenarios/", $name, ".toml")))),*]
    };
}

const SHIPPED: [(&str, &str); 4] = shipped_scenarios![
    "opaque-1-overload",
    "opaque-2-underload",
    "opaque-3-trouble",
    "opaque-4-mixed",
];

/// The scenarios that ship, every case of them.
///
/// # Errors
/// One of them is none.
pub fn shipped() -> Result<Vec<Scenario>, ScenarioError> {
    let cases = SHIPPED.iter().map(|(name, text)| parse(name, text));
    cases.collect::<Result<Vec<_>, _>>().map(|cases| cases.into_iter().flatten().collect())
}
