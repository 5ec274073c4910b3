use std::sync::{Arc, Mutex};

use super::*;
use crate::demand::{Class, Cost, Flow};

type Told = Arc<Mutex<Vec<(u32, Result<Ticket, Rejection>)>>>;

/// A waiter with a name, and where it writes what it was told.
struct Named(u32, Told);

impl Waiter for Named {
    fn told(self, verdict: Result<Ticket, Rejection>) {
        self.1.lock().expect("not poisoned").push((self.0, verdict));
    }
}

fn gate(in_flight_max: u32) -> OpaqueGate<Named> {
    let config = OpaqueGateConfig::default().with_in_flight_max(in_flight_max).expect("not zero");
    OpaqueGate::new(Gate::Upstream, config, Mode::Enforce, Arc::new(()))
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

fn demand(flow: u64, class: Class) -> Demand {
    Demand { class, flow: Flow(flow), cost: Cost::item(100), deadline: None }
}

fn enter(gate: &OpaqueGate<Named>, told: &Told, id: u32, flow: u64) -> Result<Entry, Rejection> {
    gate.enter(at(1), &demand(flow, Class::Normal), || Named(id, Arc::clone(told)))
}

fn started(entry: Result<Entry, Rejection>) -> Ticket {
    match entry {
        Ok(Entry::Started(ticket)) => ticket,
        other => panic!("{other:?} is not started"),
    }
}

fn waiting(entry: Result<Entry, Rejection>) -> Waiting {
    match entry {
        Ok(Entry::Waiting(waiting)) => waiting,
        other => panic!("{other:?} does not wait"),
    }
}

#[test]
fn an_end_starts_who_waits() {
    let (gate, told) = (gate(1), Told::default());
    let first = started(enter(&gate, &told, 1, 1));
    let _second = waiting(enter(&gate, &told, 2, 2));
    first.end(at(5), Outcome::Answered);
    let verdict = told.lock().expect("not poisoned").pop();
    assert!(matches!(verdict, Some((2, Ok(_)))), "{verdict:?}");
    assert_eq!(gate.snapshot(at(5)).in_flight, 1);
    drop(verdict);
    assert_eq!(gate.snapshot(at(5)).in_flight, 0);
}

/// Everybody of that flow who may still wait, and the refusal of the next.
fn fill(gate: &OpaqueGate<Named>, told: &Told, flow: u64) -> (Vec<Waiting>, Rejection) {
    let mut held = Vec::new();
    loop {
        match enter(gate, told, 99, flow) {
            Ok(entry) => held.push(waiting(Ok(entry))),
            Err(rejection) => return (held, rejection),
        }
    }
}

#[test]
fn a_full_gate_refuses_and_says_when_to_come_back() {
    let (gate, told) = (gate(1), Told::default());
    let _first = started(enter(&gate, &told, 1, 1));
    let (_held, rejection) = fill(&gate, &told, 1);
    assert_eq!((rejection.gate, rejection.reason), (Gate::Upstream, Reason::Full));
    assert!(rejection.retry_after.as_secs() >= 1);
}

/// One of `callers` who each ask for one request at a time.
fn enter_among(
    gate: &OpaqueGate<Named>,
    callers: u32,
    told: &Told,
    id: u32,
    demand: &Demand,
) -> Result<Entry, Rejection> {
    gate.enter_among(at(1), demand, callers, || Named(id, Arc::clone(told)))
}

/// Ends the ticket, and that of whoever starts then, and so on. Returns who started.
fn serve_all(told: &Told, first: Ticket) -> Vec<u32> {
    let (mut served, mut next) = (Vec::new(), Some(first));
    while let Some(ticket) = next {
        ticket.end(at(2), Outcome::Answered);
        let verdict = told.lock().expect("not poisoned").pop();
        next = verdict.map(|(id, verdict)| {
            served.push(id);
            verdict.expect("waits in time")
        });
    }
    served
}

#[test]
fn of_few_callers_nobody_is_refused_however_small_the_limit() {
    let (gate, told) = (gate(1), Told::default());
    let ask = |id| enter_among(&gate, CALLERS_FEW_MAX, &told, id, &demand(1, Class::Normal));
    let first = started(ask(1));
    let _held: Vec<_> = (2..=CALLERS_FEW_MAX).map(|id| waiting(ask(id))).collect();
    assert_eq!(gate.snapshot(at(1)).limit, 1);
    // More than one request of a caller: he is not one of few.
    assert_eq!(ask(99).expect_err("full").reason, Reason::Full);
    let all: Vec<_> = (2..=CALLERS_FEW_MAX).collect();
    assert_eq!(serve_all(&told, first), all);
}

#[test]
fn of_one_caller_more_than_few_as_many_are_refused_as_of_any_number() {
    let (gates, told) = ([gate(1), gate(1)], Told::default());
    let _first = gates.each_ref().map(|gate| started(enter(gate, &told, 1, 1)));
    let (_held, _) = fill(&gates[0], &told, 1);
    let ask = || enter_among(&gates[1], CALLERS_FEW_MAX + 1, &told, 2, &demand(1, Class::Normal));
    let _waiting: Vec<_> = std::iter::from_fn(|| ask().ok()).collect();
    let [any, more] = gates.each_ref().map(|gate| gate.snapshot(at(1)));
    assert_eq!(any.waiting, more.waiting);
}

#[test]
fn few_callers_wait_in_the_order_of_classes_and_flows() {
    let (gate, told) = (gate(1), Told::default());
    let ask = |id, flow, class| enter_among(&gate, 64, &told, id, &demand(flow, class));
    let first = started(ask(0, 1, Class::Normal));
    let _busy: Vec<_> = (10..40).map(|id| waiting(ask(id, 1, Class::Normal))).collect();
    let _low = waiting(ask(3, 2, Class::Low));
    let _quiet = waiting(ask(2, 2, Class::Normal));
    let _high = waiting(ask(1, 1, Class::High));
    let served = serve_all(&told, first);
    assert_eq!((served[0], served.last()), (1, Some(&3)), "{served:?}");
    assert!(served[1..4].contains(&2), "{served:?}");
}

#[test]
fn who_waits_among_few_is_displaced_in_a_storm() {
    let (gate, told) = (gate(1), Told::default());
    let _first = started(enter(&gate, &told, 1, 1));
    let few = |id| enter_among(&gate, 64, &told, id, &demand(1, Class::Normal));
    let _held: Vec<_> = (2..40).map(|id| waiting(few(id))).collect();
    let _high = waiting(enter_among(&gate, 65, &told, 99, &demand(2, Class::High)));
    let verdict = told.lock().expect("not poisoned").pop();
    let Some((_, Err(rejection))) = verdict else { panic!("{verdict:?}") };
    assert_eq!(rejection.reason, Reason::Displaced);
}

#[test]
fn who_leaves_the_queue_is_told_nothing_and_makes_room() {
    let (gate, told) = (gate(1), Told::default());
    let first = started(enter(&gate, &told, 1, 1));
    drop(waiting(enter(&gate, &told, 2, 1)));
    let _third = waiting(enter(&gate, &told, 3, 1));
    first.end(at(2), Outcome::Answered);
    let told = std::mem::take(&mut *told.lock().expect("not poisoned"));
    assert_eq!(told.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3]);
}

