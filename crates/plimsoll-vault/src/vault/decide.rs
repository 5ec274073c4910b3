//! The decision: who asks, whether they may, and what the answer is.
//!
//! Everything here is a function of one view of the store and of the request.
//! A use of a token is counted first and stays counted when the rest fails; the
//! rest is written whole or not at all.

use std::sync::Arc;

use plimsoll::Class;
use secrecy::ExposeSecret as _;

use crate::audit::{AuditedAuth, DeviceEntry};
use crate::backend::{Answer, Backend, Call, Caller, Grant, Preparation, Prepared};
use crate::context::Context;
use crate::error::VaultError;
use crate::idempotency::Once;
use crate::mounts::{MountEntry, Routes, Target};
use crate::quota::leases;
use crate::request::{Operation, Request};
use crate::response::{AuthResponse, Response};
use crate::sys::{self, SysAnswer, SysCall};
use crate::token::{Authenticated, TokenCall, TokenEntry, TokenKind, TokenService};
use crate::vault::Vault;
use crate::vault::authority::Authority;

/// A request and what was computed for it beforehand.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) prepared: Result<Prepared, VaultError>,
    /// For a request that is to be done once.
    pub(crate) once: Option<Once>,
    /// Whether it is done elsewhere, once it is known that the caller may.
    pub(crate) elsewhere: bool,
}

/// What was decided.
pub(crate) struct Decided {
    pub(crate) result: Result<Response, VaultError>,
    pub(crate) effect: Option<Effect>,
    pub(crate) auth: Option<Arc<AuditedAuth>>,
    pub(crate) mount: AuditedMount,
    /// The record of an answer that is kept for whoever asks again.
    pub(crate) kept: Option<String>,
}

/// What is to happen outside of the store once it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Seal,
    Rotate,
    AuditChanged,
    QuotasChanged,
    /// With what belonged to it.
    MountRemoved,
    MaintenanceChanged,
    /// There may be intents for the background work.
    WorkAdded,
}

/// The mount as the audit log shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditedMount {
    pub(crate) point: String,
    pub(crate) engine: String,
    pub(crate) accessor: String,
}

impl Default for Decided {
    fn default() -> Self {
        let (effect, auth, mount) = (None, None, AuditedMount::default());
        Self { result: Ok(Response::default()), effect, auth, mount, kept: None }
    }
}

impl Decided {
    /// What the audit log is told before it is executed: all but the response.
    pub(crate) fn clone_for_audit(&self) -> Self {
        let result = self.result.as_ref().map(|_| Response::default()).map_err(Clone::clone);
        Self { result, auth: self.auth.clone(), mount: self.mount.clone(), ..Self::default() }
    }
}

/// What must be done before a decision.
pub(crate) enum Beforehand {
    Compute(Preparation),
    TryDevice(DeviceEntry),
}

/// Someone who was let in.
struct Entered {
    who: Authenticated,
    authority: Authority,
}

impl Vault {
    pub(crate) fn token_service(&self) -> Result<Arc<TokenService>, VaultError> {
        self.tokens.load_full().ok_or(VaultError::Sealed)
    }

    /// What must be done before a decision, and whether the caller may have it
    /// done.
    pub(super) fn beforehand(
        &self,
        context: &mut Context<'_>,
        request: &Request,
    ) -> Result<Option<Beforehand>, VaultError> {
        let routes = Routes::read(context)?;
        let Some((entry, rest)) = routes.route(&request.path) else { return Ok(None) };
        let work = match entry.target() {
            Some(Target::Engine(engine)) => {
                let mut call = self.call(context, request, entry, rest, None, &Prepared::Nothing);
                match engine.prepare(&mut call)? {
                    Preparation::Nothing => return Ok(None),
                    preparation if engine.is_login(rest) => {
                        return Ok(Some(Beforehand::Compute(preparation)));
                    }
                    preparation => Beforehand::Compute(preparation),
                }
            }
            Some(Target::Sys) => match sys::device_to_try(request) {
                Some(device) => Beforehand::TryDevice(device),
                None => return Ok(None),
            },
            Some(Target::Token) | None => return Ok(None),
        };
        // Nobody gets work done who may not ask for it.
        let entered = self.enter(context, request)?;
        entered.authority.check(request, || Ok(None))?;
        Ok(Some(work))
    }

    /// Decides. Whatever this leaves in the context is to be committed.
    pub(super) fn decided(&self, context: &mut Context<'_>, asked: &Asked) -> Decided {
        let mut decided = Decided::default();
        decided.result = match &asked.once {
            None => self.result(context, asked, &mut decided),
            Some(once) => self.once(context, asked, once, &mut decided),
        };
        decided
    }

