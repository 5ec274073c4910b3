//! Threads that serve connections, each from begin to end.

use std::{io, num::NonZero, sync::Arc, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Threads with a runtime each, one for every processor; they end when this is dropped,
/// and with them whatever still runs there.
///
/// A runtime of many threads moves work to whoever is idle, and wakes threads to look for
/// some. Where a request is a few dozen microseconds of work and the processors have others
/// to serve, that costs more than it gains. Here a connection stays where it is, and what
/// arrives on it wakes one thread.
#[derive(Debug)]
pub struct Workers {
    each: Arc<[Worker]>,
    threads: Vec<thread::JoinHandle<()>>,
    end: CancellationToken,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// A thread, or what it waits with, cannot be had.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let runtimes = (0..count)
            .map(|_| Builder::new_current_thread().enable_all().build())
            .collect::<io::Result<Vec<_>>>()?;
        let each = runtimes.iter().map(|runtime| Worker::new(runtime.handle().clone())).collect();
        let mut workers = Self { each, threads: Vec::new(), end: CancellationToken::new() };
        for (number, runtime) in runtimes.into_iter().enumerate() {
            let end = workers.end.clone();
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            workers.threads.push(thread.spawn(move || {
                runtime.block_on(end.cancelled());
                runtime.shutdown_background();
            })?);
        }
        Ok(workers)
    }

    /// How many there are: at least one.
    pub fn count(&self) -> usize {
        self.each.len()
    }

    /// The runtime of the first, for what there is one of.
    pub fn first(&self) -> &Handle {
        &self.each[0].runtime
    }

    pub(crate) fn each(&self) -> Arc<[Worker]> {
        Arc::clone(&self.each)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end.cancel();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One of those who serve.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) runtime: Handle,
    /// Held by each connection as well.
    connections: Arc<()>,
}

/// A connection of a worker's, as long as this is held.
pub(crate) struct Occupied(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Worker {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, connections: Arc::default() }
    }

    /// The one with the fewest connections, of at least one worker.
    pub(crate) fn idlest(each: &[Self]) -> &Self {
        let fewest = each.iter().min_by_key(|worker| Arc::strong_count(&worker.connections));
        fewest.unwrap_or(&each[0])
    }

    /// Gives it one more.
    pub(crate) fn occupy(&self) -> Occupied {
        Occupied(Arc::clone(&self.connections))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_connection_goes_to_whoever_has_the_fewest() {
        let each = [(); 3].map(|()| Worker::new(Handle::current()));
        let number = |worker| each.iter().position(|one| core::ptr::eq(one, worker));
        let mut connections = Vec::new();
        for expected in [0, 1, 2, 0] {
            let worker = Worker::idlest(&each);
            assert_eq!(number(worker), Some(expected));
            connections.push(worker.occupy());
        }
        // The second one's ends.
        connections.remove(1);
        assert_eq!(number(Worker::idlest(&each)), Some(1));
    }
}
