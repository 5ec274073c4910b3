//! A write that may be sent twice and is done once.
//!
//! A client whose answer got lost cannot know whether its request was executed. If it
//! had sent an `Idempotency-Key`, it sends the same again: the answer was stored in the
//! same transaction as whatever the request wrote, so it is found if and only if the
//! request was executed, whatever happened to the server in between. Two of the same
//! in one batch are no exception: the second reads the record as absent, finds it
//! changed at its commit and is decided again.
//!
//! - *Whose.* A record is found by a keyed hash of the key and the credential, a login's
//!   being its body; so nobody can ask for another's answer, and the same key in two
//!   hands is two keys.
//! - *Secrecy.* An answer may hold a secret. Behind the barrier it is encrypted once
//!   more, under a key derived from the same two, of which neither is stored.
//! - *What.* The answers of requests that succeeded. What failed has written nothing and
//!   can be done again; a refusal was not executed.
//! - *How long.* 24 hours, at most as long as the token lives, and at most so many
//!   records: of more, those next to their end go first.
//! - *Revoked tokens* get no answer, unless the request itself was their last use.

mod record;

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::VaultError;
use crate::idempotency::record::{EXPIRIES, Record, expiry, expiry_key, record_key};
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::sys;
use crate::token::TokenService;
use crate::token::entry::millis;

/// How long an answer is kept, in milliseconds.
const KEPT_MS_MAX: u64 = 24 * 3600 * 1000;

/// Records looked at in one step of the background work.
const STEP_RECORDS_MAX: usize = 256;

/// A request that is to be done once.
pub(crate) struct Once {
    /// Names its record.
    name: String,
    seal_key: Zeroizing<[u8; 32]>,
    /// Of what it asks.
    fingerprint: String,
}

impl Once {
    /// `None` for a request that can be repeated as it is.
    pub(crate) fn of(
        tokens: &TokenService,
        request: &Request,
        key: &str,
    ) -> Result<Option<Self>, VaultError> {
        let reads = matches!(request.operation, Operation::Read | Operation::List);
        if reads || sys::only_reads(&request.path) {
            return Ok(None);
        }
        let operation = format!("{:?}", request.operation);
        let asked = (operation, &request.path, &request.query, &request.data);
        let payload = serde_json::to_vec(&asked).map(Zeroizing::new);
        let payload =
            payload.map_err(|_| VaultError::Internal("unencodable request".to_owned()))?;
        let credential = match &request.token {
            Some(token) => token.expose_secret().as_bytes(),
            None => &payload,
        };
        let mut identity = Zeroizing::new((key.len() as u64).to_le_bytes().to_vec());
        identity.extend_from_slice(key.as_bytes());
        identity.push(u8::from(request.token.is_some()));
        identity.extend_from_slice(credential);
        Ok(Some(Self {
            name: hex::encode(tokens.derive("idempotency record", &identity)),
            seal_key: Zeroizing::new(tokens.derive("idempotency key", &identity)),
            fingerprint: hex::encode(tokens.derive("idempotency request", &payload)),
        }))
    }

    /// The answer to the first of these requests; `None` if this is it.
    pub(crate) fn answered(
        &self,
        context: &mut Context<'_>,
        tokens: &TokenService,
        request: &Request,
    ) -> Result<Option<Response>, VaultError> {
        let record = context.get::<Record>(&record_key(&self.name))?;
        let Some(record) = record.filter(|record| record.expires_ms > millis(context.now())) else {
            return Ok(None);
        };
        if record.fingerprint != self.fingerprint {
            return Err(VaultError::KeyReused);
        }
        if let Some(token) = request.token.as_ref().filter(|_| !record.token_spent)
            && !tokens.admits(context, token, request.remote)?
        {
            return Err(VaultError::permission_denied());
        }
        let mut response = record.open(&self.seal_key)?;
        response.replayed = true;
        Ok(Some(response))
    }

