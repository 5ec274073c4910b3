//! From a decision to a commit.
//!
//! A decision is made twice at most in the usual case: once here, against the
//! latest view, and again by the committer if something that it read has
//! changed by then. Either time it leaves its outcome where the requester finds
//! it, so that what is answered is what was committed.

use std::sync::{Arc, Mutex, PoisonError};

use plimsoll::write::Place;
use plimsoll_store::{StoreError, Transact, Txn, View};

use crate::context::{Cipher, Context};
use crate::error::VaultError;
use crate::vault::Vault;

/// Bytes of one entry at most, as stored.
pub(crate) const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// What the committer calls.
type Decider = Box<dyn FnMut(&dyn View) -> Txn + Send>;

/// A decision that was made once.
pub(crate) struct Decision<T> {
    txn: Txn,
    decide: Decider,
    outcome: Arc<Mutex<Option<T>>>,
}

impl<T: Send + 'static> Decision<T> {
    /// Decides. `decide` must not have effects but in its context. What it
    /// wrote there is committed whatever it answers.
    pub(crate) fn make(
        vault: &Arc<Vault>,
        cipher: Arc<dyn Cipher>,
        mut decide: impl FnMut(&mut Context<'_>) -> T + Send + 'static,
    ) -> Self {
        let outcome = Arc::new(Mutex::new(None));
        let (vault, slot) = (Arc::clone(vault), Arc::clone(&outcome));
        let view = vault.store.view();
        let mut decide = move |view: &dyn View| {
            let now = (vault.options.clock)();
            let mut context = Context::new(view, &*cipher, now).with_decoded(&vault.decoded);
            let answer = decide(&mut context);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            context.into_txn()
        };
        let txn = decide(&*view);
        Self { txn, decide: Box::new(decide), outcome }
    }

    /// Whether there is something to commit.
    pub(crate) fn writes(&self) -> bool {
        !self.txn.is_empty()
    }

    /// What it would add to the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.txn.bytes()
    }

    /// Looks at the outcome so far.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// The outcome of a decision that is not to be committed.
    pub(crate) fn outcome(self) -> Result<T, VaultError> {
        take(&self.outcome)
    }

    /// Makes it true, and tells what was decided in the end.
    pub(crate) async fn commit(self, vault: &Vault, place: Option<Place>) -> Result<T, VaultError> {
        if !self.writes() {
            return self.outcome();
        }
        let Self { txn, mut decide, outcome } = self;
        check_sizes(&txn)?;
        let decide = Box::new(move |view: &dyn View| Ok(decide(view)));
        let receipt = vault.store.submit(Transact { txn, decide, place });
        match receipt.await {
            Ok(Ok(_revision)) => take(&outcome),
            Ok(Err(error)) => {
                if matches!(error, StoreError::Stopped(_) | StoreError::OutcomeUnknown(_)) {
                    // The disk can no longer be trusted: no more answers from it.
                    tracing::error!(%error, "the storage takes no more writes");
                    vault.seal_now();
                }
                Err(error.into())
            }
            Err(_) => Err(VaultError::OutcomeUnknown("the storage went away".to_owned())),
        }
    }
}

impl Vault {
    /// Decides and commits; nothing is written if the decision is an error.
    pub(crate) async fn transact<T: Send + 'static>(
        self: &Arc<Self>,
        place: Option<Place>,
        decide: impl FnMut(&mut Context<'_>) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        self.transact_with(self.cipher(), place, decide).await
    }

    /// With another cipher than that of the barrier: before there is one.
    pub(crate) async fn transact_with<T: Send + 'static>(
        self: &Arc<Self>,
        cipher: Arc<dyn Cipher>,
        place: Option<Place>,
        mut decide: impl FnMut(&mut Context<'_>) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let decision = Decision::make(self, cipher, move |context| {
            let savepoint = context.savepoint();
            let result = decide(context);
            if result.is_err() {
                context.roll_back(savepoint);
            }
            result
        });
        decision.commit(self, place).await?
    }

    pub(crate) fn cipher(&self) -> Arc<dyn Cipher> {
        Arc::clone(&self.barrier) as Arc<dyn Cipher>
    }
}

fn check_sizes(txn: &Txn) -> Result<(), VaultError> {
    match txn.puts.iter().map(|(_, value)| value.len()).max() {
        Some(bytes) if bytes > ENTRY_BYTES_MAX => Err(VaultError::TooLarge(format!(
            "put failed due to value being too large; got {bytes} bytes, max: {ENTRY_BYTES_MAX} bytes"
        ))),
        _ => Ok(()),
    }
}

fn take<T>(outcome: &Mutex<Option<T>>) -> Result<T, VaultError> {
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    outcome.ok_or_else(|| VaultError::Internal("a decision without an outcome".to_owned()))
}
