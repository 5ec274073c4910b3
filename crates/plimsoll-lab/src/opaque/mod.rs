//! The opaque gate and its rivals before servers that cannot be seen.
//!
//! A proxy lets requests through to an upstream in virtual time: a pool of
//! workers, processors that are shared, a queue that commits in groups. It sees
//! starts, ends and outcomes, nothing else. Everything is judged by the best fixed
//! limit in hindsight: of all numbers of requests in flight, the smallest with
//! 97 % of the largest goodput in that very run.
//!
//! - [`Scenario`]: a file, as `lab/scenarios/opaque-*.toml`
//! - [`Proxy`]: what decides; the gate that ships, or a limiter of the [`rivals`]
//! - [`simulate`]: one run
//! - [`contest`](contest()): a run against the best fixed limit
//!
//! [`rivals`]: crate::rivals

mod clients;
mod contest;
mod proxy;
mod record;
mod scenario;
mod score;
mod suite;
#[cfg(test)]
mod tests;
mod upstream;
mod world;

pub(crate) use self::suite::{Beside, Drawn, load, run, table};
pub use self::{
    contest::{BestFixed, Contender, best_fixed, contest},
    proxy::Proxy,
    record::Record,
    scenario::{Expect, Measure, Restart, Scenario, parse, shipped},
    score::{Score, pass_marks},
    suite::{OpaqueCase, OpaqueRow},
    upstream::Upstream,
    world::simulate,
};
