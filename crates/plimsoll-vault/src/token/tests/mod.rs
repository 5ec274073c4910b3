#![allow(clippy::unwrap_used)]

mod authenticate;
mod create;
mod lookup;
mod model;
mod renew;
mod revoke;

use super::*;
use crate::backend::Grant;
use crate::policy;
use crate::request::Operation;
use crate::token::support::{Server, refused};

const DENIED: (u16, &str) = (403, "permission denied");

fn denied() -> (u16, String) {
    (DENIED.0, DENIED.1.to_owned())
}

fn invalid(message: &str) -> (u16, String) {
    (400, message.to_owned())
}

/// A server where the policy `maker` may do anything to `auth/token/`, without
/// `sudo`.
fn server() -> Server {
    let server = Server::new();
    let text = "path \"auth/token/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
    server.commit(|cx| policy::put(cx, "maker", text)).unwrap();
    server.commit(|cx| policy::put(cx, "other", text)).unwrap();
    server
}

fn login(server: &Server, grant: Grant) -> Result<Issued, VaultError> {
    let (tokens, ttls) = (server.tokens.clone(), server.ttls);
    server.commit(|cx| {
        tokens.issue_login(cx, grant, "auth/userpass/login/bob", "auth/userpass/", ttls)
    })
}

fn data_keys(server: &Server) -> Vec<String> {
    server.keys().into_iter().filter(|key| !key.starts_with("sys/policy/")).collect()
}
