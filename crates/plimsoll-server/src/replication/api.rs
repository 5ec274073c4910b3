//! `sys/replication`: as operators of Vault know it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use plimsoll_daemon::clock;
use plimsoll_store::snapshot::SnapshotError;
use plimsoll_vault::{Operation, Recipient, VaultError};
use serde_json::{Map, Value, json};

use crate::backup::Outgoing;
use crate::face::{HttpResponse, json_response, message};
use crate::replication::Replication;
use crate::replication::client::{Link, Unreachable, said, whole};
use crate::replication::credentials::{TOKEN_TTL, Token, authority, issue};
use crate::replication::local::Replica;
use crate::replication::record::Record;
use crate::replication::serve::{ACTIVATE_PATH, Activated, Activation};
use crate::replication::status::State;

const PREFIX: &str = "/v1/sys/replication/";
/// Of a request here: a token has a few kilobytes.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Of the name of a secondary.
const ID_BYTES_MAX: usize = 128;

/// Why a request here was not done. One line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Recycled(String),
    #[error("{0}")]
    Diverged(String),
    #[error("the primary refuses: {1}")]
    Primary(StatusCode, String),
    #[error("the connection to the primary broke off: {0}")]
    Lost(String),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("{0}")]
    Internal(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl ApiError {
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    pub(super) fn response(&self) -> HttpResponse {
        let status = match self {
            Self::Denied(_) => 403,
            Self::Recycled(_) => 410,
            Self::Diverged(_) => 409,
            Self::Vault(error) => error.status(),
            Self::Internal(_) | Self::Io(_) | Self::Snapshot(_) => 500,
            _ => 400,
        };
        if status == 500 {
            tracing::error!(error = %self, "replication");
        }
        message(status, &self.to_string())
    }
}

type Answer = Result<HttpResponse, ApiError>;

/// Whether a request is for `sys/replication`.
pub(crate) fn is_for<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with(PREFIX)
}

/// Answers it, if the token may.
pub(crate) async fn answer<B>(replication: &Arc<Replication>, request: Request<B>) -> HttpResponse
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_start_matches(PREFIX).trim_end_matches('/').to_owned();
    if parts.method == Method::GET {
        return match &*path {
            "status" | "performance/status" => replication.status(&path),
            _ => message(404, ""),
        };
    }
    if !matches!(parts.method, Method::POST | Method::PUT) {
        return message(405, "unsupported operation");
    }
    if let Some(denied) = denied(replication, &parts, &path).await {
        return denied;
    }
    let body = tokio::time::timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect());
    let Ok(Ok(body)) = body.await else { return message(400, "the body cannot be read") };
    let fields = match serde_json::from_slice(&body.to_bytes()) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let _changing = replication.changing.lock().await;
    let done = match &*path {
        "performance/primary/enable" => replication.enable_primary(&fields).await,
        "performance/primary/secondary-token" => replication.secondary_token(&fields).await,
        "performance/primary/revoke-secondary" => replication.revoke(&fields).await,
        "performance/primary/disable" => replication.disable_primary().await,
        "performance/secondary/enable" => replication.enable_secondary(&fields).await,
        "performance/secondary/update-primary" => replication.update_primary(&fields).await,
        "performance/secondary/promote" => replication.leave_primary("promoted").await,
        "performance/secondary/disable" => replication.leave_primary("disabled").await,
        _ => return message(404, ""),
    };
    done.unwrap_or_else(|error| error.response())
}

async fn denied(replication: &Replication, parts: &Parts, path: &str) -> Option<HttpResponse> {
    let shared = &replication.stacks.current().shared;
    shared.denial(parts, Operation::Write, &format!("sys/replication/{path}")).await
}

fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> Option<&'f str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn warned(warning: &str) -> HttpResponse {
    json_response(StatusCode::OK, &json!({ "data": null, "warnings": [warning] }))
}

impl Replication {
    fn must_not_follow(&self) -> Result<(), ApiError> {
        match self.local.read()? {
            Some(_) => Err(ApiError::invalid("this cluster is a secondary already")),
            None => Ok(()),
        }
    }

    async fn enable_primary(self: &Arc<Self>, fields: &Map<String, Value>) -> Answer {
        self.must_not_follow()?;
        let address = text(fields, "primary_cluster_addr").map(bare_address);
        let made = authority()?;
        let vault = Arc::clone(&self.stacks.current().shared.vault);
        Record::change(&vault, move |record| match record {
            Some(_) => Err(VaultError::invalid("this cluster is a primary already")),
            None => Ok((Some(Record::new(made.clone(), address.clone())), ())),
        })
        .await?;
        if let Err(error) = self.take_up().await {
            Record::change(&vault, |_| Ok((None, ()))).await?;
            return Err(error);
        }
        Ok(warned("this cluster is being enabled as a primary for replication"))
    }

