//! The paths of `auth/token/`.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::context::Context;
use crate::duration::duration_field;
use crate::error::VaultError;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::token::authenticate::ancestors_live;
use crate::token::entry::{IDS, TokenEntry, TokenKind, id_key};
use crate::token::issue::auth_response;
use crate::token::lookup::lookup_data;
use crate::token::renew::renew;
use crate::token::{Authenticated, TokenService, Ttls, revoke};

/// Accessors in one answer; a longer list says that it is cut.
const ACCESSORS_MAX: usize = 50_000;

/// A request to `auth/token/` by someone whom the policies allow it.
#[derive(Debug)]
pub struct TokenCall<'a> {
    /// The request.
    pub request: &'a Request,
    /// Its path below `auth/token/`.
    pub path: &'a str,
    /// Who asks.
    pub caller: &'a Authenticated,
    /// Whether the policies grant `sudo` on the request's path.
    pub sudo: bool,
    /// Of the mount `auth/token/`, for the tokens that it makes.
    pub ttls: Ttls,
}

/// A token that a request is about.
struct Target {
    hash: String,
    entry: TokenEntry,
    /// What the caller knows of its id.
    shown_id: String,
}

impl TokenService {
    /// Whether a path below `auth/token/` needs `sudo`.
    pub fn needs_sudo(path: &str) -> bool {
        path == "revoke-orphan" || path.trim_end_matches('/') == "accessors"
    }

    /// Answers a request to `auth/token/`.
    ///
    /// # Errors
    /// What the client is to be told.
    pub fn handle(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
    ) -> Result<Response, VaultError> {
        if Self::needs_sudo(call.path) && !call.sudo {
            return Err(VaultError::permission_denied());
        }
        let mut response = self.dispatch(cx, call)?;
        response.mount_type = Some("token".into());
        Ok(response)
    }

    fn dispatch(&self, cx: &mut Context<'_>, call: &TokenCall<'_>) -> Result<Response, VaultError> {
        use Operation::{List, Read, Write};
        match (call.request.operation, call.path.trim_end_matches('/')) {
            (Write, "create") => self.create(cx, call, false),
            (Write, "create-orphan") => self.create(cx, call, true),
            (Read | Write, "lookup-self") => self.lookup_self(cx, call),
            (Read | Write, "lookup") => self.lookup(cx, call),
            (Read | Write, "lookup-accessor") => self.lookup_accessor(cx, call),
            (Write, "renew-self") => self.renew_self(cx, call),
            (Write, "renew") => self.renew(cx, call),
            (Write, "renew-accessor") => self.renew_accessor(cx, call),
            (Write, "revoke-self") => revoke_target(cx, &own(cx, call)?, false),
            (Write, "revoke") => self.revoke(cx, call, false),
            (Write, "revoke-orphan") => self.revoke(cx, call, true),
            (Write, "revoke-accessor") => self.revoke_accessor(cx, call),
            (Write, "tidy") => Ok(tidy_response()),
            (List, "accessors") => list_accessors(cx),
            (_, path) if is_known(path) => Err(VaultError::Unsupported),
            _ => Err(VaultError::NotFound("unsupported path".to_owned())),
        }
    }

    fn lookup_self(&self, cx: &Context<'_>, call: &TokenCall<'_>) -> Result<Response, VaultError> {
        let target = own(cx, call)?;
        Ok(Response::data(lookup_data(&target.entry, &target.shown_id, cx.now())))
    }

    fn lookup(&self, cx: &mut Context<'_>, call: &TokenCall<'_>) -> Result<Response, VaultError> {
        let Some(id) = token_field(call)? else {
            // As the CLI asks: without a token it is about the caller.
            if call.request.operation == Operation::Write {
                return Err(VaultError::invalid("missing token ID"));
            }
            return self.lookup_self(cx, call);
        };
        let target = self.target(cx, &id)?;
        let target = target.ok_or_else(|| VaultError::Denied("bad token".to_owned()))?;
        Ok(Response::data(lookup_data(&target.entry, &target.shown_id, cx.now())))
    }

    fn lookup_accessor(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
    ) -> Result<Response, VaultError> {
        let target = self.target_of_accessor(cx, call)?.ok_or_else(invalid_accessor)?;
        Ok(Response::data(lookup_data(&target.entry, "", cx.now())))
    }

    fn renew_self(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
    ) -> Result<Response, VaultError> {
        let target = own(cx, call)?;
        renew_target(cx, call, target)
    }

    fn renew(&self, cx: &mut Context<'_>, call: &TokenCall<'_>) -> Result<Response, VaultError> {
        let id = token_field(call)?.ok_or_else(|| VaultError::invalid("missing token ID"))?;
        let target = self.target(cx, &id)?;
        renew_target(cx, call, target.ok_or_else(|| VaultError::invalid("token not found"))?)
    }

    fn renew_accessor(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
    ) -> Result<Response, VaultError> {
        let target = self.target_of_accessor(cx, call)?.ok_or_else(invalid_accessor)?;
        renew_target(cx, call, target)
    }

    fn revoke(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
        leave_orphans: bool,
    ) -> Result<Response, VaultError> {
        let id = token_field(call)?.ok_or_else(|| VaultError::invalid("missing token ID"))?;
        match self.target(cx, &id)? {
            Some(target) => revoke_target(cx, &target, leave_orphans),
            None if leave_orphans => Err(VaultError::invalid("token to revoke not found")),
            None => Ok(Response::default()),
        }
    }

