//! Where slow cryptography runs: beside the committer and the I/O threads, on
//! threads of its own, with one round of work waiting.
//!
//! A password hash takes tens of milliseconds of a core. Without a bound, a few
//! hundred logins a second would take every core from everyone and queue for
//! minutes; with one, whoever finds the round full is told so at once. And the
//! threads are *nice*: while they have work, everybody else's comes first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use bcrypt::BcryptError;
use plimsoll::Class;
use plimsoll::Mode;
use plimsoll::capacity::{CapacityGate, Held};
use plimsoll_store::Clock;
use secrecy::ExposeSecret as _;
use tokio::sync::oneshot;

use crate::backend::{Preparation, Prepared};
use crate::error::VaultError;

/// As Vault's: 2^10 rounds.
const BCRYPT_COST: u32 = 10;

/// A tenth of a core that others want, all of one that nobody wants.
const NICENESS: i32 = 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct CryptoPool {
    gate: CapacityGate,
    clock: Clock,
    jobs: Sender<Job>,
}

/// Work that waits for a worker.
struct Job {
    preparation: Preparation,
    answer: oneshot::Sender<Result<Prepared, VaultError>>,
    /// Given back when the work is done or forgotten.
    _held: Held,
}

impl CryptoPool {
    pub(crate) fn new(workers: usize, clock: Clock) -> Result<Self, VaultError> {
        let failed = |error: &dyn core::fmt::Display| {
            VaultError::Internal(format!("the threads of the crypto pool: {error}"))
        };
        let workers = workers.max(1);
        let gate = CapacityGate::crypto(workers, Mode::Enforce).map_err(|error| failed(&error))?;
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..workers {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("plimsoll-crypto".to_owned())
                .spawn(move || work(&queue))
                .map_err(|error| failed(&error))?;
        }
        Ok(Self { gate, clock, jobs })
    }

    pub(crate) const fn gate(&self) -> &CapacityGate {
        &self.gate
    }

    /// Does the work, or refuses it without having begun. If the caller goes
    /// away, work that waits is forgotten; work that runs keeps its worker
    /// until it is done.
    pub(crate) async fn run(&self, preparation: Preparation) -> Result<Prepared, VaultError> {
        if matches!(preparation, Preparation::Nothing) {
            return Ok(Prepared::Nothing);
        }
        let held = self.gate.hold(self.clock.now(), Class::Normal, 1);
        let held = held.map_err(VaultError::Rejected)?;
        let (answer, prepared) = oneshot::channel();
        let stopped = || VaultError::Internal("the crypto pool has stopped".to_owned());
        let job = Job { preparation, answer, _held: held };
        self.jobs.send(job).map_err(|_| stopped())?;
        prepared.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// What a worker does until the pool is dropped.
fn work(queue: &Mutex<Receiver<Job>>) {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "password hashing runs at everybody's priority");
    }
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { preparation, answer, _held }) = next else { return };
        if answer.is_closed() {
            continue;
        }
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare(preparation)));
        let panicked = |_| Err(VaultError::Internal("crypto pool: a hash panicked".to_owned()));
        // Nobody may be waiting any more.
        let _ = answer.send(prepared.unwrap_or_else(panicked));
    }
}

fn prepare(preparation: Preparation) -> Result<Prepared, VaultError> {
    match preparation {
        Preparation::Nothing => Ok(Prepared::Nothing),
        Preparation::VerifyPassword { password, hash } => {
            // A hash that cannot be read matches nothing.
            let matches = bcrypt::verify(password.expose_secret(), &hash).unwrap_or(false);
            Ok(Prepared::PasswordVerified { hash, matches })
        }
        Preparation::HashPassword { password } => {
            match bcrypt::non_truncating_hash(password.expose_secret(), BCRYPT_COST) {
                Ok(hash) => Ok(Prepared::PasswordHashed { hash }),
                Err(BcryptError::Truncation(_)) => {
                    Err(VaultError::invalid("bcrypt: password length exceeds 72 bytes"))
                }
                Err(error) => Err(VaultError::Internal(format!("bcrypt: {error}"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrecy::SecretString;

    use super::*;

    fn pool(workers: usize) -> CryptoPool {
        CryptoPool::new(workers, Clock::start()).unwrap()
    }

    fn verify(password: &str, hash: &str) -> Preparation {
        let password = SecretString::from(password.to_owned());
        Preparation::VerifyPassword { password, hash: hash.to_owned() }
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let pool = pool(1);
        let hash = bcrypt::hash("right", 4).unwrap();
        for (password, expected) in [("right", true), ("wrong", false)] {
            let prepared = pool.run(verify(password, &hash)).await.unwrap();
            let Prepared::PasswordVerified { matches, .. } = prepared else { panic!() };
            assert_eq!(matches, expected);
        }
        let prepared = pool.run(verify("right", "not a hash")).await.unwrap();
        assert!(matches!(prepared, Prepared::PasswordVerified { matches: false, .. }));
    }

    #[tokio::test]
    async fn work_beyond_one_waiting_round_is_refused_at_once() {
        let pool = pool(2);
        let now = pool.clock.now();
        let full = pool.gate.hold(now, Class::Normal, 4).unwrap();
        let refused = pool.run(verify("a", "b")).await.unwrap_err();
        assert!(matches!(refused, VaultError::Rejected(_)));
        assert!(matches!(pool.run(Preparation::Nothing).await.unwrap(), Prepared::Nothing));
        drop(full);
        assert!(pool.run(verify("a", "b")).await.is_ok());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_gives_its_place_back() {
        let pool = pool(1);
        let hash = bcrypt::hash("right", 4).unwrap();
        for _ in 0..100 {
            // Polled once: the job is queued, then its owner is gone.
            tokio::select! {
                biased;
                _ = pool.run(verify("right", &hash)) => {}
                () = core::future::ready(()) => {}
            }
        }
        while pool.gate.held() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