#[test]
fn who_waited_too_long_is_refused_once() {
    let (gate, told) = (gate(1), Told::default());
    let first = started(enter(&gate, &told, 1, 1));
    let second = waiting(enter(&gate, &told, 2, 1));
    let until = second.until();
    assert_eq!(until, at(1001));
    let rejection = second.expire(until).expect("nobody told it otherwise");
    assert_eq!(rejection.reason, Reason::Deadline);
    first.end(until, Outcome::TimedOut);
    assert!(told.lock().expect("not poisoned").is_empty());
}

#[test]
fn what_was_started_cannot_expire() {
    let (gate, told) = (gate(1), Told::default());
    let first = started(enter(&gate, &told, 1, 1));
    let second = waiting(enter(&gate, &told, 2, 1));
    first.end(at(5), Outcome::Answered);
    assert!(second.expire(at(6)).is_none());
    assert_eq!(gate.snapshot(at(6)).in_flight, 1);
    told.lock().expect("not poisoned").clear();
}

#[test]
fn a_higher_class_takes_the_place_of_a_lower_one() {
    let (gate, told) = (gate(1), Told::default());
    let _first = started(enter(&gate, &told, 1, 1));
    let (_held, _) = fill(&gate, &told, 1);
    let high = gate.enter(at(2), &demand(2, Class::High), || Named(3, Arc::clone(&told)));
    let _third = waiting(high);
    let verdict = told.lock().expect("not poisoned").pop();
    let Some((99, Err(rejection))) = verdict else { panic!("{verdict:?}") };
    assert_eq!(rejection.reason, Reason::Displaced);
}