    /// Finds the answer to the same request, or makes and keeps it.
    fn once(
        &self,
        context: &mut Context<'_>,
        asked: &Asked,
        once: &Once,
        decided: &mut Decided,
    ) -> Result<Response, VaultError> {
        let tokens = self.token_service()?;
        if let Some(response) = once.answered(context, &tokens, &asked.request)? {
            return Ok(response);
        }
        let terms = Once::terms(context, &tokens, &asked.request)?;
        let savepoint = context.savepoint();
        let mut response = self.result(context, asked, decided)?;
        response.request_id = Some(asked.request.id.clone());
        match once.keep(context, &terms, &response) {
            Ok(kept) => decided.kept = kept,
            Err(error) => {
                context.roll_back(savepoint);
                decided.effect = None;
                return Err(error);
            }
        }
        Ok(response)
    }

    fn result(
        &self,
        context: &mut Context<'_>,
        asked: &Asked,
        decided: &mut Decided,
    ) -> Result<Response, VaultError> {
        let request = &asked.request;
        let routes = Routes::read(context)?;
        let routed = routes.route(&request.path);
        if let Some((entry, rest)) = routed {
            if !self.audit.is_empty() {
                decided.mount = audited_mount(entry);
            }
            if let Some(Target::Engine(engine)) = entry.target()
                && engine.is_login(rest)
            {
                return self.login(context, asked, &**engine, entry, rest);
            }
        }
        let entered = match self.enter(context, request) {
            Ok(entered) => entered,
            Err(error) if is_open(routed, request) => {
                return sys::handle_anonymous(request, error);
            }
            Err(error) => return Err(error),
        };
        if !self.audit.is_empty() {
            decided.auth = Some(Arc::new(audited_auth(&entered.who, context)));
        }
        let savepoint = context.savepoint();
        let answer = self.permitted(context, asked, &routes, routed, &entered);
        if answer.is_err() {
            context.roll_back(savepoint);
        }
        self.token_service()?.finish(context, &entered.who)?;
        let answer = answer?;
        decided.effect = answer.effect;
        Ok(answer.response)
    }

    /// Lets the bearer of the request's token in, and counts the use.
    fn enter(&self, context: &mut Context<'_>, request: &Request) -> Result<Entered, VaultError> {
        let token = request.token.as_ref().ok_or_else(VaultError::permission_denied)?;
        let who = self.token_service()?.authenticate(context, token, request.remote);
        let who = match who {
            Ok(who) => who,
            Err(error) => {
                self.callers.forget(token.expose_secret());
                return Err(error);
            }
        };
        let authority = Authority(self.acls.load(context, &who.entry.policies)?);
        self.saw(token.expose_secret(), &who, context);
        Ok(Entered { who, authority })
    }

    fn saw(&self, token: &str, who: &Authenticated, context: &Context<'_>) {
        let now = context.now();
        if self.callers.get(token, now).is_some() {
            return;
        }
        let TokenEntry { path, display_name, meta, .. } = &*who.entry;
        let is_root = who.entry.is_root();
        if path.starts_with("auth/token/") {
            self.callers.saw(token, &who.hash, is_root, now);
        } else {
            // However often a role logs in, it is one caller.
            self.callers.saw(token, (path, display_name, meta), is_root, now);
        }
    }

    fn permitted(
        &self,
        context: &mut Context<'_>,
        asked: &Asked,
        routes: &Routes,
        routed: Option<(&MountEntry, &str)>,
        entered: &Entered,
    ) -> Result<SysAnswer, VaultError> {
        let request = &asked.request;
        let Some((entry, rest)) = routed else {
            entered.authority.check(request, || Ok(None))?;
            return Err(no_route(&request.path));
        };
        let Entered { who, authority } = entered;
        if asked.elsewhere {
            authority.check(request, || Ok(None))?;
            return Ok(Response::default().into());
        }
        let target = entry.target().ok_or_else(|| no_route(&request.path))?;
        let Target::Engine(engine) = target else {
            if !sys::is_open(request) {
                authority.check(request, || Ok(None))?;
            }
            if matches!(target, Target::Token) {
                return self.token_request(context, request, entry, rest, entered);
            }
            if let Err(error) = &asked.prepared {
                return Err(error.clone());
            }
            let sudo = authority.sudo(&request.path);
            let call = SysCall { vault: self, request, path: rest, routes, who, authority, sudo };
            return sys::handle(context, &call);
        };
        if engine.kind() == "cubbyhole" && who.entry.kind == TokenKind::Batch {
            // Nothing would ever remove what it keeps there.
            return Err(VaultError::invalid(
                "cubbyhole operations are only supported by 'service' type tokens",
            ));
        }
        let caller =
            Caller { token_hash: who.hash.clone(), display_name: who.entry.display_name.clone() };
        let nothing = Prepared::Nothing;
        authority.check(request, || {
            engine.exists(&mut self.call(context, request, entry, rest, Some(&caller), &nothing))
        })?;
        let prepared = asked.prepared.as_ref().map_err(Clone::clone)?;
        let mut call = self.call(context, request, entry, rest, Some(&caller), prepared);
        let Answer { mut response, grant } = engine.handle(&mut call)?;
        if let Some(grant) = grant {
            self.issue(context, request, entry, grant, &mut response)?;
        }
        response.mount_type.get_or_insert_with(|| engine.kind().into());
        Ok(response.into())
    }