    async fn secondary_token(&self, fields: &Map<String, Value>) -> Answer {
        let id = text(fields, "id").ok_or_else(|| ApiError::invalid("missing id"))?.to_owned();
        if id.len() > ID_BYTES_MAX || http::HeaderValue::from_str(&id).is_err() {
            return Err(ApiError::invalid("id: at most 128 visible ASCII characters"));
        }
        let ttl = match fields.get("ttl") {
            None => TOKEN_TTL,
            Some(Value::Number(seconds)) => Duration::from_secs(seconds.as_u64().unwrap_or(0)),
            Some(ttl) => humantime::parse_duration(ttl.as_str().unwrap_or_default())
                .map_err(|_| ApiError::invalid("ttl: expected e.g. 30m"))?,
        };
        let Some(primary) = self.following.primary.load_full() else {
            return Err(ApiError::invalid("this cluster is not a primary"));
        };
        let vault = Arc::clone(&self.stacks.current().shared.vault);
        let record = Record::read(&vault)?;
        let ca = record.ok_or_else(|| ApiError::invalid("this cluster is not a primary"))?.ca;
        let token = Token {
            cluster_id: vault.status().cluster_id.unwrap_or_default(),
            address: primary.address.clone(),
            own: issue(&ca, Some(&id))?,
            ca: ca.certificate,
            secret: uuid::Uuid::new_v4().to_string(),
            id: id.clone(),
        };
        let (secret, now) = (token.secret.clone(), clock::unix());
        Record::change(&vault, move |record| {
            let Some(mut record) = record else { return Err(VaultError::invalid("no primary")) };
            record.expect(&id, &secret, now, ttl)?;
            Ok((Some(record), ()))
        })
        .await?;
        let wrapped = json!({
            "token": token.encode()?,
            "accessor": "",
            "ttl": ttl.as_secs(),
            "creation_time": clock::rfc3339(clock::wall()),
            "creation_path": "sys/replication/performance/primary/secondary-token",
        });
        Ok(json_response(StatusCode::OK, &json!({ "data": null, "wrap_info": wrapped })))
    }

    async fn revoke(&self, fields: &Map<String, Value>) -> Answer {
        let id = text(fields, "id").ok_or_else(|| ApiError::invalid("missing id"))?.to_owned();
        let vault = Arc::clone(&self.stacks.current().shared.vault);
        Record::change(&vault, move |record| {
            let mut record = record.ok_or_else(|| VaultError::invalid("not a primary"))?;
            record.secondaries.remove(&id);
            Ok((Some(record), ()))
        })
        .await?;
        if let Some(primary) = self.following.primary.load_full() {
            primary.cut();
        }
        Ok(no_content())
    }

    async fn disable_primary(self: &Arc<Self>) -> Answer {
        if self.following.primary.load().is_none() {
            return Err(ApiError::invalid("this cluster is not a primary"));
        }
        Record::change(&self.stacks.current().shared.vault, |_| Ok((None, ()))).await?;
        self.take_up().await?;
        Ok(no_content())
    }

    async fn enable_secondary(self: &Arc<Self>, fields: &Map<String, Value>) -> Answer {
        self.must_not_follow()?;
        let token = text(fields, "token").ok_or_else(|| ApiError::invalid("missing token"))?;
        let token = Token::decode(token)?;
        let vault = Arc::clone(&self.stacks.current().shared.vault);
        let cluster_id = vault.status().cluster_id.ok_or(VaultError::Sealed)?;
        if let Some(record) = Record::read(&vault)? {
            return Err(ApiError::invalid(match record.issued(&token) {
                true => "the token was issued by this cluster: a secondary cannot follow itself",
                false => "this cluster is a primary: disable that first",
            }));
        }
        let link =
            Link::new(&token.address, &token.ca, &token.id, &token.own, self.handle.clone())?;
        let recipient = Recipient::new()?;
        let activation = Activation {
            secret: token.secret.clone(),
            cluster_id,
            public: BASE64.encode(recipient.public()),
        };
        let activated = activate(&link, &activation).await?;
        let root_key =
            BASE64.decode(activated.root_key).map_err(|_| ApiError::invalid("no key"))?;
        let secrets = serde_json::to_vec(&token.own)?;
        let (seal, secrets) = vault.adopt(&recipient, &root_key, &secrets)?;
        let replica = Replica::new(&token, seal, &secrets);
        self.local.write(&replica)?;
        self.take_up().await?;
        Ok(warned(
            "this cluster is becoming a secondary: what it held is being replaced by the \
             primary's data, its tokens included",
        ))
    }

    /// Follows the same data elsewhere: after a promotion, or at another address.
    async fn update_primary(self: &Arc<Self>, fields: &Map<String, Value>) -> Answer {
        let Some(mut replica) = self.local.read()? else {
            return Err(ApiError::invalid("this cluster is not a secondary"));
        };
        let address = text(fields, "update_primary_addrs").map(bare_address);
        let address = address.filter(|address| !address.contains(','));
        replica.address = address
            .ok_or_else(|| ApiError::invalid("update_primary_addrs: expected one host:port"))?;
        // Whoever does not answer there with a certificate of the authority is not it.
        let certified = replica.certified(&self.stacks.current().shared.vault)?;
        let handle = self.handle.clone();
        Link::new(&replica.address, &replica.ca, &replica.id, &certified, handle)?.open().await?;
        self.local.write(&replica)?;
        self.take_up().await?;
        Ok(no_content())
    }

