//! What a door must be told about a request.

use bytes::Bytes;
use http::request::Parts;
use plimsoll::{Class, Demand, Timestamp};

/// Which way a request goes.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// Past no gate: health, and whatever else must be answered in any overload.
    Open,
    /// Writes nothing; waits behind no write.
    Read(Class),
    /// Through the write gate.
    Write(Demand),
    /// Administration that has not earned its class yet, because its token has
    /// not been verified: one of few lanes, and the write gate is asked by the
    /// service once it knows who is asking.
    Administration(Demand),
}

/// Knows the routes of one service.
pub trait Classify: Send + Sync + 'static {
    /// From the headers alone, at the time `now` of the door's clock.
    fn classify(&self, parts: &Parts, now: Timestamp) -> Route;

    /// Once the body is in: whose request it is may stand there.
    fn refine(&self, _parts: &Parts, _body: &Bytes, demand: Demand) -> Demand {
        demand
    }

    /// Whether a write gives space back rather than taking more of it.
    fn frees(&self, _parts: &Parts) -> bool {
        false
    }

    /// Whether the client asked to be refused, to see what that looks like.
    fn forced(&self, _parts: &Parts) -> bool {
        false
    }
}