    fn token_request(
        &self,
        context: &mut Context<'_>,
        request: &Request,
        entry: &MountEntry,
        path: &str,
        entered: &Entered,
    ) -> Result<SysAnswer, VaultError> {
        let creates = request.operation == Operation::Write && path.starts_with("create");
        if creates && !entered.who.entry.is_root() {
            leases::check(context, &request.path, None)?;
        }
        let call = TokenCall {
            request,
            path,
            caller: &entered.who,
            sudo: entered.authority.sudo(&request.path),
            ttls: entry.ttls(self.ttls()),
        };
        let response = self.token_service()?.handle(context, &call)?;
        if creates && let Some(auth) = &response.auth {
            self.admit_lease(auth)?;
        }
        let revokes = request.operation == Operation::Write && path.starts_with("revoke");
        Ok(SysAnswer { response, effect: revokes.then_some(Effect::WorkAdded) })
    }

    fn login(
        &self,
        context: &mut Context<'_>,
        asked: &Asked,
        engine: &dyn Backend,
        entry: &MountEntry,
        rest: &str,
    ) -> Result<Response, VaultError> {
        let prepared = asked.prepared.as_ref().map_err(Clone::clone)?;
        let request = &asked.request;
        let savepoint = context.savepoint();
        let answer = engine.handle(&mut self.call(context, request, entry, rest, None, prepared));
        let result = answer.and_then(|Answer { mut response, grant }| {
            if let Some(grant) = grant {
                self.issue(context, request, entry, grant, &mut response)?;
            }
            Ok(response)
        });
        if result.is_err() {
            context.roll_back(savepoint);
        }
        result.map(|mut response| {
            response.mount_type.get_or_insert_with(|| engine.kind().into());
            response
        })
    }

    /// Makes the token of a login, in the login's own transaction.
    fn issue(
        &self,
        context: &mut Context<'_>,
        request: &Request,
        entry: &MountEntry,
        mut grant: Grant,
        response: &mut Response,
    ) -> Result<(), VaultError> {
        match entry.token_type.as_str() {
            "service" | "batch" => grant.token_type.clone_from(&entry.token_type),
            "default-batch" if grant.token_type.is_empty() => grant.token_type = "batch".to_owned(),
            _ => {}
        }
        let role = grant.metadata.get("role_name").or_else(|| grant.metadata.get("username"));
        leases::check(context, &request.path, role.map(String::as_str))?;
        let ttls = entry.ttls(self.ttls());
        let service = self.token_service()?;
        let issued = service.issue_login(context, grant, &request.path, &entry.route(), ttls)?;
        self.admit_lease(&issued.auth)?;
        response.auth = Some(issued.auth);
        response.warnings.extend(issued.warnings);
        Ok(())
    }

    /// Asks the gate of the backlog about a token that was made: if it has a lease, there
    /// is one more to end.
    fn admit_lease(&self, token: &AuthResponse) -> Result<(), VaultError> {
        let has_lease = token.lease_duration > 0 && token.token_type == "service";
        if !has_lease {
            return Ok(());
        }
        let now = self.options.gate_clock.now();
        self.backlog.admit(now, Class::Normal).map_err(VaultError::Rejected)
    }

    pub(super) fn call<'c, 'v>(
        &self,
        context: &'c mut Context<'v>,
        request: &'c Request,
        entry: &'c MountEntry,
        path: &'c str,
        caller: Option<&'c Caller>,
        prepared: &'c Prepared,
    ) -> Call<'c, 'v> {
        let mount = entry.view(self.ttls());
        let storage = context.scope(&entry.storage());
        Call { request, path, mount, caller, storage, prepared }
    }
}

fn is_open(routed: Option<(&MountEntry, &str)>, request: &Request) -> bool {
    let target = routed.and_then(|(entry, _)| entry.target());
    matches!(target, Some(Target::Sys)) && sys::is_open(request)
}

fn no_route(path: &str) -> VaultError {
    VaultError::NotFound(format!("no handler for route {path:?}. route entry not found."))
}

fn audited_mount(entry: &MountEntry) -> AuditedMount {
    AuditedMount {
        point: entry.route(),
        engine: entry.engine.clone(),
        accessor: entry.accessor.clone(),
    }
}

fn audited_auth(who: &Authenticated, context: &Context<'_>) -> AuditedAuth {
    let entry = &who.entry;
    AuditedAuth {
        accessor: entry.accessor.clone(),
        display_name: entry.display_name.clone(),
        policies: entry.policies.clone(),
        metadata: entry.meta.clone(),
        token_type: entry.kind.as_str(),
        remaining_uses: entry.num_uses.saturating_sub(1),
        token_ttl: entry.ttl_left(context.now()),
        token_issue_time: sys::rfc3339(entry.created_ms),
    }
}