    /// Ends following. What was followed so far stays.
    async fn leave_primary(self: &Arc<Self>, how: &str) -> Answer {
        let stack = self.stacks.current();
        let Some(replica) = self.local.read()? else {
            return Err(ApiError::invalid("this cluster is not a secondary"));
        };
        self.lay_down();
        stack.store.set_following(false);
        let (revision, history) = stack.store.position();
        if stack.shared.vault.is_following() {
            // Before any client's write, its own seal becomes that of the data.
            stack.shared.vault.keep_seal(&replica.seal).await?;
            self.stacks.leave_primary()?;
            stack.shared.vault.stop_following();
        }
        self.local.remove()?;
        self.following.link.store(None);
        self.following.set_state(State::Idle);
        tracing::warn!(revision, remote = self.following.remote(), "{how}");
        self.take_up().await?;
        let data = json!({
            "last_remote_wal": revision,
            "known_remote_wal": self.following.remote().max(revision),
            "history": history.to_string(),
        });
        Ok(json_response(StatusCode::OK, &json!({ "data": data })))
    }

    fn status(&self, path: &str) -> HttpResponse {
        let stack = self.stacks.current();
        let now = stack.store.now();
        let (revision, history) = stack.store.position();
        let position = json!({
            "last_wal": revision,
            "history": history.to_string(),
            "log_retain_bytes": stack.store.log_retain_bytes(),
        });
        let mut performance =
            match (stack.shared.vault.is_following(), self.following.primary.load_full()) {
                (true, _) => self.secondary_status(now),
                (false, Some(primary)) => {
                    let secondaries = primary.connected();
                    let known: Vec<_> = secondaries.iter().map(|shipping| &shipping.id).collect();
                    let each = |shipping: &Arc<crate::replication::status::Shipping>| {
                        let (lag, seen) = (shipping.behind(now), shipping.lag.digest());
                        json!({
                            "node_id": shipping.id,
                            "connection_status": "connected",
                            "last_acked_wal": shipping.acked_revision(),
                            "lag_groups": lag.groups,
                            "lag_bytes": lag.bytes,
                            "lag_ms": lag.age.as_secs_f64() * 1000.0,
                            "lag_ms_p50": seen.quantiles[0],
                            "lag_ms_p99": seen.quantiles[2],
                        })
                    };
                    json!({
                        "mode": "primary",
                        "state": "running",
                        "cluster_id": stack.shared.vault.status().cluster_id,
                        "primary_cluster_addr": primary.address,
                        "known_secondaries": known,
                        "secondaries": secondaries.iter().map(each).collect::<Vec<_>>(),
                    })
                }
                (false, None) => match self.local.read() {
                    Ok(None) => json!({ "mode": "disabled" }),
                    // Not a copy yet, or not unsealed for long.
                    _ => self.secondary_status(now),
                },
            };
        if let (Value::Object(performance), Value::Object(position)) = (&mut performance, position)
        {
            performance.extend(position);
        }
        let data = match path {
            "performance/status" => performance,
            _ => json!({ "dr": { "mode": "disabled" }, "performance": performance }),
        };
        json_response(StatusCode::OK, &json!({ "data": data }))
    }

    fn secondary_status(&self, now: plimsoll::Timestamp) -> Value {
        let (state, lag) = (self.following.state(), self.following.lag(now));
        let link = self.following.link.load_full();
        json!({
            "mode": "secondary",
            "state": state.name(),
            "reason": state.reason(),
            "known_primary_cluster_addrs": link.iter().map(|link| link.address()).collect::<Vec<_>>(),
            "last_remote_wal": self.following.remote(),
            "connection_state": if state == State::Streaming { "ready" } else { "transient_failure" },
            "lag_groups": lag.groups,
            "lag_bytes": lag.bytes,
            "lag_ms": lag.age.as_secs_f64() * 1000.0,
        })
    }
}

async fn activate(link: &Link, activation: &Activation) -> Result<Activated, ApiError> {
    let body = Full::new(Bytes::from(serde_json::to_vec(activation)?));
    let request = link.request(Method::POST, ACTIVATE_PATH, Outgoing::Whole(body));
    let mut sender = link.open().await?;
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| ApiError::Lost(error.to_string()))?;
    if !response.status().is_success() {
        let (status, why) = said(response).await;
        return Err(ApiError::Primary(status, why));
    }
    let body = whole(response.into_body()).await;
    Ok(serde_json::from_slice(&body.ok_or_else(|| ApiError::invalid("no answer"))?)?)
}

/// Vault's clients write an address with a scheme.
fn bare_address(address: &str) -> String {
    address.trim_start_matches("https://").trim_end_matches('/').to_owned()
}

fn no_content() -> HttpResponse {
    let mut response = HttpResponse::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
