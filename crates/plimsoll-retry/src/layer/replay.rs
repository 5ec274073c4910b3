//! Bodies for another attempt.

/// How to get a body for another attempt.
pub trait Replay<B> {
    /// Another body like this one, which has not been read from yet; none if it
    /// can be sent only once.
    fn replay(&self, body: &B) -> Option<B>;
}

/// Bodies that are in memory are cloned.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneBody;

impl<B: Clone> Replay<B> for CloneBody {
    fn replay(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

/// Bodies that stream are sent once.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOnce;

impl<B> Replay<B> for SendOnce {
    fn replay(&self, _: &B) -> Option<B> {
        None
    }
}

impl<B, F: Fn(&B) -> Option<B>> Replay<B> for F {
    fn replay(&self, body: &B) -> Option<B> {
        self(body)
    }
}
