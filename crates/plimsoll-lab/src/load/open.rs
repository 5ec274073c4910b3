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
    LoadError, LoadOptions, Progress, Report, Target,
    pacer::{self, Due},
    pool::Pool,
    record::Recorder,
    report::Outcome,
    request::Requests,
};

/// Time to get ready before the first request is due.
const LEAD: Duration = Duration::from_millis(20);
/// What was started must get to run: after a stall, thousands may be due at once.
const STARTS_IN_A_ROW_MAX: u64 = 16;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Shared by the tasks of a load, all on one thread.
struct Load {
    begin: Instant,
    timeout: Duration,
    in_flight_max: usize,
    requests: Arc<Requests>,
    pools: Vec<Pool>,
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
    let load = Rc::new(Load {
        begin,
        timeout: options.timeout,
        in_flight_max: options.in_flight_max,
        requests,
        pools: flows.iter().map(|flow| Pool::new(target.addr, flow.source)).collect(),
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
            let outcome = load.request(due, sequence).await;
            let latency = load.begin.elapsed().saturating_sub(due.at);
            load.recorder.borrow_mut().ended(due.flow, due.at, outcome, latency);
            load.in_flight.set(load.in_flight.get() - 1);
            if load.in_flight.get() == 0 {
                load.idle.notify_one();
            }
        });
    }

    async fn request(&self, due: Due, sequence: u64) -> Outcome {
        let mut request = self.buffers.borrow_mut().pop().unwrap_or_default();
        self.requests.render(sequence, &mut request);
        let patience_ends = self.begin + due.at + self.timeout;
        let outcome = timeout_at(patience_ends, self.pools[due.flow].exchange(&request)).await;
        self.buffers.borrow_mut().push(request);
        match outcome {
            Err(_) => Outcome::Timeout,
            Ok(Err(error)) => {
                self.first_error.borrow_mut().get_or_insert_with(|| error.to_string());
                Outcome::Error
            }
            Ok(Ok(answer)) => {
                let outcome = Outcome::of_status(answer.status);
                if outcome == Outcome::Error {
                    let reason = || format!("status {}", answer.status);
                    self.first_error.borrow_mut().get_or_insert_with(reason);
                }
                outcome
            }
        }
    }
}
