//! Behind a proxy the client is whom a trusted proxy names, and nobody else.

use plimsoll_http::identity::Forwarding;
use serde_json::json;

use crate::support::{Answer, Running};

const FORWARDED: &str = "X-Forwarded-For";

/// A dev server whose clients all come from loopback.
fn behind(forwarding: Forwarding) -> Running {
    Running::dev_with(|options| options.config.listeners[0].forwarding = forwarding)
}

fn loopback_is_a_proxy() -> Forwarding {
    Forwarding::by_proxies(["127.0.0.0/8"])
        .unwrap()
        .skipping(0)
        .reject_not_present(true)
        .reject_not_authorized(true)
}

/// Somebody who is bound to 192.0.2.0/24.
fn bound_login(server: &Running, forwarded: &str) -> Answer {
    let call = server.call("POST", "auth/userpass/login/u").json(&json!({ "password": "p" }));
    call.header(FORWARDED, forwarded).send()
}

fn bind_a_user(server: &Running) {
    let post = |path: &str, body| {
        let call = server.call("POST", path).token("root").json(&body);
        call.header(FORWARDED, "203.0.113.1").send().is(204);
    };
    post("sys/auth/userpass", json!({ "type": "userpass" }));
    let bound = json!({ "password": "p", "token_bound_cidrs": "192.0.2.0/24" });
    post("auth/userpass/users/u", bound);
}

#[test]
fn address_bindings_look_at_the_client_that_the_proxy_names() {
    let server = behind(loopback_is_a_proxy());
    bind_a_user(&server);
    bound_login(&server, "192.0.2.9").is(200);
    bound_login(&server, "198.51.100.1").blames_the_client();
    // What the client wrote itself stands further left.
    bound_login(&server, "192.0.2.9, 198.51.100.1").blames_the_client();
}

#[test]
fn a_forged_origin_is_ignored_where_nobody_is_trusted() {
    let server = behind(Forwarding::default());
    bind_a_user(&server);
    bound_login(&server, "192.0.2.9").blames_the_client();
}

#[test]
fn what_does_not_fit_the_configuration_is_400_with_vaults_words() {
    let server = behind(loopback_is_a_proxy());
    let get = || server.call("GET", "sys/seal-status");
    get().send().refuses(400, "missing x-forwarded-for header");
    get().header(FORWARDED, "nobody").send().refuses(400, "malformed x-forwarded-for header");
    get().header(FORWARDED, "192.0.2.9").send().is(200);

    let elsewhere = Forwarding::by_proxies(["192.0.2.0/24"]).unwrap().reject_not_authorized(true);
    let server = behind(elsewhere);
    let answer = server.call("GET", "sys/seal-status").header(FORWARDED, "192.0.2.9").send();
    answer.refuses(400, "not authorized for x-forwarded-for");

    let server = behind(loopback_is_a_proxy().skipping(2));
    let answer = server.call("GET", "sys/seal-status").header(FORWARDED, "192.0.2.9").send();
    answer.refuses(400, "hops to skip (2)");
}
