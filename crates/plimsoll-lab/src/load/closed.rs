//! The closed loop: how much the server can do, not what its clients feel.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};

use super::{
    LoadError, LoadOptions, Progress, Report, Target, pool::Pool, record::Recorder,
    report::Outcome, request::Requests,
};

/// A client that cannot connect does not try again at once.
const RECONNECT_WAIT: Duration = Duration::from_millis(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

struct Load {
    begin: Instant,
    duration: Duration,
    timeout: Duration,
    target: Target,
    requests: Arc<Requests>,
    recorder: RefCell<Recorder>,
    sequence: Cell<u64>,
    first_error: RefCell<Option<String>>,
}

pub(super) async fn drive(
    options: &LoadOptions,
    connections: u32,
    target: &Target,
    requests: Arc<Requests>,
    progress: Progress<'_>,
) -> Result<Report, LoadError> {
    let load = Rc::new(Load {
        begin: Instant::now(),
        duration: options.duration,
        timeout: options.timeout,
        target: target.clone(),
        requests,
        recorder: RefCell::new(Recorder::new(["all".to_owned()])),
        sequence: Cell::new(0),
        first_error: RefCell::default(),
    });
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn_local(Rc::clone(&load).client());
    }
    let mut ticks = interval(PROGRESS_INTERVAL);
    loop {
        tokio::select! {
            ended = clients.join_next() => if ended.is_none() { break },
            _ = ticks.tick() => progress(load.recorder.borrow().so_far()),
        }
    }
    progress(load.recorder.borrow().so_far());
    let first_error = load.first_error.borrow().clone();
    Ok(load.recorder.borrow().report(options, first_error))
}

impl Load {
    /// One connection, one request after the other, until the time is up.
    async fn client(self: Rc<Self>) {
        let pool = Pool::new(self.target.addr, None);
        let mut request = Vec::new();
        loop {
            let at = self.begin.elapsed();
            if at >= self.duration {
                return;
            }
            self.requests.render(self.sequence.replace(self.sequence.get() + 1), "", &mut request);
            let outcome = match timeout(self.timeout, pool.exchange(&request)).await {
                Err(_) => Outcome::Timeout,
                Ok(Ok(answer)) => Outcome::of_status(answer.status),
                Ok(Err(error)) => {
                    self.first_error.borrow_mut().get_or_insert_with(|| error.to_string());
                    sleep(RECONNECT_WAIT).await;
                    Outcome::Error
                }
            };
            let latency = self.begin.elapsed().saturating_sub(at);
            self.recorder.borrow_mut().ended(0, at, outcome, latency);
        }
    }
}
