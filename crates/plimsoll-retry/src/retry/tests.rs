//! Requests against a scripted server, by a clock that only waits move.

#![allow(clippy::unwrap_used)]

use core::cell::RefCell;
use std::rc::Rc;

use http::{HeaderMap, Method, StatusCode};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep};

use super::*;
use crate::rules::call::GaveUp;
use crate::rules::hint;

const S: Duration = Duration::from_secs(1);

/// An answer that asks for a wait.
#[derive(Clone, Copy, Debug)]
struct Said(u16, Option<Duration>);

impl Reply for Said {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0).unwrap()
    }

    fn retry_after(&self, _: std::time::SystemTime) -> Option<Duration> {
        self.1
    }
}

type Answer = Result<(Said, Attempts), RetryError<&'static str>>;

fn put() -> Asked {
    Asked::new(&Method::PUT, &HeaderMap::new())
}

fn get() -> Asked {
    Asked::new(&Method::GET, &HeaderMap::new())
}

/// Sends a request that is answered with `said` each time.
async fn always(retry: &Retry, asked: Asked, said: Said) -> Answer {
    retry.run(asked, async |_| Ok(said)).await
}

fn policy(change: impl FnOnce(&mut Policy)) -> Retry {
    let mut policy = Policy::default();
    change(&mut policy);
    Retry::new(policy)
}

