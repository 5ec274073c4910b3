//! A store and everything that stands on it, replaced as one.
//!
//! A restored snapshot is another store: no token, cache, gate or view of the old one
//! may meet it. So the whole stack is built anew on the new store while the old one
//! serves, and requests that come after the change go to the new one. What is under
//! way ends where it began.

mod build;
mod dirs;
mod front;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use plimsoll_store::LogStore;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::replication::{Following, Replica, replica};
use crate::server::ServerError;
use crate::service::Shared;
use crate::stack::dirs::StoreDirs;
use crate::stack::front::ApiService;

pub(crate) use crate::stack::build::Builder;
pub(crate) use crate::stack::front::{Front, Response};

/// How often it is looked whether the last request of an old stack has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One store and what stands on it.
pub(crate) struct Stack {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<LogStore>,
    /// One for each listener, in their order.
    services: Vec<ApiService>,
    /// For what secondaries pass on.
    cluster: ApiService,
    /// Ends its background work.
    retired: CancellationToken,
}

/// Whose data a store holds.
pub(crate) enum Role {
    /// Its own.
    Own,
    /// That of the primary which it follows.
    Secondary(Replica),
}

/// The one that serves now, and how to make another.
pub(crate) struct Stacks {
    current: ArcSwap<Stack>,
    builder: Builder,
    dirs: StoreDirs,
    /// One change at a time.
    changing: Mutex<()>,
    runtime: Handle,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// The store was not replaced, and nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError<E> {
    #[error("the store is being replaced already")]
    Busy,
    #[error(transparent)]
    Fill(E),
    #[error("{0}")]
    Open(#[from] ServerError),
}

impl Stack {
    /// The API as the first listener offers it.
    pub(crate) fn service(&self) -> ApiService {
        self.cluster.clone()
    }

    /// Cancelled as soon as another one serves in its place.
    pub(crate) fn retired(&self) -> CancellationToken {
        self.retired.clone()
    }
}

impl Stacks {
    /// Opens the store that is the current one in the data directory.
    pub(crate) fn open(
        builder: Builder,
        runtime: Handle,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, ServerError> {
        let dirs = StoreDirs::open(builder.data_dir())?;
        let stack = {
            let _entered = runtime.enter();
            let replica = match dirs.is_secondary()? {
                true => replica(builder.data_dir())?,
                false => None,
            };
            let role = replica.map_or(Role::Own, Role::Secondary);
            builder.build(&dirs.current()?, &role)?
        };
        // Only now, that the directory is ours.
        dirs.remove_others()?;
        let current = ArcSwap::from_pointee(stack);
        let stacks =
            Self { current, builder, dirs, changing: Mutex::default(), runtime, tasks, shutdown };
        Ok(Arc::new(stacks))
    }

    /// The one that serves, for an instant: without counting a reference that all requests
    /// share.
    fn serving(&self) -> Guard<Arc<Stack>> {
        self.current.load()
    }

    pub(crate) fn current(&self) -> Arc<Stack> {
        self.current.load_full()
    }

    /// Starts the background work of the current stack, unless it has been.
    pub(crate) fn start_background(&self) {
        self.start_background_of(&self.current());
    }

    /// Replaces the store by what `fill` writes into a fresh directory. `opened` is
    /// told about both stacks before the new one takes over. Blocks.
    pub(crate) fn replace<E>(
        &self,
        role: Role,
        fill: impl FnOnce(&Path) -> Result<(), E>,
        opened: impl FnOnce(&Stack, &Stack) -> Result<(), E>,
    ) -> Result<(), ReplaceError<E>> {
        let _changing = match self.changing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return Err(ReplaceError::Busy),
        };
        let io = |error| ReplaceError::Open(ServerError::Io(error));
        let old = self.current();
        let dir = self.dirs.fresh().map_err(io)?;
        fill(&dir).map_err(ReplaceError::Fill)?;
        let new = {
            let _entered = self.runtime.enter();
            Arc::new(self.builder.build(&dir, &role)?)
        };
        opened(&old, &new).map_err(ReplaceError::Fill)?;
        let secondary = matches!(role, Role::Secondary(_));
        self.dirs.make_current(&dir, secondary).map_err(io)?;
        self.start_background_of(&new);
        self.current.store(new);
        self.retire(old);
        Ok(())
    }

    /// The store that is here is its own from now on.
    pub(crate) fn leave_primary(&self) -> std::io::Result<()> {
        self.dirs.make_current(&self.dirs.current()?, false)
    }

    /// What is shared by all stacks about the primary that they follow.
    pub(crate) fn following(&self) -> Arc<Following> {
        Arc::clone(&self.builder.following)
    }

    fn start_background_of(&self, stack: &Stack) {
        let (retired, shutdown) = (stack.retired.clone(), self.shutdown.clone());
        let end = async move {
            tokio::select! {
                () = retired.cancelled() => {}
                () = shutdown.cancelled() => {}
            }
        };
        let work = Arc::clone(&stack.shared.vault).run_background(end);
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// Closes a stack when its last request has ended, and removes its directory.
    fn retire(&self, old: Arc<Stack>) {
        old.retired.cancel();
        old.shared.vault.seal_now();
        let (dirs, shutdown) = (self.dirs.clone(), self.shutdown.clone());
        let closing = move || {
            let store = Arc::clone(&old.store);
            drop(old);
            while Arc::strong_count(&store) > 1 && !shutdown.is_cancelled() {
                std::thread::sleep(LOOK_AGAIN);
            }
            drop(store);
            if let Err(error) = dirs.remove_others() {
                tracing::warn!(%error, "what is left of the former store could not be removed");
            }
        };
        self.tasks.spawn_blocking_on(closing, &self.runtime);
    }
}
