//! Windows as an operator opens and ends them.

#![allow(clippy::unwrap_used)]

mod common;

use crate::common::{Dev, printed, refusal};

const MAINTENANCE: &str = "maintenance";

/// The value of a line `name: value`.
fn field<'t>(printed: &'t str, name: &str) -> Option<&'t str> {
    printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn a_window_is_started_shown_scheduled_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    let server = Dev::start(&dir.path().join("data"));
    let at = ["--address", &server.1, "--token", "root"];
    let call = |arguments: &[&str]| printed(&[&[MAINTENANCE], arguments, &at].concat());
    assert_eq!(call(&["status"]), "state: none\n");

    let started =
        call(&["start", "--mode", "writes", "--duration", "30m", "--reason", "new disks"]);
    assert_eq!(field(&started, "mode"), Some("writes"), "{started}");
    assert!(field(&started, "bypass_token").is_some(), "{started}");
    let status = call(&["status"]);
    assert_eq!(field(&status, "state"), Some("in_force"), "{status}");
    assert_eq!(field(&status, "reason"), Some("new disks"), "{status}");
    assert_eq!(field(&status, "bypass_token"), None, "it is told once");

    let begin = "2999-01-01T00:00:00Z";
    let far = refusal(&[&[MAINTENANCE, "schedule", "--begin", begin], &at[..]].concat());
    assert!(far.contains("366 days"), "{far}");
    assert_eq!(call(&["end"]), "");
    assert_eq!(call(&["status"]), "state: none\n");
}

#[test]
fn what_makes_no_sense_or_is_not_allowed_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = Dev::start(&dir.path().join("data"));
    let fail = |arguments: &[&str], token: &str| {
        let at = ["--address", &server.1, "--token", token];
        refusal(&[&[MAINTENANCE], arguments, &at].concat())
    };
    for (arguments, why) in [
        (&["start", "--mode", "off"][..], "mode must be"),
        (&["start", "--duration", "1 moon"], "duration"),
        (&["start", "--mode", "percentage", "--percentage", "101"], "1 to 100"),
        (&["schedule", "--begin", "tomorrow"], "begin must be a time"),
    ] {
        let said = fail(arguments, "root");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    assert!(fail(&["start"], "wrong").contains("permission denied"));
}
