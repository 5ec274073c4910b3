//! Becoming a copy: a snapshot of the primary's takes the place of what is here.
//!
//! The same for a new secondary and for one that has been away longer than the
//! primary's log goes back. What was here serves until the copy is whole.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use http_body_util::{BodyExt, Full};
use plimsoll_store::disk::{Disk, RealDisk};
use plimsoll_store::snapshot::{SnapshotReader, restore};

use crate::backup::{BodyReader, Outgoing};
use crate::replication::Replication;
use crate::replication::api::ApiError;
use crate::replication::client::{Link, said};
use crate::replication::local::Replica;
use crate::replication::serve::SNAPSHOT_PATH;
use crate::replication::status::State;
use crate::stack::Role;

impl Replication {
    /// Takes a snapshot and puts it in the place of the store.
    pub(super) async fn bootstrap(
        self: &Arc<Self>,
        link: &Link,
        replica: &Replica,
    ) -> Result<(), ApiError> {
        self.following.set_state(State::Bootstrapping);
        let mut sender = link.open().await?;
        let nothing = Outgoing::Whole(Full::default());
        let asked = sender.send_request(link.request(Method::GET, SNAPSHOT_PATH, nothing));
        let response = asked.await.map_err(|error| ApiError::Lost(error.to_string()))?;
        if !response.status().is_success() {
            let (status, why) = said(response).await;
            return Err(ApiError::Primary(status, why));
        }
        let (pieces, reader) = BodyReader::new();
        let restoring = {
            let (replication, replica) = (Arc::clone(self), replica.clone());
            self.requests.spawn_blocking(move || replication.become_copy(&replica, reader))
        };
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let piece = match frame {
                Ok(frame) => frame.into_data().map_err(|_| io::ErrorKind::InvalidData.into()),
                Err(error) => Err(io::Error::other(error)),
            };
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        drop(pieces);
        restoring.await.map_err(|error| ApiError::Internal(error.to_string()))?
    }

    fn become_copy(&self, replica: &Replica, reader: BodyReader) -> Result<(), ApiError> {
        let fill = |dir: &Path| -> Result<(), ApiError> {
            let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir)?);
            let mut reader = SnapshotReader::open(reader)?;
            let summary = restore(&mut reader, &disk, &mut |_| {})?;
            tracing::info!(keys = summary.keys, bytes = summary.bytes, "snapshot of the primary");
            Ok(())
        };
        let role = Role::Secondary(replica.clone());
        let replaced = self.stacks.replace(role, fill, |old, new| {
            Ok(new.shared.vault.unseal_adopted(&old.shared.vault, &replica.seal)?)
        });
        replaced.map_err(|error| ApiError::Internal(error.to_string()))
    }
}
