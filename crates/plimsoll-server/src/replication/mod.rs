//! Replication: a second place that holds what the first one holds.
//!
//! The primary listens on its cluster address, with certificates of an authority of
//! its own that is kept behind the barrier, and hands out one token for each secondary.
//! A secondary shows its token once, is given the primary's root key encrypted to it,
//! takes a snapshot, and from then on every group of the log in order
//! ([`follow`]). It answers reads itself and passes writes on ([`mod@forward`]).
//!
//! Everything here runs on threads of its own: neither a storm of writes on the primary
//! nor one of reads on the secondary stands in line with it, and no gate is asked.

mod api;
mod bootstrap;
mod client;
mod credentials;
mod follow;
mod forward;
mod index;
mod local;
mod primary;
mod record;
mod serve;
mod shipper;
mod status;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::replication::local::Local;
use crate::server::ServerError;
use crate::stack::Stacks;

pub(crate) use crate::replication::api::{answer, is_for};
pub(crate) use crate::replication::forward::forward;
pub(crate) use crate::replication::index::{INDEX_HEADER, Wanted, index_of};
pub(crate) use crate::replication::local::{Replica, replica};
pub(crate) use crate::replication::status::Following;

/// Kept of the log for secondaries that were away, in bytes.
pub(crate) const LOG_RETAIN_BYTES: u64 = 1 << 30;

/// Who this server is to others.
pub(crate) struct Replication {
    stacks: Arc<Stacks>,
    local: Local,
    /// Of the listener of the primary, as configured.
    cluster_address: Option<SocketAddr>,
    /// Of the first listener for clients: its neighbour is where the cluster's is.
    api_address: SocketAddr,
    /// Where shipping and applying run.
    handle: Handle,
    /// Where requests run.
    requests: Handle,
    pub(crate) following: Arc<Following>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    /// Ends what runs for the current role.
    role: Mutex<CancellationToken>,
    shutdown: CancellationToken,
}

impl Replication {
    pub(crate) fn start(
        stacks: &Arc<Stacks>,
        data_dir: &Path,
        cluster_address: Option<SocketAddr>,
        api_address: SocketAddr,
        requests: Handle,
        shutdown: CancellationToken,
    ) -> Result<(Arc<Self>, std::thread::JoinHandle<()>), ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let replication = Arc::new(Self {
            stacks: Arc::clone(stacks),
            local: Local::new(data_dir),
            cluster_address,
            api_address,
            handle: runtime.handle().clone(),
            requests,
            following: stacks.following(),
            changing: tokio::sync::Mutex::default(),
            role: Mutex::new(shutdown.child_token()),
            shutdown: shutdown.clone(),
        });
        let watched = Arc::clone(&replication);
        let thread =
            std::thread::Builder::new().name("plimsoll-repl".to_owned()).spawn(move || {
                runtime.block_on(watched.watch());
                runtime.shutdown_background();
            })?;
        Ok((replication, thread))
    }

    /// Takes up the role that the stored records say as soon as the server is unsealed,
    /// and lays it down when it is sealed.
    async fn watch(self: Arc<Self>) {
        let mut was_sealed = true;
        loop {
            let sealed = self.stacks.current().shared.vault.is_sealed();
            if sealed != was_sealed && !self.following.is_bootstrapping() {
                was_sealed = sealed;
                let changing = self.changing.lock().await;
                if sealed {
                    self.lay_down();
                } else if let Err(error) = self.take_up().await {
                    tracing::error!(%error, "replication does not start");
                }
                drop(changing);
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return self.lay_down(),
                () = tokio::time::sleep(status::LOOK) => {}
            }
        }
    }

    /// Starts what the records say this server is.
    async fn take_up(self: &Arc<Self>) -> Result<(), api::ApiError> {
        self.lay_down();
        if let Some(replica) = self.local.read()? {
            return self.take_up_following(&replica);
        }
        self.take_up_primary().await
    }

    /// Ends what runs for the role so far, and gives a token for the next.
    fn lay_down(&self) {
        let mut role = self.role.lock().unwrap_or_else(PoisonError::into_inner);
        role.cancel();
        *role = self.shutdown.child_token();
        self.following.primary.store(None);
        self.following.link.store(None);
    }

    fn role_token(&self) -> CancellationToken {
        self.role.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