    /// How long the answer may be kept, and whether this is the last use of the token:
    /// to be asked before the use is counted.
    pub(crate) fn terms(
        context: &mut Context<'_>,
        tokens: &TokenService,
        request: &Request,
    ) -> Result<Terms, VaultError> {
        let kept_until_ms = millis(context.now()).saturating_add(KEPT_MS_MAX);
        let mut terms = Terms { kept_until_ms, token_spent: false };
        if let Some(token) = &request.token
            && let Some((_, entry)) = tokens.find(context, token)?
        {
            terms.kept_until_ms = entry.expires_ms.unwrap_or(u64::MAX).min(kept_until_ms);
            terms.token_spent = entry.num_uses == 1;
        }
        Ok(terms)
    }

    /// Stores an answer with whatever else the decision writes. The end and the name of
    /// its record, for [`Kept`], unless it takes the place of another.
    pub(crate) fn keep(
        &self,
        context: &mut Context<'_>,
        terms: &Terms,
        response: &Response,
    ) -> Result<Option<String>, VaultError> {
        let mut expires_ms = terms.kept_until_ms;
        if let Some(auth) = response.auth.as_ref().filter(|auth| auth.lease_duration > 0) {
            let end_ms = auth.lease_duration.saturating_mul(1000);
            expires_ms = expires_ms.min(millis(context.now()).saturating_add(end_ms));
        }
        let mut record = Record::seal(&self.seal_key, response, &self.fingerprint)?;
        (record.expires_ms, record.token_spent) = (expires_ms, terms.token_spent);
        let known = context.get::<Record>(&record_key(&self.name))?;
        if let Some(known) = &known {
            // Over, but not yet removed.
            context.delete(&expiry_key(&expiry(known.expires_ms, &self.name)));
        }
        let expiry = expiry(expires_ms, &self.name);
        context.put(&record_key(&self.name), &record)?;
        context.put(&expiry_key(&expiry), &())?;
        Ok(known.is_none().then_some(expiry))
    }
}

/// See [`Once::terms`].
pub(crate) struct Terms {
    kept_until_ms: u64,
    token_spent: bool,
}

/// How many records there are: those of the start are counted in the background, in the
/// order of their ends, and meanwhile a new one only if it ends before what is counted.
#[derive(Debug)]
pub(crate) struct Kept(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    records: u64,
    /// Up to this end and name; `None`: all are.
    to: Option<String>,
}

impl Default for Kept {
    fn default() -> Self {
        Self(Mutex::new(Counted { records: 0, to: Some(String::new()) }))
    }
}

impl Kept {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was committed, with this [`Once::keep`].
    pub(crate) fn added(&self, name: &str) {
        let mut counted = self.counted();
        if counted.to.as_ref().is_none_or(|to| name <= to.as_str()) {
            counted.records += 1;
        }
    }

    pub(crate) fn removed(&self, records: usize) {
        let mut counted = self.counted();
        counted.records = counted.records.saturating_sub(records as u64);
    }

    /// How many there are more than `records_max`.
    pub(crate) fn surplus(&self, records_max: u64) -> usize {
        usize::try_from(self.counted().records.saturating_sub(records_max)).unwrap_or(usize::MAX)
    }

    /// Counts a page of what was there at the start. How many those were.
    pub(crate) fn count(&self, context: &Context<'_>) -> Result<usize, VaultError> {
        let mut counted = self.counted();
        let Some(after) = &counted.to else { return Ok(0) };
        let page = context.keys(EXPIRIES, after, STEP_RECORDS_MAX)?;
        counted.records += page.len() as u64;
        let is_full = page.len() == STEP_RECORDS_MAX;
        counted.to = page.last().filter(|_| is_full).cloned();
        Ok(page.len())
    }
}

/// Removes records that are over, and `surplus` of the others. How many.
pub(crate) fn step(context: &mut Context<'_>, surplus: usize) -> Result<usize, VaultError> {
    let now_ms = millis(context.now());
    let names = context.keys(EXPIRIES, "", STEP_RECORDS_MAX)?;
    let mut removed = 0;
    for name in &names {
        let Some((at_ms, record)) = name.split_once('/') else { continue };
        let is_over = u64::from_str_radix(at_ms, 16).is_ok_and(|at_ms| at_ms <= now_ms);
        if !is_over && removed >= surplus {
            break;
        }
        context.delete(&expiry_key(name));
        context.delete(&record_key(record));
        removed += 1;
    }
    Ok(removed)
}
