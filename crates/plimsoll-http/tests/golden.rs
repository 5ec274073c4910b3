//! Every refusal in every face, to the byte.
//!
//! The files are whole responses, so that `interop/lint` can hand them to an HTTP
//! linter. `GOLDEN=write` writes them anew; the difference is what changed for
//! clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Response};
use plimsoll::{Gate, Reason, Rejection};
use plimsoll_http::body::BodyError;
use plimsoll_http::identity::ForwardingError;
use plimsoll_http::limits::{HeaderLimits, HeadersTooLarge};
use plimsoll_http::maintenance::{Extent, Plan};
use plimsoll_http::refusal::ratelimit::Allowance;
use plimsoll_http::refusal::{
    AzureFace, Face, HtmlFace, IdempotencyError, ProblemFace, Refusal, TextFace, Throttled, Told,
    VaultFace,
};

/// 2026-01-01T00:00:00Z, in seconds.
const BEGIN_S: u64 = 1_767_225_600;

fn faces() -> [(&'static str, Arc<dyn Face>); 5] {
    let status_page = Some("https://status.example.com/".to_owned());
    [
        ("vault", Arc::new(VaultFace { status_page: status_page.clone() })),
        ("azure", Arc::new(AzureFace { status_page: status_page.clone() })),
        ("problem", Arc::new(ProblemFace { status_page: status_page.clone() })),
        ("text", Arc::new(TextFace { status_page: status_page.clone() })),
        ("html", Arc::new(HtmlFace { status_page })),
    ]
}

/// Each with the wait that its client is told.
fn refusals() -> Vec<(&'static str, Refusal, Option<Duration>)> {
    let overload = Some(Duration::from_millis(1382));
    let s = |seconds| Some(Duration::from_secs(seconds));
    let rejection = |gate, reason| Rejection { gate, reason, retry_after: Duration::from_secs(1) };
    let size = BodyError::TooLarge { bytes_max: 32 << 20 };
    let mut refusals = vec![
        ("503-overloaded", rejection(Gate::Write, Reason::Full).into(), overload),
        ("503-displaced", rejection(Gate::Write, Reason::Displaced).into(), overload),
        ("507-no-space", rejection(Gate::Disk, Reason::NoSpace).into(), None),
        ("429-quota", Refusal::Throttled(throttled()), s(13)),
        ("413-too-large", Refusal::TooLarge(size), None),
        ("408-too-slow", Refusal::TooSlow(BodyError::TooSlow(Duration::from_secs(30))), None),
        ("400-broke-off", Refusal::BrokeOff, None),
        ("431-headers", HeadersTooLarge(HeaderLimits::default()).into(), None),
        ("400-origin", ForwardingError::NotAuthorized.into(), None),
        ("400-idempotency-malformed", IdempotencyError::Malformed.into(), None),
        ("409-idempotency-in-progress", IdempotencyError::InProgress.into(), None),
        ("422-idempotency-reused", IdempotencyError::Reused.into(), None),
    ];
    for (name, extent, length_s, wait) in [
        ("503-maintenance", Extent::Full, Some(3600), s(3617)),
        ("503-maintenance-open-end", Extent::Full, None, s(187)),
        ("503-maintenance-writes", Extent::Writes, Some(3600), s(3617)),
        ("503-maintenance-percentage", Extent::Percentage(25), Some(3600), s(3617)),
        ("410-retired", Extent::Retired, None, None),
    ] {
        let remaining = length_s.map(Duration::from_secs);
        refusals.push((name, Refusal::Closed { plan: plan(extent, remaining), remaining }, wait));
    }
    refusals
}

fn throttled() -> Throttled {
    Throttled {
        quota: "logins".to_owned(),
        message: "request path \"auth/approle/login\": rate limit quota exceeded".to_owned(),
        retry_after: Duration::from_secs(12),
        allowances: vec![
            Allowance {
                name: "logins".to_owned(),
                units_max: 100,
                window: Duration::from_secs(60),
                remaining: 0,
                reset: Duration::from_secs(12),
            },
            Allowance {
                name: "logins-daily".to_owned(),
                units_max: 10_000,
                window: Duration::from_secs(86_400),
                remaining: 8_123,
                reset: Duration::from_secs(40_000),
            },
        ],
    }
}

fn plan(extent: Extent, length: Option<Duration>) -> Arc<Plan> {
    let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN_S);
    let plan = Plan::new(extent, begin, length.map(|length| begin + length), begin);
    let reason = "moving to <new> disks & \"faster\" ones";
    Arc::new(plan.and_then(|plan| plan.because(reason)).expect("valid"))
}

/// As an HTTP/1.1 server would send it.
fn wire(mut response: Response<Bytes>) -> Vec<u8> {
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(DATE, HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"));
    headers.insert(CONTENT_LENGTH, length.into());
    assert!(!headers.contains_key(CONNECTION), "nothing was left unread");
    let mut wire = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        wire.push_str(&format!("{name}: {}\r\n", value.to_str().expect("ASCII")));
    }
    let mut wire = (wire + "\r\n").into_bytes();
    wire.extend_from_slice(response.body());
    wire
}

fn file(face: &str, refusal: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(face).join(refusal)
}

#[test]
fn every_refusal_in_every_face_is_what_it_was() {
    let write = env::var("GOLDEN").is_ok_and(|value| value == "write");
    for (face_name, face) in faces() {
        for (name, refusal, wait) in refusals() {
            let response = Told::exactly(refusal, wait).respond(&*face, &HeaderMap::new(), false);
            let (wire, path) = (wire(response), file(face_name, &format!("{name}.http")));
            if write {
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                fs::write(&path, &wire).expect("written");
            }
            let golden = fs::read(&path).unwrap_or_default();
            let (wire, golden) = (String::from_utf8_lossy(&wire), String::from_utf8_lossy(&golden));
            assert_eq!(wire, golden, "{}", path.display());
        }
    }
}

#[test]
fn what_must_be_carried_is_carried_in_every_face() {
    for (face_name, face) in faces() {
        for (name, refusal, wait) in refusals() {
            let expected = refusal.status();
            let response: Response<Bytes> =
                Told::exactly(refusal, wait).respond(&*face, &HeaderMap::new(), true);
            let what = format!("{face_name} {name}");
            assert_eq!(response.status(), expected, "{what}");
            assert!(name.starts_with(expected.as_str()), "{what}");
            let headers = response.headers();
            assert_eq!(headers["cache-control"], "no-store", "{what}");
            assert_eq!(headers["connection"], "close", "{what}");
            assert_eq!(headers["link"], "<https://status.example.com/>; rel=\"status\"", "{what}");
            let comes_back = matches!(expected.as_u16(), 503 | 429);
            assert_eq!(headers.contains_key("retry-after"), comes_back, "{what}");
            assert_eq!(headers.contains_key("ratelimit"), expected == 429, "{what}");
        }
    }
}
