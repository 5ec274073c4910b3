//! What a primary does for a secondary that is connected.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Buf, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use plimsoll_daemon::clock;
use plimsoll_http::identity::IdentityLayer;
use plimsoll_store::ship::ReadLogError;
use plimsoll_store::{History, LogStore};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use crate::backup::{self, Outgoing, byte_channel};
use crate::face::{HttpResponse, json_response, message};
use crate::replication::Replication;
use crate::replication::api::ApiError;
use crate::replication::client::{PROTOCOL_HEADER, SECONDARY_HEADER, whole};
use crate::replication::credentials::is_of;
use crate::replication::forward::CLIENT_HEADER;
use crate::replication::primary::Primary;
use crate::replication::record::Record;
use crate::replication::shipper::Shipper;
use crate::replication::status::Shipping;
use crate::replication::wire::{ACK_BYTES, PROTOCOL};
use crate::stack::Response;

/// Pieces of frames on their way to a connection.
const PIECES_MAX: usize = 64;

pub(super) const ACTIVATE_PATH: &str = "/replication/activate";
pub(super) const STREAM_PATH: &str = "/replication/stream";
pub(super) const SNAPSHOT_PATH: &str = "/replication/snapshot";

/// What a secondary shows once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Activation {
    pub(super) secret: String,
    /// The secondary's own cluster.
    pub(super) cluster_id: String,
    /// In base64.
    pub(super) public: String,
}

/// What it is given for it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Activated {
    /// The root key for the holder of the public key, in base64.
    pub(super) root_key: String,
}

/// Of one secondary; it shows the same certificate for all that it asks.
pub(super) struct Connection {
    replication: Arc<Replication>,
    primary: Arc<Primary>,
    certificate: CertificateDer<'static>,
    role: CancellationToken,
    /// Who it is, once it has been checked.
    known: OnceLock<String>,
}

/// The client behind a forwarded request.
#[derive(Clone, Copy)]
struct Origin(IpAddr);

