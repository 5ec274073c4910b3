//! The gates: one for each class of routes, made when first configured and kept for
//! as long as the process lives, so that a reload forgets nothing they have learned.

use std::sync::{Arc, Mutex, PoisonError};

use plimsoll::opaque::{Bystanders, Entry, OpaqueGate, OpaqueGateConfig, Ticket, Waiter, Waiting};
use plimsoll::{Demand, Gate, Mode, Rejection};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::route::{LOGINS, READS, WRITES};

/// Gates that a configuration may name beside the built-in ones.
pub(crate) const GATES_MAX: usize = 64;

/// Hands a verdict to the request that waits for it.
#[derive(Debug)]
pub(crate) struct Told(oneshot::Sender<Result<Ticket, Rejection>>);

impl Waiter for Told {
    fn told(self, verdict: Result<Ticket, Rejection>) {
        // A client that went away drops its ticket, which gives the place back.
        drop(self.0.send(verdict));
    }
}

/// A gate and its name.
#[derive(Clone, Debug)]
pub(crate) struct NamedGate {
    pub(crate) name: &'static str,
    pub(crate) gate: OpaqueGate<Told>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Gates {
    gates: Mutex<Vec<NamedGate>>,
    bystanders: Bystanders,
    clock: Clock,
}

impl Gates {
    /// The built-in ones.
    pub(crate) fn new(mode: Mode, clock: Clock) -> Self {
        let gates = Self { gates: Mutex::default(), bystanders: Bystanders::default(), clock };
        for name in [LOGINS, WRITES, READS] {
            gates.add(name, mode);
        }
        gates
    }

    /// Makes sure that there is a gate of that name.
    pub(crate) fn ensure(&self, name: &str, mode: Mode) {
        if self.lock().iter().all(|gate| gate.name != name) {
            // Once for each name that a configuration has ever held.
            self.add(Box::leak(name.to_owned().into_boxed_str()), mode);
        }
    }

    fn add(&self, name: &'static str, mode: Mode) {
        let config = OpaqueGateConfig::default();
        let bystanders = self.bystanders.clone();
        let gate = OpaqueGate::beside(bystanders, Gate::Route(name), config, mode, Arc::new(()));
        self.lock().push(NamedGate { name, gate });
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        for NamedGate { gate, .. } in self.lock().iter() {
            gate.set_mode(mode);
        }
    }

    /// All of them, to be looked up without a lock.
    pub(crate) fn all(&self) -> Vec<NamedGate> {
        self.lock().clone()
    }

    /// Enters a gate of which no more than `callers_max` can ask, and waits at it if need
    /// be.
    ///
    /// # Errors
    /// It refuses, at once or after a short wait.
    pub(crate) async fn enter(
        &self,
        gate: &OpaqueGate<Told>,
        demand: &Demand,
        callers_max: u32,
    ) -> Result<Ticket, Rejection> {
        let mut verdict = None;
        let entry = gate.enter_among(self.clock.now(), demand, callers_max, || {
            let (sender, receiver) = oneshot::channel();
            verdict = Some(receiver);
            Told(sender)
        })?;
        match (entry, verdict) {
            (Entry::Waiting(waiting), Some(verdict)) => self.wait(waiting, verdict).await,
            (Entry::Started(ticket), _) => Ok(ticket),
            // A gate that lets wait has made its waiter.
            (Entry::Waiting(_), None) => core::future::pending().await,
        }
    }

    async fn wait(
        &self,
        waiting: Waiting,
        mut verdict: oneshot::Receiver<Result<Ticket, Rejection>>,
    ) -> Result<Ticket, Rejection> {
        let until = Instant::now() + waiting.until().since(self.clock.now());
        let told = tokio::select! {
            biased;
            told = &mut verdict => told,
            () = sleep_until(until) => match waiting.expire(self.clock.now()) {
                Some(rejection) => return Err(rejection),
                // It was told in this very moment.
                None => verdict.await,
            },
        };
        match told {
            Ok(told) => told,
            // A gate tells everybody, or is gone with the process.
            Err(_) => core::future::pending().await,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<NamedGate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
