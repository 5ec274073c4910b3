//! What decides about requests.

use plimsoll::{Class, Cost, Flow, Timestamp, write::CommitSample};

/// A request as the controller sees it.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// How much it matters.
    pub class: Class,
    /// Whose it is.
    pub flow: Flow,
    /// What it takes.
    pub cost: Cost,
    /// The same in the batch's own units.
    pub units: u32,
}

/// A request turned away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusal {
    /// It had been admitted before.
    pub late: bool,
    /// When to come back, in seconds.
    pub retry_after: f64,
}

/// A commit that ended.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// How long it took.
    pub sample: CommitSample,
    /// What was in it.
    pub ids: &'a [u32],
}

/// Decides about every request, and keeps those it admitted until it hands them
/// to the disk. Requests are known by an id that is used again once the request
/// is over.
pub trait Controller {
    /// Admits or refuses a request whose last byte is in.
    ///
    /// # Errors
    /// It is refused.
    fn arrive(&mut self, now: Timestamp, id: u32, offer: &Offer) -> Result<(), Refusal>;

    /// What comes before the queue is done: an admitted request wants to wait.
    ///
    /// # Errors
    /// It lost its place meanwhile.
    fn enqueue(&mut self, now: Timestamp, id: u32) -> Result<(), Refusal>;

    /// The client hung up. A controller may not care.
    fn abandoned(&mut self, _now: Timestamp, _id: u32) {}

    /// Fills the next batch.
    fn take(&mut self, now: Timestamp, batch: &mut Vec<u32>);

    /// A commit ended.
    fn committed(&mut self, now: Timestamp, commit: &Commit<'_>);

    /// Moves out who lost its place since the last call.
    fn turned_away(&mut self, out: &mut Vec<(u32, Refusal)>);

    /// Units in the queue.
    fn waiting_units(&self, now: Timestamp) -> u64;
}