impl Connection {
    pub(super) const fn new(
        replication: Arc<Replication>,
        primary: Arc<Primary>,
        certificate: CertificateDer<'static>,
        role: CancellationToken,
    ) -> Self {
        Self { replication, primary, certificate, role, known: OnceLock::new() }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response {
        let id = match common_protocol(request.headers()).and_then(|()| self.who(&request)) {
            Ok(id) => id,
            Err(error) => return error.response().map(Outgoing::Whole),
        };
        let answer = match request.uri().path() {
            ACTIVATE_PATH => self.activate(&id, request).await,
            _ if self.known.get().is_none() && !self.is_active(&id) => {
                Err(ApiError::Denied("the secondary is not known here".to_owned()))
            }
            STREAM_PATH => self.stream(&id, request),
            SNAPSHOT_PATH => return backup::save(&self.replication.stacks.current()),
            _ => return self.forwarded(request).await,
        };
        answer.unwrap_or_else(|error| error.response().map(Outgoing::Whole))
    }

    /// The name that the request gives, if the certificate is for it.
    fn who(&self, request: &Request<Incoming>) -> Result<String, ApiError> {
        let id = request.headers().get(SECONDARY_HEADER).and_then(|id| id.to_str().ok());
        let id = id.filter(|id| {
            self.known.get().is_some_and(|known| known == id) || is_of(&self.certificate, id)
        });
        id.map(str::to_owned).ok_or_else(|| ApiError::Denied("not its certificate".to_owned()))
    }

    /// Whether the primary has taken its token and has not revoked it since: then its
    /// connections would have been cut.
    fn is_active(&self, id: &str) -> bool {
        let record = Record::read(&self.replication.stacks.current().shared.vault);
        let active = record.ok().flatten().is_some_and(|record| {
            record.secondaries.get(id).is_some_and(|known| known.cluster_id.is_some())
        });
        if active {
            let _ = self.known.set(id.to_owned());
        }
        active
    }

    async fn activate(&self, id: &str, request: Request<Incoming>) -> Result<Response, ApiError> {
        let body = whole(request.into_body()).await.unwrap_or_default();
        let asked: Activation = serde_json::from_slice(&body)?;
        let vault = Arc::clone(&self.replication.stacks.current().shared.vault);
        let public = BASE64.decode(&asked.public).map_err(|_| ApiError::invalid("no key"))?;
        let root_key = vault.export_root_key(&public)?;
        let (id, now) = (id.to_owned(), clock::unix());
        Record::change(&vault, move |record| {
            let Some(mut record) = record else {
                return Err(plimsoll_vault::VaultError::invalid("not a primary"));
            };
            record.activate(&id, &asked.secret, &asked.cluster_id, now)?;
            Ok((Some(record), ()))
        })
        .await?;
        let activated = Activated { root_key: BASE64.encode(root_key) };
        Ok(json_response(StatusCode::OK, &activated).map(Outgoing::Whole))
    }

    /// Frames, for as long as the secondary takes them.
    fn stream(&self, id: &str, request: Request<Incoming>) -> Result<Response, ApiError> {
        let stack = self.replication.stacks.current();
        let (store, retired) = (Arc::clone(&stack.store), stack.retired());
        drop(stack);
        let query = crate::face::query(request.uri().query().unwrap_or_default());
        let field = |name: &str, radix| {
            let text = query.get(name).ok_or_else(|| ApiError::invalid(name))?;
            u64::from_str_radix(text, radix).map_err(|_| ApiError::invalid(name))
        };
        let (after, history) = (field("after", 10)?, History::from_bits(field("history", 16)?));
        let mut reader = store.read_log(after, history).map_err(of_log)?;
        // Also what only the first group shows is said in the answer.
        let first = reader.next_group().map_err(of_log)?;
        let shipping = Arc::new(Shipping::new(id, after));
        self.primary.connect(&shipping);
        tracing::info!(secondary = id, after, "shipping");

        let (pieces, body) = byte_channel(PIECES_MAX);
        let acks = acknowledge(request.into_body(), Arc::clone(&shipping), Arc::clone(&store));
        let (role, gone) = (self.role.clone(), CancellationToken::new());
        let ended = gone.clone().drop_guard();
        self.replication.handle.spawn(async move {
            acks.await;
            drop(ended);
        });
        let shipper = Shipper { store, reader, next: first, shipping, pieces, role, retired, gone };
        let waits = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        // On a thread of its own: it reads files, and waits for nobody else.
        self.replication.requests.spawn_blocking(move || shipper.run(&waits));
        Ok(http::Response::new(Outgoing::Stream(body)))
    }

    /// A client's request, with the identity that the secondary has established.
    async fn forwarded(&self, request: Request<Incoming>) -> Response {
        let (mut parts, body) = request.into_parts();
        let origin = parts.headers.remove(CLIENT_HEADER);
        parts.headers.remove(SECONDARY_HEADER);
        parts.headers.remove(PROTOCOL_HEADER);
        let origin = origin.and_then(|origin| origin.to_str().ok()?.parse().ok());
        let Some(origin) = origin else {
            return message(400, "a forwarded request names its client").map(Outgoing::Whole);
        };
        parts.extensions.insert(Origin(origin));
        let identity = IdentityLayer::new(|extensions| Some(extensions.get::<Origin>()?.0));
        let stack = self.replication.stacks.current();
        let service = identity.layer(stack.service());
        // Where all other requests run: it must not hold up what is shipped.
        let answer = self.replication.requests.spawn(async move {
            let Ok(response) = (&service).call(Request::from_parts(parts, body)).await;
            response
        });
        let answer: Result<HttpResponse, _> = answer.await;
        answer.unwrap_or_else(|_| message(500, "internal error")).map(Outgoing::Whole)
    }
}

fn common_protocol(headers: &HeaderMap) -> Result<(), ApiError> {
    let theirs = headers.get(PROTOCOL_HEADER).and_then(|theirs| theirs.to_str().ok());
    if theirs == Some(PROTOCOL) {
        return Ok(());
    }
    let theirs = theirs.unwrap_or("something else");
    Err(ApiError::invalid(format!("the primary speaks {PROTOCOL:?}, the secondary {theirs:?}")))
}

fn of_log(error: ReadLogError) -> ApiError {
    match error {
        ReadLogError::Recycled { .. } => ApiError::Recycled(error.to_string()),
        ReadLogError::Diverged { .. } => ApiError::Diverged(error.to_string()),
        error => ApiError::Internal(error.to_string()),
    }
}

/// Notes what the secondary has applied, until it says no more.
async fn acknowledge(mut body: Incoming, shipping: Arc<Shipping>, store: Arc<LogStore>) {
    let mut acks = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(piece) = frame.data_ref() else { continue };
        acks.extend_from_slice(piece);
        while acks.len() >= ACK_BYTES {
            shipping.acked(acks.get_u64_le(), store.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_secondary_of_another_version_is_told_both_versions() {
        let mut headers = HeaderMap::new();
        headers.insert(PROTOCOL_HEADER, HeaderValue::from_static(PROTOCOL));
        assert!(common_protocol(&headers).is_ok());
        headers.insert(PROTOCOL_HEADER, HeaderValue::from_static("plimsoll-replication 2, log 4"));
        let refused = common_protocol(&headers).map_err(|error| error.to_string());
        let line = "the primary speaks \"plimsoll-replication 3, log 4\", the secondary \
                    \"plimsoll-replication 2, log 4\"";
        assert_eq!(refused, Err(line.to_owned()));
        assert!(common_protocol(&HeaderMap::new()).is_err());
    }
}
