//! What is announced at the moment.

use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

use crate::maintenance::{Bypass, Phase, Plan};

/// A window and who may pass it.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The window.
    pub plan: Arc<Plan>,
    /// Who may pass.
    pub bypass: Option<Bypass>,
}

impl From<Plan> for Announced {
    fn from(plan: Plan) -> Self {
        Self { plan: Arc::new(plan), bypass: None }
    }
}

/// At most one window at a time, changed while requests go through. Clones share
/// it.
#[derive(Clone, Debug, Default)]
pub struct Maintenance(Arc<ArcSwapOption<Announced>>);

impl Maintenance {
    /// Announces a window in place of any other.
    pub fn announce(&self, announced: impl Into<Announced>) {
        self.0.store(Some(Arc::new(announced.into())));
    }

    /// Ends it, or takes its announcement back.
    pub fn end(&self) {
        self.0.store(None);
    }

    /// What is announced, even if it is over.
    pub fn announced(&self) -> Option<Arc<Announced>> {
        self.0.load_full()
    }

    /// What is announced, with where it stands; nothing once it is over.
    pub fn current(&self, now: SystemTime) -> Option<(Arc<Announced>, Phase)> {
        let announced = self.announced()?;
        let phase = announced.plan.phase(now);
        (phase != Phase::Over).then_some((announced, phase))
    }

    /// The window in force and how long it still is, if anybody knows.
    pub fn in_force(&self, now: SystemTime) -> Option<(Arc<Announced>, Option<Duration>)> {
        match self.current(now)? {
            (announced, Phase::InForce(remaining)) => Some((announced, remaining)),
            _ => None,
        }
    }
}