#[test]
fn critical_work_starts_beyond_the_limit() {
    let (gate, told) = (gate(1), Told::default());
    let critical =
        || gate.enter(at(1), &demand(1, Class::Critical), || Named(1, Arc::clone(&told)));
    let _held: Vec<_> =
        (0..5).map(|_| critical()).collect::<Result<_, _>>().expect("never refused");
}

#[test]
fn monitoring_lets_everybody_start_and_counts() {
    let (gate, told) = (gate(1), Told::default());
    gate.set_mode(Mode::Monitor);
    let _all: Vec<_> = (0..10).map(|id| started(enter(&gate, &told, id, 1))).collect();
    let snapshot = gate.snapshot(at(1));
    assert_eq!((snapshot.in_flight, snapshot.counters.admitted), (10, 10));
    assert!(snapshot.reject_fraction > 0.0);
}

/// Asks for twice what `workers` of 10 ms carry, for so many milliseconds from `begin`.
fn storm(gate: &OpaqueGate<Named>, workers: usize, begin: u64, lasting: u64) -> u64 {
    let told = Told::default();
    let (mut at_work, mut inside) = (Vec::new(), std::collections::VecDeque::new());
    let mut held = Vec::new();
    let mut answered = 0;
    for ms in begin..begin + lasting {
        for (_, verdict) in std::mem::take(&mut *told.lock().expect("not poisoned")) {
            inside.extend(verdict);
        }
        for request in 0..workers as u64 / 5 {
            let demand = demand(request % 50, Class::Normal);
            match gate.enter(at(ms), &demand, || Named(0, Arc::clone(&told))) {
                Ok(Entry::Started(ticket)) => inside.push_back(ticket),
                Ok(Entry::Waiting(waiting)) => held.push(waiting),
                Err(_) => {}
            }
        }
        while at_work.len() < workers
            && let Some(ticket) = inside.pop_front()
        {
            at_work.push((ms + 10, ticket));
        }
        let (done, rest): (Vec<_>, _) = at_work.into_iter().partition(|(end, _)| *end <= ms);
        at_work = rest;
        answered += done.len() as u64;
        done.into_iter().for_each(|(_, ticket)| ticket.end(at(ms), Outcome::Answered));
    }
    answered
}

#[test]
fn in_an_overload_the_limit_finds_the_workers_and_keeps_them_busy() {
    let gate = gate(4096);
    storm(&gate, 20, 0, 3_000);
    let answered = storm(&gate, 20, 3_000, 2_000);
    let snapshot = gate.snapshot(at(5_000));
    assert!((15..=40).contains(&snapshot.limit), "{snapshot:?}");
    assert!(answered > 3_400, "{answered} of 4000");
}

/// One request after the other, of 10 ms each.
fn calm(gate: &OpaqueGate<Named>, begin: u64, requests: u64) {
    for ms in (begin..).step_by(10).take(requests as usize) {
        let demand = demand(ms, Class::Normal);
        started(gate.enter(at(ms), &demand, || Named(0, Told::default())))
            .end(at(ms + 10), Outcome::Answered);
    }
}

#[test]
fn a_storm_that_ends_while_limits_are_compared_leaves_the_higher_one() {
    let gate = gate(4096);
    calm(&gate, 0, 100);
    storm(&gate, 20, 1_000, 110);
    assert!(gate.snapshot(at(1_110)).limit < CALLERS_FEW_MAX);
    calm(&gate, 1_110, 200);
    assert_eq!(gate.snapshot(at(3_110)).limit, CALLERS_FEW_MAX);
}

#[test]
fn a_storm_that_is_the_first_to_come_widens_the_limit_unless_answers_come_late() {
    // Eight workers each: 64 in flight are 0.2 s of work, or 2.4 s, half the patience.
    for (service, widens) in [(25, true), (300, false)] {
        let (gate, told) = (gate(4096), Told::default());
        let (mut inside, mut held) = (std::collections::VecDeque::new(), Vec::new());
        for round in 0..10 {
            let now = at(round * service);
            for ticket in inside.drain(..inside.len().min(8)).collect::<Vec<Ticket>>() {
                ticket.end(now, Outcome::Answered);
            }
            for (_, verdict) in std::mem::take(&mut *told.lock().expect("not poisoned")) {
                inside.extend(verdict);
            }
            let storm = (0..).map_while(|flow| {
                let demand = demand(flow % 50, Class::Normal);
                gate.enter(now, &demand, || Named(0, Arc::clone(&told))).ok()
            });
            for entry in storm {
                match entry {
                    Entry::Started(ticket) => inside.push_back(ticket),
                    Entry::Waiting(waiting) => held.push(waiting),
                }
            }
        }
        let limit = gate.snapshot(at(9 * service)).limit;
        assert_eq!(limit > CALLERS_FEW_MAX, widens, "{service} ms: {limit}");
    }
}

