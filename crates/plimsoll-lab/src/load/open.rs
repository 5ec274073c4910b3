//! The open loop.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, interval, timeout_at},
};

use super::{
    Client, Flow, LoadError, LoadOptions, Progress, Report, Target,
    client::{self, Ended, Polite},
    pacer::{self, Due},
    pool::Pool,
    record::Recorder,
    report::Outcome,
    request::Requests,
};
use crate::wire::Answer;

/// Time to get ready before the first request is due.
const LEAD: Duration = Duration::from_millis(20);
/// What was started must get to run: after a stall, thousands may be due at once.
const STARTS_IN_A_ROW_MAX: u64 = 16;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Shared by the tasks of a load, all on one thread.
struct Load {
    begin: Instant,
    timeout: Duration,
    client: Option<Client>,
    patience: Duration,
    in_flight_max: usize,
    requests: Arc<Requests>,
    pools: Vec<Pool>,
    /// One for each flow, if the clients are polite.
    polite: Vec<Polite>,
    recorder: RefCell<Recorder>,
    in_flight: Cell<usize>,
    idle: Notify,
    buffers: RefCell<Vec<Vec<u8>>>,
    first_error: RefCell<Option<String>>,
}

pub(super) async fn drive(
    options: &LoadOptions,
    target: &Target,
    requests: Arc<Requests>,
    progress: Progress<'_>,
) -> Result<Report, LoadError> {
    let flows = options.expanded_flows();
    let begin = Instant::now() + LEAD;
    let polite = |_: &Flow| Polite::new(requests.method(), options.attempts_max);
    let load = Rc::new(Load {
        begin,
        timeout: options.timeout,
        client: options.client,
        patience: options.patience,
        in_flight_max: options.in_flight_max,
        pools: flows.iter().map(|flow| Pool::new(target.addr, flow.source)).collect(),
        polite: flows.iter().map(polite).collect(),
        requests,
        recorder: RefCell::new(Recorder::new(flows.into_iter().map(|flow| flow.name))),
        in_flight: Cell::new(0),
        idle: Notify::new(),
        buffers: RefCell::default(),
        first_error: RefCell::default(),
    });
    let mut due = pacer::start(options, begin);
    let mut ticks = interval(PROGRESS_INTERVAL);
    let mut sequence = 0;
    loop {
        tokio::select! {
            biased;
            next = due.recv() => {
                let Some(next) = next else { break };
                load.begin_request(next, sequence);
                sequence += 1;
                if sequence % STARTS_IN_A_ROW_MAX == 0 {
                    yield_now().await;
                }
            }
            _ = ticks.tick() => progress(load.recorder.borrow().so_far()),
        }
    }
    while load.in_flight.get() > 0 {
        tokio::select! {
            () = load.idle.notified() => {}
            _ = ticks.tick() => progress(load.recorder.borrow().so_far()),
        }
    }
    progress(load.recorder.borrow().so_far());
    let first_error = load.first_error.borrow().clone();
    Ok(load.recorder.borrow().report(options, first_error))
}

impl Load {
    fn begin_request(self: &Rc<Self>, due: Due, sequence: u64) {
        let late = self.begin.elapsed().saturating_sub(due.at);
        if self.in_flight.get() >= self.in_flight_max {
            self.recorder.borrow_mut().ended(due.flow, due.at, Outcome::Dropped, late);
            return;
        }
        self.in_flight.set(self.in_flight.get() + 1);
        self.recorder.borrow_mut().sent(late);
        let load = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let ended = load.request(due, sequence).await;
            let latency = load.begin.elapsed().saturating_sub(due.at);
            let mut recorder = load.recorder.borrow_mut();
            recorder.ended(due.flow, due.at, ended.outcome, latency);
            recorder.tried(due.at, ended, latency, load.patience);
            drop(recorder);
            load.in_flight.set(load.in_flight.get() - 1);
            if load.in_flight.get() == 0 {
                load.idle.notify_one();
            }
        });
    }

    /// Sends what is due, once or as its client does it.
    async fn request(&self, due: Due, sequence: u64) -> Ended {
        let Some(client) = self.client else {
            let until = self.begin + due.at + self.timeout;
            let answer = self.attempt(due.flow, sequence, "", until).await;
            let outcome = answer.map_or_else(|failed| failed, |answer| answer.outcome());
            return Ended { outcome, attempts: 1 };
        };
        let until = self.begin + due.at + self.patience;
        let send = async |more: String| {
            let until = until.min(Instant::now() + self.timeout);
            self.attempt(due.flow, sequence, &more, until).await
        };
        match client {
            Client::Polite => self.polite[due.flow].request(until, send).await,
            Client::Naive => client::insist(until, client::naive, || send(String::new())).await,
            Client::Storm => client::insist(until, client::storm, || send(String::new())).await,
        }
    }

    /// Sends it once.
    async fn attempt(
        &self,
        flow: usize,
        sequence: u64,
        more: &str,
        until: Instant,
    ) -> Result<Answer, Outcome> {
        let mut request = self.buffers.borrow_mut().pop().unwrap_or_default();
        self.requests.render(sequence, more, &mut request);
        let outcome = timeout_at(until, self.pools[flow].exchange(&request)).await;
        self.buffers.borrow_mut().push(request);
        match outcome {
            Err(_) => Err(Outcome::Timeout),
            Ok(Err(error)) => {
                self.first_error.borrow_mut().get_or_insert_with(|| error.to_string());
                Err(Outcome::Error)
            }
            Ok(Ok(answer)) => {
                if answer.outcome() == Outcome::Error {
                    let reason = || format!("status {}", answer.status);
                    self.first_error.borrow_mut().get_or_insert_with(reason);
                }
                Ok(answer)
            }
        }
    }
}
