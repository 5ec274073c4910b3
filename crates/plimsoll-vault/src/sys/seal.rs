//! What is answered whether or not the server is unsealed: `sys/init`,
//! `sys/unseal`, `sys/seal-status`, `sys/leader`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use plimsoll::write::Place;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::seal::Shares;
use crate::seal::shamir::SecretBytes;
use crate::vault::{Initialized, Status, Vault};

/// Whether a request was one of these.
pub(crate) enum Opened {
    Answered(Box<Result<Response, VaultError>>),
    Onwards(Request, Option<Place>),
}

/// Answers a request that needs no token, if it is one.
pub(crate) async fn open(vault: &Arc<Vault>, request: Request, place: Option<Place>) -> Opened {
    let answer = match (request.path.as_str(), request.operation) {
        ("sys/init", Operation::Read) => {
            Ok(Response::raw(json!({ "initialized": vault.status().initialized })))
        }
        ("sys/init", Operation::Write) => initialize(vault, &request, place).await,
        ("sys/unseal", Operation::Write) => unseal(vault, &request).await,
        ("sys/seal-status", Operation::Read) => Ok(seal_status(&vault.status())),
        ("sys/leader", Operation::Read) => Ok(Response::raw(json!({ "ha_enabled": false }))),
        ("sys/init" | "sys/unseal" | "sys/seal-status" | "sys/leader", _) => {
            Err(VaultError::Unsupported)
        }
        // As Vault has it: there is nothing to seal.
        ("sys/seal", Operation::Write) if vault.is_sealed() => Ok(Response::default()),
        _ => return Opened::Onwards(request, place),
    };
    Opened::Answered(Box::new(answer))
}

fn seal_status(status: &Status) -> Response {
    let mut body = Map::from_iter([
        ("type".to_owned(), json!(status.seal_type)),
        ("initialized".to_owned(), json!(status.initialized)),
        ("sealed".to_owned(), json!(status.sealed)),
        ("t".to_owned(), json!(status.threshold)),
        ("n".to_owned(), json!(status.shares)),
        ("progress".to_owned(), json!(status.progress)),
        ("nonce".to_owned(), json!(status.nonce)),
        ("version".to_owned(), json!(status.version)),
        ("build_date".to_owned(), json!("")),
        ("migration".to_owned(), json!(false)),
        ("recovery_seal".to_owned(), json!(status.recovery_seal)),
        ("storage_type".to_owned(), json!(status.storage_type)),
    ]);
    if let Some(name) = &status.cluster_name {
        body.insert("cluster_name".to_owned(), json!(name));
    }
    if let Some(id) = &status.cluster_id {
        body.insert("cluster_id".to_owned(), json!(id));
    }
    Response::raw(body.into())
}

async fn initialize(
    vault: &Arc<Vault>,
    request: &Request,
    place: Option<Place>,
) -> Result<Response, VaultError> {
    if vault.status().initialized {
        return Err(VaultError::invalid("Vault is already initialized"));
    }
    let is_auto = vault.has_static_key();
    let (shares, threshold) = match is_auto {
        true => ("recovery_shares", "recovery_threshold"),
        false => ("secret_shares", "secret_threshold"),
    };
    let shares = Shares::new(number(request, shares)?, number(request, threshold)?)?;
    for unsupported in ["pgp_keys", "recovery_pgp_keys", "root_token_pgp_key"] {
        let value = request.data.get(unsupported);
        let is_empty = value.is_none_or(|value| match value {
            Value::Array(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            value => value.is_null(),
        });
        if !is_empty {
            return Err(VaultError::invalid(format!("{unsupported} is not supported")));
        }
    }
    let made = finish(vault, shares, place).await?;
    Ok(Response::raw(handed_out(&made, is_auto)))
}

/// In a task of its own: an initialisation whose client has gone away is not
/// left half-way.
async fn finish(
    vault: &Arc<Vault>,
    shares: Shares,
    place: Option<Place>,
) -> Result<Initialized, VaultError> {
    let vault = Arc::clone(vault);
    let task = tokio::spawn(async move { vault.initialize(shares, place).await });
    task.await.map_err(|error| VaultError::Internal(format!("initialisation: {error}")))?
}

fn handed_out(made: &Initialized, is_auto: bool) -> Value {
    let hexadecimal: Vec<String> = made.shares.iter().map(|share| hex::encode(&**share)).collect();
    let base64: Vec<String> = made.shares.iter().map(|share| BASE64.encode(&**share)).collect();
    if is_auto {
        return json!({
            "keys": [],
            "keys_base64": [],
            "recovery_keys": hexadecimal,
            "recovery_keys_base64": base64,
            "root_token": made.root_token,
        });
    }
    json!({ "keys": hexadecimal, "keys_base64": base64, "root_token": made.root_token })
}

fn number(request: &Request, field: &str) -> Result<u64, VaultError> {
    match request.data.get(field) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value.as_u64().ok_or_else(|| {
            VaultError::invalid(format!("failed to parse JSON input: {field} must be a number"))
        }),
    }
}

async fn unseal(vault: &Arc<Vault>, request: &Request) -> Result<Response, VaultError> {
    if request.data.get("reset").and_then(Value::as_bool).unwrap_or(false) {
        return Ok(seal_status(&vault.reset_progress()));
    }
    let key = match request.data.get("key") {
        Some(Value::String(key)) if !key.is_empty() => share(key)?,
        _ => {
            return Err(VaultError::invalid(
                "'key' must be specified in request body as JSON, or 'reset' set to true",
            ));
        }
    };
    Ok(seal_status(&vault.offer_share(key).await?))
}

fn share(text: &str) -> Result<SecretBytes, VaultError> {
    let decoded = hex::decode(text).or_else(|_| BASE64.decode(text));
    decoded
        .map(Zeroizing::new)
        .map_err(|_| VaultError::invalid("'key' must be a valid hex or base64 string"))
}
