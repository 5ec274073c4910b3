//! Who competes, and what the best fixed limit would have done.

use plimsoll::opaque::OpaqueGateConfig;

use super::{
    Record, Scenario, Score,
    proxy::{Limited, Proxy, Shipping},
    simulate,
};
use crate::rivals::{CATALOG, Entry, Limiter, View};

/// A controller to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contender {
    /// The gate that ships.
    Gate,
    /// The limiter of that name in the catalogue, at its default.
    Rival(&'static str),
    /// So many requests in flight and no more.
    Fixed(u32),
    /// The gate that ships, told of no answer: must fail.
    Frozen,
    /// Everybody starts: must fail.
    AlwaysAdmit,
    /// Nobody does: must fail.
    AlwaysReject,
}

/// Laws that limit requests in flight by what a proxy sees.
pub(crate) const RIVALS: [&str; 8] =
    ["unbounded", "aimd", "vegas", "gradient2", "gradient2-vault", "envoy", "failsafe", "brpc"];

#[derive(Debug)]
struct InFlight(u32);

impl Limiter for InFlight {
    fn admit(&mut self, view: &View) -> bool {
        view.in_flight < self.0
    }
}

impl Contender {
    /// Its name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Gate => "plimsoll".to_owned(),
            Self::Rival(name) => (*name).to_owned(),
            Self::Fixed(limit) => format!("fixed-{limit}"),
            Self::Frozen => "mutant-frozen".to_owned(),
            Self::AlwaysAdmit => "mutant-alwaysadmit".to_owned(),
            Self::AlwaysReject => "mutant-alwaysreject".to_owned(),
        }
    }

    fn build(&self) -> Option<Box<dyn Proxy>> {
        let gate = |deaf| Box::new(Shipping::new(OpaqueGateConfig::default(), deaf));
        Some(match self {
            Self::Gate => gate(false),
            Self::Frozen => gate(true),
            Self::Rival(name) => Box::new(Limited::new(law(name)?)),
            Self::Fixed(limit) => Box::new(Limited::new(Box::new(InFlight(*limit)))),
            Self::AlwaysAdmit => Box::new(Limited::new(Box::new(InFlight(u32::MAX)))),
            Self::AlwaysReject => Box::new(Limited::new(Box::new(InFlight(0)))),
        })
    }
}

fn law(name: &str) -> Option<Box<dyn Limiter>> {
    // None of these looks at the server it is built for.
    let any = crate::scenario::Server::any();
    let entry: &Entry = CATALOG.iter().find(|entry| entry.name == name)?;
    Some((entry.default)(&any))
}

/// Runs a scenario under a contender.
///
/// # Errors
/// There is no such rival.
pub fn contest(scenario: &Scenario, contender: &Contender, seed: u64) -> Result<Record, String> {
    let mut proxy =
        contender.build().ok_or_else(|| format!("no rival is called {}", contender.name()))?;
    Ok(simulate(scenario, proxy.as_mut(), seed))
}

/// The best fixed limit in hindsight.
#[derive(Clone, Debug)]
pub struct BestFixed {
    /// The smallest limit with enough of the largest goodput.
    pub limit: u32,
    /// What it did.
    pub score: Score,
}

/// The share of the largest goodput that counts as enough.
const ENOUGH: f64 = 0.97;
const LIMIT_MAX: f64 = 1_024.0;
const STEP: f64 = 1.12;

/// Seeks the best fixed limit among all up to 1,024, an eighth apart.
///
/// # Errors
/// None; of the same kind as [`contest`].
pub fn best_fixed(scenario: &Scenario, seed: u64) -> Result<(BestFixed, Record), String> {
    let mut runs = Vec::new();
    let (mut limit, mut most, mut falling) = (1.0_f64, 0.0_f64, 0);
    while limit <= LIMIT_MAX && falling < 8 {
        let fixed = limit.round() as u32;
        let record = contest(scenario, &Contender::Fixed(fixed), seed)?;
        let score = Score::new(scenario, &record);
        // Beyond the limit that never binds every larger one is the same.
        let binds = record.refused > 0;
        falling = if score.goodput > most * 1.001 { 0 } else { falling + 1 };
        most = most.max(score.goodput);
        runs.push((BestFixed { limit: fixed, score }, record));
        if !binds {
            break;
        }
        limit = (limit + 1.0).max(limit * STEP);
    }
    // A limit that refuses what it must not, or harms whom it must not, is no yardstick.
    let refused_max = scenario.expect.false_rejects_max.unwrap_or(1.0);
    let beside_min = scenario.expect.beside_min.unwrap_or(0.0);
    runs.retain(|(BestFixed { score, .. }, _)| {
        score.refused <= refused_max && score.beside >= beside_min
    });
    let most = runs.iter().map(|(fixed, _)| fixed.score.goodput).fold(0.0, f64::max);
    let best = runs.into_iter().find(|(fixed, _)| fixed.score.goodput >= ENOUGH * most);
    best.ok_or_else(|| "nothing was answered under any limit".to_owned())
}
