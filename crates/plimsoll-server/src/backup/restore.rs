//! Restoring: the whole stack is replaced, or nothing is.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use plimsoll_store::disk::{Disk, RealDisk};
use plimsoll_store::snapshot::{SnapshotError, SnapshotReader, restore};
use tokio::sync::mpsc;

use crate::backup::{BodyReader, drain, refused};
use crate::face::{HttpResponse, message};
use crate::stack::{ReplaceError, Role, Stack, Stacks};

/// A client that sends nothing for so long has gone.
const PIECE_TIME_MAX: Duration = Duration::from_secs(30);

/// Why a snapshot was not restored.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(
        "could not verify hash file, possibly the snapshot is using a different set of unseal keys; use the snapshot-force API to bypass this check"
    )]
    OtherCluster,
}

pub(super) async fn answer(stacks: &Arc<Stacks>, body: Incoming, force: bool) -> HttpResponse {
    let (sender, reader) = BodyReader::new();
    let restoring = {
        let stacks = Arc::clone(stacks);
        tokio::task::spawn_blocking(move || replace(&stacks, reader, force))
    };
    if let Some(rest) = send(body, sender).await {
        drain(rest).await;
    }
    match restoring.await {
        Ok(Ok(())) => message_free(),
        Ok(Err(error)) => refused(&error),
        Err(_) => message(500, "internal error"),
    }
}

fn message_free() -> HttpResponse {
    let mut response = HttpResponse::default();
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    response
}

/// Feeds the reader; gives back what it does not want.
async fn send(mut body: Incoming, sender: mpsc::Sender<io::Result<Bytes>>) -> Option<Incoming> {
    loop {
        let piece = match tokio::time::timeout(PIECE_TIME_MAX, body.frame()).await {
            Ok(None) => return None,
            Ok(Some(Ok(frame))) => frame.into_data().map_or_else(|_| Ok(Bytes::new()), Ok),
            Ok(Some(Err(_))) | Err(_) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        };
        let is_end = piece.is_err();
        if sender.send(piece).await.is_err() {
            return Some(body);
        }
        if is_end {
            return None;
        }
    }
}

fn replace(
    stacks: &Stacks,
    reader: BodyReader,
    force: bool,
) -> Result<(), ReplaceError<RestoreError>> {
    let stack = stacks.current();
    let fill = |dir: &Path| restore_into(&stack, dir, reader, force);
    stacks.replace(Role::Own, fill, |old, new| {
        // The same keys open it, unless it is of another cluster: then it stays sealed
        // until someone has shown that cluster's keys.
        if let Err(error) = new.shared.vault.unseal_like(&old.shared.vault) {
            tracing::info!(%error, "the restored data needs its own unseal keys");
        }
        Ok(())
    })
}

fn restore_into(
    stack: &Stack,
    dir: &Path,
    reader: BodyReader,
    force: bool,
) -> Result<(), RestoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir).map_err(SnapshotError::from)?);
    let mut reader = SnapshotReader::open(reader)?;
    restore(&mut reader, &disk, &mut |_| {})?;
    let is_ours = reader
        .sealed_sums()
        .is_some_and(|(sums, sealed)| stack.shared.vault.has_sealed(sums, sealed));
    if is_ours || force { Ok(()) } else { Err(RestoreError::OtherCluster) }
}
