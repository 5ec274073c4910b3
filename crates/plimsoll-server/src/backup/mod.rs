//! `sys/storage/raft/snapshot`: saving and restoring as Vault's clients do it.
//!
//! Both directions stream, so they do not pass the door, which holds a whole body:
//! the vault is asked whether the token may instead. Saving takes nothing from the write
//! gate; a restore replaces the store as a whole when the snapshot has been read to its
//! end and found right.

mod restore;
mod save;
mod stream;

use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::face::{HttpResponse, message};
use crate::stack::{Response, Stacks};

pub(crate) use crate::backup::save::answer as save;
pub(crate) use crate::backup::stream::{BodyReader, Outgoing, byte_channel, byte_stream};

const SNAPSHOT_PATH: &str = "/v1/sys/storage/raft/snapshot";
const FORCE_PATH: &str = "/v1/sys/storage/raft/snapshot-force";

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Save,
    /// With `force`, of another cluster too.
    Restore {
        force: bool,
    },
}

/// Whether a request is one of these.
pub(crate) fn operation<B>(request: &Request<B>) -> Option<Operation> {
    let is_write = matches!(*request.method(), Method::POST | Method::PUT);
    match request.uri().path() {
        SNAPSHOT_PATH if *request.method() == Method::GET => Some(Operation::Save),
        SNAPSHOT_PATH if is_write => Some(Operation::Restore { force: false }),
        FORCE_PATH if is_write => Some(Operation::Restore { force: true }),
        _ => None,
    }
}

/// Does it, if the token may.
pub(crate) async fn answer(
    stacks: &std::sync::Arc<Stacks>,
    operation: Operation,
    request: Request<Incoming>,
) -> Response {
    let (parts, body) = request.into_parts();
    let stack = stacks.current();
    let wanted = match operation {
        Operation::Save => plimsoll_vault::Operation::Read,
        Operation::Restore { .. } => plimsoll_vault::Operation::Write,
    };
    let path = parts.uri.path().trim_start_matches("/v1/");
    if let Some(denied) = stack.shared.denial(&parts, wanted, path).await {
        return whole(denied);
    }
    if stack.shared.vault.is_following() && operation != Operation::Save {
        return whole(refused(&"this server is a secondary: restore the primary"));
    }
    match operation {
        Operation::Save => save::answer(&stack),
        Operation::Restore { force } => {
            let restored = restore::answer(stacks, body, force).await;
            whole(restored)
        }
    }
}

fn whole(response: HttpResponse) -> Response {
    response.map(Outgoing::Whole)
}

/// 400 with one line.
fn refused(error: &dyn core::fmt::Display) -> HttpResponse {
    message(400, &error.to_string())
}

/// Reads on, so that the answer is not lost in a reset.
async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}
