//! A group-commit server in virtual time.
//!
//! Requests arrive, a controller admits or refuses them, what comes before the
//! queue takes its time, and a single disk commits batch after batch: as soon as
//! one commit ends the next begins with whatever waits. Clients give up, try
//! again at once or after a while, and hear a Retry-After or do not.
//!
//! Nothing reads a clock and every draw comes from a stream seeded by name, so
//! the same scenario with the same seed is the same run, to the bit. The streams
//! of arrivals and of the disk do not depend on what the controller does: two
//! controllers face the same storm.
//!
//! - [`Controller`]: what decides; [`Shipping`] is the gate that ships
//! - [`simulate`]: one run
//! - [`Record`]: what happened in it

mod chance;
mod client;
mod control;
mod disk;
mod record;
mod shipping;
#[cfg(test)]
mod tests;
mod timeline;
mod world;

pub(crate) use self::timeline::histogram_us;
pub use self::{
    chance::Chance,
    control::{Commit, Controller, Offer, Refusal},
    record::{GroupRecord, Record},
    shipping::{RetryAfter, Shipping},
    timeline::{Bin, Timeline},
    world::simulate,
};
