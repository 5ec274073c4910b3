//! Where slow cryptography runs: beside the committer and the I/O threads, on
//! as many threads as there are workers, with one round of work waiting.
//!
//! A password hash takes tens of milliseconds of a core. Without a bound, a few
//! hundred logins a second would take every core from everyone and queue for
//! minutes; with one, whoever finds the round full is told so at once.

use core::time::Duration;
use std::sync::Arc;

use bcrypt::BcryptError;
use plimsoll::{Gate, Reason, Rejection};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use crate::backend::{Preparation, Prepared};
use crate::error::VaultError;

/// As Vault's: 2^10 rounds.
const BCRYPT_COST: u32 = 10;

/// How soon a refused caller may try again: about one round.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct CryptoPool {
    /// Those that run and those that wait.
    seats: Arc<Semaphore>,
    /// Those that run.
    workers: Arc<Semaphore>,
}

impl CryptoPool {
    pub(crate) fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        Self {
            seats: Arc::new(Semaphore::new(2 * workers)),
            workers: Arc::new(Semaphore::new(workers)),
        }
    }

    /// Does the work, or refuses it without having begun. If the caller goes
    /// away, work that waits is forgotten; work that runs keeps its worker
    /// until it is done.
    pub(crate) async fn run(&self, preparation: Preparation) -> Result<Prepared, VaultError> {
        if matches!(preparation, Preparation::Nothing) {
            return Ok(Prepared::Nothing);
        }
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| {
            VaultError::Rejected(Rejection {
                gate: Gate::Crypto,
                reason: Reason::Full,
                retry_after: RETRY_AFTER,
            })
        })?;
        let stopped = |_| VaultError::Internal("the crypto pool has stopped".to_owned());
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(stopped)?;
        let work = tokio::task::spawn_blocking(move || {
            let _held = (seat, worker);
            prepare(preparation)
        });
        work.await.map_err(|error| VaultError::Internal(format!("crypto pool: {error}")))?
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

    fn verify(password: &str, hash: &str) -> Preparation {
        let password = SecretString::from(password.to_owned());
        Preparation::VerifyPassword { password, hash: hash.to_owned() }
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let pool = CryptoPool::new(1);
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
        let pool = CryptoPool::new(2);
        let seats = Arc::clone(&pool.seats).acquire_many_owned(4).await.unwrap();
        let refused = pool.run(verify("a", "b")).await.unwrap_err();
        assert!(matches!(refused, VaultError::Rejected(_)));
        assert!(matches!(pool.run(Preparation::Nothing).await.unwrap(), Prepared::Nothing));
        drop(seats);
        assert!(pool.run(verify("a", "b")).await.is_ok());
    }
}
