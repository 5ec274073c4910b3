//! Work that nobody waits for: ending leases, emptying what was unmounted, removing
//! SecretIDs that expired.
//!
//! Each step is one bounded transaction without a place in the write queue, so
//! it enters a commit when there is room, and at least a tenth of each is kept
//! for it. There is one step under way at a time; its intents are in the store,
//! so a restart goes on where it was.

use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use crate::context::Context;
use crate::engines::approle::tidy_step;
use crate::error::VaultError;
use crate::idempotency;
use crate::lease::{self, LEASES_PER_STEP_MAX as ITEMS_PER_STEP_MAX};
use crate::mounts::unmount_step;
use crate::quota::leases;
use crate::vault::Vault;

/// How often it is looked for work that has come due.
const IDLE: Duration = Duration::from_secs(1);

/// How long to wait after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

impl Vault {
    /// Does the background work until `shutdown` is ready.
    pub async fn run_background(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        let work = async {
            loop {
                let pause = match self.background_step().await {
                    Ok(0) => IDLE,
                    Ok(_) => continue,
                    Err(VaultError::Sealed) => IDLE,
                    Err(error) => {
                        tracing::warn!(%error, ?error, "background work failed");
                        AFTER_FAILURE
                    }
                };
                let woken = self.work.notified();
                let _ = tokio::time::timeout(pause, woken).await;
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = work => {}
        }
    }

    /// Does one step. How many items it was; 0 means that there is nothing to
    /// do for now.
    ///
    /// # Errors
    /// The server is sealed, or the store failed.
    pub async fn background_step(self: &Arc<Self>) -> Result<usize, VaultError> {
        if self.is_sealed() {
            return Err(VaultError::Sealed);
        }
        if self.is_following() {
            // What comes due is the primary's to do.
            return Ok(0);
        }
        let kept = self.idempotency_step().await?;
        let done = self.transact(None, |context: &mut Context<'_>| {
            let mut items = unmount_step(context)? + leases::step(context, ITEMS_PER_STEP_MAX)?;
            items += lease::step(context, ITEMS_PER_STEP_MAX)?;
            Ok(items + tidy_step(context, ITEMS_PER_STEP_MAX.saturating_sub(items))?)
        });
        let done = done.await?;
        let late = self.glance(|context| lease::late(context))?;
        self.backlog.report(self.options.gate_clock.now(), late);
        Ok(kept + done)
    }

    /// Removes answers that nobody will ask for again.
    async fn idempotency_step(self: &Arc<Self>) -> Result<usize, VaultError> {
        let counted = self.glance(|context| self.kept.count(context))?;
        let surplus = self.kept.surplus(self.options.kept_answers_max);
        let removed =
            self.transact(None, move |context| idempotency::step(context, surplus)).await?;
        self.kept.removed(removed);
        Ok(counted + removed)
    }
}