    fn revoke_accessor(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
    ) -> Result<Response, VaultError> {
        match self.target_of_accessor(cx, call)? {
            Some(target) => revoke_target(cx, &target, false),
            None => Ok(Response {
                warnings: vec!["No token found with this accessor".to_owned()],
                ..Response::default()
            }),
        }
    }

    /// A token that can be used, with the id that the caller sent.
    fn target(
        &self,
        cx: &mut Context<'_>,
        id: &SecretString,
    ) -> Result<Option<Target>, VaultError> {
        let Some((hash, entry)) = self.find(cx, id)? else { return Ok(None) };
        if !entry.is_live(cx.now()) || !ancestors_live(cx, &entry)? {
            return Ok(None);
        }
        let shown_id = id.expose_secret().to_owned();
        Ok(Some(Target { hash, entry: (*entry).clone(), shown_id }))
    }

    fn target_of_accessor(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
    ) -> Result<Option<Target>, VaultError> {
        let accessor = field(call, "accessor")?
            .ok_or_else(|| VaultError::invalid("1 error occurred:\n\t* missing accessor\n\n"))?;
        let hash = self.keys.hash_of_accessor(&accessor);
        let Some(entry) = super::live(cx, &hash)? else { return Ok(None) };
        if !ancestors_live(cx, &entry)? {
            return Ok(None);
        }
        Ok(Some(Target { hash, entry, shown_id: String::new() }))
    }
}

/// The caller's own token, this use counted.
fn own(cx: &Context<'_>, call: &TokenCall<'_>) -> Result<Target, VaultError> {
    let id = call.request.token.as_ref().ok_or_else(VaultError::permission_denied)?;
    let mut entry = (*call.caller.entry).clone();
    entry.num_uses = entry.num_uses.saturating_sub(1);
    debug_assert!(!entry.is_expired(cx.now()), "authenticated at the same time");
    Ok(Target { hash: call.caller.hash.clone(), entry, shown_id: id.expose_secret().to_owned() })
}

fn renew_target(
    cx: &mut Context<'_>,
    call: &TokenCall<'_>,
    mut target: Target,
) -> Result<Response, VaultError> {
    if target.entry.kind == TokenKind::Batch {
        return Err(VaultError::invalid("batch tokens cannot be renewed"));
    }
    let increment = duration_field(&call.request.data, "increment")?.unwrap_or(0);
    let mut warnings = Vec::new();
    let is_last_use = call.caller.is_last_use && target.hash == call.caller.hash;
    if is_last_use {
        // Nothing to renew: it is removed when this request is done.
        return Err(VaultError::invalid("lease is not renewable"));
    }
    let (hash, entry) = (&target.hash, &mut target.entry);
    let ttl = renew(cx, hash, entry, increment, &mut warnings)?;
    let auth = auth_response(entry, &target.shown_id, ttl);
    Ok(Response { auth: Some(auth), warnings, ..Response::default() })
}

fn revoke_target(
    cx: &mut Context<'_>,
    target: &Target,
    leave_orphans: bool,
) -> Result<Response, VaultError> {
    if target.entry.kind == TokenKind::Batch {
        return Err(VaultError::invalid("batch tokens cannot be revoked"));
    }
    if leave_orphans {
        revoke::leaving_orphans(cx, &target.hash, target.entry.clone())?;
    } else {
        revoke::tree(cx, &target.hash)?;
    }
    Ok(Response::default())
}

fn list_accessors(cx: &mut Context<'_>) -> Result<Response, VaultError> {
    let now = cx.now();
    let hashes = cx.keys(IDS, "", ACCESSORS_MAX + 1)?;
    let mut accessors = Vec::with_capacity(hashes.len().min(ACCESSORS_MAX));
    for hash in hashes.iter().take(ACCESSORS_MAX) {
        let entry = cx.get::<TokenEntry>(&id_key(hash))?;
        accessors.extend(entry.filter(|entry| entry.is_live(now)).map(|entry| entry.accessor));
    }
    if accessors.is_empty() {
        return Err(VaultError::not_found());
    }
    let mut response = Response::keys(accessors);
    if hashes.len() > ACCESSORS_MAX {
        response.warnings.push(format!("only {ACCESSORS_MAX} of more tokens are listed"));
    }
    Ok(response)
}

fn tidy_response() -> Response {
    let said = "Tidy operation successfully started. Any information from the operation will be \
                printed to the server logs.";
    Response { warnings: vec![said.to_owned()], status: Some(202), ..Response::default() }
}

fn is_known(path: &str) -> bool {
    matches!(
        path,
        "create"
            | "create-orphan"
            | "lookup"
            | "lookup-self"
            | "lookup-accessor"
            | "renew"
            | "renew-self"
            | "renew-accessor"
            | "revoke"
            | "revoke-self"
            | "revoke-orphan"
            | "revoke-accessor"
            | "tidy"
            | "accessors"
    )
}

fn invalid_accessor() -> VaultError {
    VaultError::invalid("1 error occurred:\n\t* invalid accessor\n\n")
}

fn token_field(call: &TokenCall<'_>) -> Result<Option<SecretString>, VaultError> {
    Ok(field(call, "token")?.map(SecretString::from))
}

/// A string of the body, or of the query for those who look up with GET.
fn field(call: &TokenCall<'_>, name: &str) -> Result<Option<String>, VaultError> {
    let text = match call.request.data.get(name) {
        None | Some(Value::Null) => call.request.query.get(name).cloned(),
        Some(_) => call.request.text(name)?,
    };
    Ok(text.filter(|text| !text.is_empty()))
}