#[tokio::test(start_paused = true)]
async fn the_servers_wait_is_kept_before_the_second_attempt() {
    let retry = Retry::default();
    let answer: Answer = retry
        .run(put(), async |attempt| match attempt.number {
            1 => Ok(Said(503, Some(3 * S))),
            _ => Ok(Said(200, None)),
        })
        .await;
    let (said, attempts) = answer.unwrap();
    assert_eq!((said.0, attempts.count, attempts.gave_up), (200, 2, None));
    let elapsed = attempts.elapsed;
    assert!((3 * S..=4 * S + Duration::from_millis(2)).contains(&elapsed), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_third_refusal_is_the_answer() {
    for status in [429, 503, 408, 412, 502, 504] {
        let answer = always(&Retry::default(), put(), Said(status, None)).await;
        let (said, attempts) = answer.unwrap();
        assert_eq!((said.0, attempts.count), (status, 3));
        assert_eq!(attempts.gave_up, Some(GaveUp::AttemptsSpent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_answer_is_taken_at_its_word_even_if_it_asks_for_a_retry() {
    for status in [200, 304, 400, 403, 404, 409, 413, 422, 500, 501, 507] {
        let answer = always(&Retry::default(), put(), Said(status, Some(S))).await;
        let (said, attempts) = answer.unwrap();
        assert_eq!((said.0, attempts.count, attempts.gave_up), (status, 1, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_without_a_key_is_sent_once() {
    let post = Asked::new(&Method::POST, &HeaderMap::new());
    let (_, attempts) = always(&Retry::default(), post, Said(503, None)).await.unwrap();
    assert_eq!((attempts.count, attempts.gave_up), (1, Some(GaveUp::NotRepeatable)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_the_patience_and_no_more() {
    let begin = Instant::now();
    let answer: Answer = Retry::default().run(get(), |_| core::future::pending()).await;
    let error = answer.unwrap_err();
    assert_eq!(begin.elapsed(), 30 * S);
    assert_eq!(error.to_string(), "no answer (1 attempt in 30.0 s, out of time)");
}

#[tokio::test(start_paused = true)]
async fn nobody_sits_out_a_wait_that_ends_too_late() {
    let begin = Instant::now();
    let answer = always(&Retry::default(), get(), Said(503, Some(3_600 * S))).await;
    let (_, attempts) = answer.unwrap();
    assert_eq!((attempts.count, attempts.gave_up), (1, Some(GaveUp::PatienceSpent)));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn broken_connections_are_tried_again_and_the_last_error_is_told() {
    let answer: Answer = Retry::default().run(get(), async |_| Err("reset")).await;
    let error = answer.unwrap_err();
    assert_eq!(error.attempts().count, 3);
    assert!(error.to_string().starts_with("reset (3 attempts in "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_clones_share_one_budget() {
    let retry = policy(|policy| policy.hold = false);
    let mut sent = 0;
    for _ in 0..1_000 {
        let (_, attempts) = always(&retry.clone(), put(), Said(503, None)).await.unwrap();
        sent += attempts.count;
    }
    assert_eq!((sent, retry.budget_tokens()), (1_100, 0));
}

/// What a server saw: who asked, and when.
type Seen = Rc<RefCell<Vec<(u32, Duration)>>>;

/// Ten writes, one every 100 ms, to a server that refuses everything for a second
/// and a half and asks for a wait of one second.
async fn ten_writes(retry: Retry) -> Seen {
    let (seen, begin) = (Seen::default(), Instant::now());
    let clients = LocalSet::new();
    for number in 0..10 {
        let (retry, seen) = (retry.clone(), Rc::clone(&seen));
        clients.spawn_local(async move {
            sleep(number * S / 10).await;
            let answer: Answer = retry
                .run(put(), async |_| {
                    seen.borrow_mut().push((number, begin.elapsed()));
                    let refuse = begin.elapsed() < S * 3 / 2;
                    sleep(S / 100).await;
                    Ok(if refuse { Said(503, Some(S)) } else { Said(200, None) })
                })
                .await;
            assert_eq!(answer.unwrap().0.0, 200);
        });
    }
    clients.await;
    seen
}

#[tokio::test(start_paused = true)]
async fn a_refusal_holds_the_others_back_and_the_oldest_goes_first() {
    let seen = ten_writes(policy(|policy| policy.attempts_max = 10)).await;
    let seen = seen.borrow();
    let order: Vec<_> = seen.iter().map(|(number, _)| *number).collect();
    let retries = order.iter().filter(|number| **number == 0).count();
    assert!((2..=3).contains(&retries), "{seen:?}");
    // Number 0 until it is served, then everybody once, in order.
    let expected: Vec<_> = core::iter::repeat_n(0, retries).chain(1..10).collect();
    assert_eq!(order, expected, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_hold_everybody_finds_out_alone() {
    let retry = policy(|policy| (policy.attempts_max, policy.hold) = (10, false));
    assert!(ten_writes(retry).await.borrow().len() >= 20);
}

#[tokio::test(start_paused = true)]
async fn refused_writes_do_not_hold_reads() {
    let retry = Retry::default();
    LocalSet::new()
        .run_until(async {
            let writer = retry.clone();
            spawn_local(async move { always(&writer, put(), Said(503, Some(9 * S))).await });
            sleep(S).await;
            let (_, attempts) = always(&retry, get(), Said(200, None)).await.unwrap();
            assert_eq!(attempts.elapsed, Duration::ZERO);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_held_request_that_is_dropped_leaves_its_place_to_the_next() {
    let retry = Retry::default();
    LocalSet::new()
        .run_until(async {
            let first = retry.clone();
            let first =
                spawn_local(async move { always(&first, put(), Said(503, Some(9 * S))).await });
            sleep(S).await;
            let next = retry.clone();
            let next = spawn_local(async move { always(&next, put(), Said(200, None)).await });
            sleep(S).await;
            first.abort();
            let (_, attempts) = next.await.unwrap().unwrap();
            assert_eq!(attempts.count, 1);
            assert!((8 * S..10 * S).contains(&attempts.elapsed), "{attempts:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded() {
    let retry = policy(|policy| policy.held_requests_max = 1);
    LocalSet::new()
        .run_until(async {
            let first = retry.clone();
            spawn_local(async move { always(&first, put(), Said(503, Some(9 * S))).await });
            sleep(S).await;
            let error = always(&retry, put(), Said(200, None)).await.unwrap_err();
            assert_eq!(error.attempts().gave_up, Some(GaveUp::TooManyHeld));
            assert_eq!(error.attempts().count, 0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_everything_is_mostly_refused_at_home() {
    let retry = policy(|policy| {
        (policy.hold, policy.attempts_max) = (false, 1);
        policy.throttle = Throttle::new(2.0);
    });
    let mut sent = 0;
    for _ in 0..1_000 {
        sent += match always(&retry, get(), Said(503, None)).await {
            Ok((_, attempts)) => attempts.count,
            Err(error) => error.attempts().count,
        };
    }
    // Request n goes through with probability 1 / n: about ln 1000, whatever the seed.
    assert!((1..60).contains(&sent), "{sent}");
}

#[test]
fn a_response_says_when_to_come_back() {
    let response = http::Response::builder().header("retry-after", "7").body(()).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH;
    assert_eq!(Reply::retry_after(&response, now), Some(7 * S));
    assert_eq!(hint::retry_after(response.headers(), now), Some(7 * S));
}