#[test]
fn a_broken_upstream_teaches_nothing() {
    let (gate, told) = (gate(4096), Told::default());
    let before = gate.snapshot(at(0)).limit;
    for ms in 0..10_000 {
        let entered = gate.enter(at(ms), &demand(ms, Class::Normal), || Named(0, told.clone()));
        started(entered).end(at(ms), Outcome::Failed);
    }
    assert_eq!(gate.snapshot(at(10_000)).limit, before);
}

/// Fills the gate every millisecond, answers nobody, and ends everybody after five
/// seconds: in a hang clients go, or time out. Returns who is still there.
fn hang(gate: &OpaqueGate<Named>, begin: u64, lasting: u64, outcome: Outcome) -> Vec<Ticket> {
    let mut inside = Vec::<Ticket>::new();
    for ms in begin..begin + lasting {
        while let Ok(Entry::Started(ticket)) =
            gate.enter(at(ms), &demand(ms, Class::Normal), || Named(0, Told::default()))
        {
            inside.push(ticket);
        }
        let gave_up = |ticket: &&Ticket| ticket.started() <= at(ms - 5_000);
        let count = inside.iter().take_while(gave_up).count();
        for oldest in inside.drain(..count) {
            oldest.end(at(ms), outcome);
        }
    }
    inside
}

#[test]
fn a_hang_teaches_nothing() {
    for outcome in [Outcome::Cancelled, Outcome::TimedOut] {
        let gate = gate(4096);
        storm(&gate, 20, 10_000, 3_000);
        let before = gate.snapshot(at(13_000)).limit;
        for ticket in hang(&gate, 13_000, 60_500, outcome) {
            ticket.end(at(73_500), Outcome::Answered);
        }
        assert_eq!(gate.snapshot(at(73_500)).limit, before, "{outcome:?}");
        let answered = storm(&gate, 20, 73_500, 2_000);
        assert!(answered > 3_400, "{outcome:?}: {answered} of 4000");
    }
}

#[test]
fn all_in_flight_failing_at_once_teaches_nothing() {
    let gate = gate(4096);
    storm(&gate, 20, 10_000, 3_000);
    let before = gate.snapshot(at(13_000)).limit;
    // Killed; then connections are refused.
    for ticket in hang(&gate, 13_000, 1, Outcome::Failed) {
        ticket.end(at(13_001), Outcome::Failed);
    }
    for ms in 13_002..16_000 {
        let demand = demand(ms, Class::Normal);
        started(gate.enter(at(ms), &demand, || Named(0, Told::default())))
            .end(at(ms), Outcome::Failed);
    }
    let answered = storm(&gate, 20, 16_000, 2_000);
    assert!(answered > 3_400, "{answered} of 4000");
    let after = gate.snapshot(at(18_000)).limit;
    assert!((before / 2..=before * 2).contains(&after), "{before}, then {after}");
}

#[test]
fn who_takes_the_upstreams_time_gives_way_to_who_does_not() {
    let (gate, told) = (gate(2), Told::default());
    for round in 0..50 {
        // One takes 900 ms, the other one.
        for (flow, begin, took) in [(1, 0, 900), (2, 950, 1)] {
            let begin = round * 1_000 + begin;
            let demand = demand(flow, Class::Normal);
            let entered = gate.enter(at(begin), &demand, || Named(0, told.clone()));
            started(entered).end(at(begin + took), Outcome::Answered);
        }
    }
    let mut now = 60_000;
    let mut enter = |flow| {
        now += 1;
        gate.enter(at(now), &demand(flow, Class::Normal), || Named(flow as u32, told.clone()))
    };
    let _running = [started(enter(3)), started(enter(3))];
    let mut slow = Vec::new();
    while let Ok(entry) = enter(1) {
        slow.push(entry);
    }
    let _quick = waiting(enter(2));
    let told = std::mem::take(&mut *told.lock().expect("not poisoned"));
    assert!(matches!(told[..], [] | [(1, Err(_))]), "{told:?}");
}
