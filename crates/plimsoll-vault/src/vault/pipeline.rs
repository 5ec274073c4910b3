//! One request, from its arrival to its answer.

use std::sync::Arc;

use plimsoll::Cost;
use plimsoll::write::Place;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::audit::{self, DeviceEntry, Record};
use crate::backend::{Backend, Prepared};
use crate::context::Context;
use crate::error::VaultError;
use crate::idempotency::Once;
use crate::mounts::{MountTable, Target, kind_of};
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::sys::{self, MaintenanceRecord};
use crate::vault::decide::{Asked, Beforehand, Decided, Effect};
use crate::vault::transact::Decision;
use crate::vault::{Vault, Windows, path};

/// Nesting of a body at most: far beyond what anyone stores, far below what
/// recursion over it can bear.
pub(crate) const BODY_DEPTH_MAX: usize = 128;

impl Vault {
    /// Executes a request. With a `place`, what it writes enters the write
    /// queue with it; without one, a request that turns out to write asks for
    /// it there. A request that is refused has left nothing in the store.
    ///
    /// # Errors
    /// What the client is to be told.
    pub async fn handle(
        self: &Arc<Self>,
        request: Request,
        place: Option<Place>,
    ) -> Result<Response, VaultError> {
        self.handle_once(request, place, None).await
    }

    /// As [`Vault::handle`]; with an Idempotency-Key, a write that was executed before
    /// is answered as it was then, and nothing is written.
    ///
    /// # Errors
    /// What the client is to be told.
    pub async fn handle_once(
        self: &Arc<Self>,
        mut request: Request,
        place: Option<Place>,
        key: Option<&str>,
    ) -> Result<Response, VaultError> {
        path::check(&request.path)?;
        if request.operation == Operation::List && !request.path.ends_with('/') {
            request.path.push('/');
        }
        if request.data.values().any(|value| is_deeper(value, BODY_DEPTH_MAX)) {
            return Err(VaultError::invalid("the body is nested too deeply"));
        }
        let (request, place) = match sys::open(self, request, place).await {
            sys::Opened::Answered(answer) => return *answer,
            sys::Opened::Onwards(request, place) => (request, place),
        };
        if self.is_sealed() {
            return Err(VaultError::Sealed);
        }
        let prepared = self.prepare(&request).await;
        if let Err(VaultError::Rejected(rejection)) = prepared {
            // Not even the use of the token is counted.
            return Err(VaultError::Rejected(rejection));
        }
        let once = match key {
            Some(key) => Once::of(&*self.token_service()?, &request, key)?,
            None => None,
        };
        let asked = Arc::new(Asked { request, prepared, once, elsewhere: false });
        self.execute(asked, place).await
    }

    /// Whether the caller may do this to a path below `sys/` that is served outside of the
    /// vault. A use of the token is counted, and the audit log has it under its own path.
    ///
    /// # Errors
    /// What the client is to be told.
    pub async fn permit(self: &Arc<Self>, request: Request) -> Result<(), VaultError> {
        path::check(&request.path)?;
        if self.is_sealed() {
            return Err(VaultError::Sealed);
        }
        let prepared = Ok(Prepared::Nothing);
        let asked = Arc::new(Asked { request, prepared, once: None, elsewhere: true });
        self.execute(asked, None).await.map(drop)
    }

    /// Whether a request writes in the usual case, so that it needs a place in
    /// the write queue before it is handled. Told by its mount and path alone.
    pub fn is_write(&self, operation: Operation, path: &str) -> bool {
        !self.is_following() && self.usually_writes(operation, path)
    }

    /// Whether a secondary passes a request on without looking any further.
    pub fn is_for_primary(&self, operation: Operation, path: &str) -> bool {
        self.is_following()
            && !self.is_sealed()
            && !sys::is_local(path)
            && self.usually_writes(operation, path)
    }

    /// As [`Vault::is_write`], also for what a secondary passes on.
    pub fn usually_writes(&self, operation: Operation, path: &str) -> bool {
        if path::check(path).is_err() {
            return false;
        }
        match operation {
            Operation::List => false,
            Operation::Read => {
                !self.is_sealed()
                    && self.glance(|context| {
                        is_engines(context, path, |engine, rest| engine.read_writes(rest))
                    })
            }
            Operation::Write | Operation::Delete | Operation::Patch => !sys::only_reads(path),
        }
    }

    /// Whether a write to a path gives space back, as every delete does: revocations,
    /// and what engines call destroying and tidying.
    pub fn frees(&self, path: &str) -> bool {
        let of_tokens = ["auth/token/revoke", "auth/token/tidy"];
        let of_leases = ["sys/leases/revoke", "sys/leases/tidy"];
        if of_tokens.into_iter().chain(of_leases).any(|prefix| path.starts_with(prefix)) {
            return true;
        }
        !self.is_sealed()
            && self.glance(|context| is_engines(context, path, |engine, rest| engine.frees(rest)))
    }

    /// Does what must be done before a decision.
    async fn prepare(self: &Arc<Self>, request: &Request) -> Result<Prepared, VaultError> {
        if !matches!(request.operation, Operation::Write | Operation::Patch) {
            return Ok(Prepared::Nothing);
        }
        let work = self.glance(|context| self.beforehand(context, request))?;
        match work {
            None => Ok(Prepared::Nothing),
            Some(Beforehand::Compute(preparation)) => self.pool.run(preparation).await,
            Some(Beforehand::TryDevice(device)) => {
                try_device(device).await.map(|()| Prepared::Nothing)
            }
        }
    }

    /// Looks at the latest state; what is written there is forgotten.
    pub(super) fn glance<T>(&self, look: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let view = self.store.view();
        let now = (self.options.clock)();
        let mut context = Context::new(&*view, &*self.barrier, now).with_decoded(&self.decoded);
        look(&mut context)
    }

    async fn execute(
        self: &Arc<Self>,
        asked: Arc<Asked>,
        place: Option<Place>,
    ) -> Result<Response, VaultError> {
        let decision = self.decide(&asked);
        let effect = decision.peek(|decided| decided.effect.is_some()).unwrap_or(false);
        if !effect {
            return self.conclude(&asked, decision, place).await;
        }
        // What has effects beyond the store is finished even if the client
        // goes away meanwhile.
        let vault = Arc::clone(self);
        let task = tokio::spawn(async move { vault.conclude(&asked, decision, place).await });
        task.await.map_err(|error| VaultError::Internal(format!("request: {error}")))?
    }

    fn decide(self: &Arc<Self>, asked: &Arc<Asked>) -> Decision<Decided> {
        let (vault, asked) = (Arc::clone(self), Arc::clone(asked));
        Decision::make(self, self.cipher(), move |context| vault.decided(context, &asked))
    }

    async fn conclude(
        self: &Arc<Self>,
        asked: &Asked,
        decision: Decision<Decided>,
        mut place: Option<Place>,
    ) -> Result<Response, VaultError> {
        if decision.writes() && self.is_following() {
            // Before it is audited: the primary will do that.
            return Err(VaultError::Following);
        }
        let seen = decision.peek(Decided::clone_for_audit).unwrap_or_default();
        if !self.audit.is_empty() {
            self.audit_request(&asked.request, &seen).await?;
        }
        let mut spare = None;
        if !decision.writes() {
            spare = place.take();
        } else if place.is_none() {
            match self.ask_late(&asked.request, decision.bytes()) {
                Ok(admitted) => place = admitted,
                Err(error) => {
                    return self.answer(asked, Decided { result: Err(error), ..seen }).await;
                }
            }
        }
        let written_bytes = if decision.writes() { decision.bytes() } else { 0 };
        let mut decided = match decision.commit(self, place).await {
            Ok(mut decided) => {
                if let Ok(response) = &mut decided.result {
                    response.written_bytes = written_bytes;
                }
                if let Some(record) = decided.kept.take() {
                    self.kept.added(&record);
                }
                decided
            }
            Err(error) => Decided { result: Err(error), ..seen },
        };
        if let Err(VaultError::LeaseQuota { quota, .. }) = &decided.result {
            self.quotas.lease_quota_violated(quota);
        }
        if decided.result.is_ok()
            && let Some(effect) = decided.effect.take()
            && let Err(error) = self.apply(effect, spare).await
        {
            decided.result = Err(error);
        }
        self.answer(asked, decided).await
    }

    fn ask_late(&self, request: &Request, bytes: u64) -> Result<Option<Place>, VaultError> {
        let Some(admit) = &self.options.admit_late else { return Ok(None) };
        admit(request, Cost::item(bytes)).map(Some).map_err(VaultError::Rejected)
    }

    async fn apply(
        self: &Arc<Self>,
        effect: Effect,
        place: Option<Place>,
    ) -> Result<(), VaultError> {
        match effect {
            Effect::Seal => self.seal_now(),
            Effect::Rotate => self.rotate(place).await?,
            Effect::AuditChanged => self.reconcile_audit()?,
            Effect::MaintenanceChanged => self.announce_window()?,
            Effect::WorkAdded => self.work.notify_one(),
            Effect::QuotasChanged | Effect::MountRemoved => {
                self.reconcile_quotas()?;
                self.work.notify_one();
            }
        }
        Ok(())
    }

    /// Records the answer, if anybody wants to know, and gives it.
    async fn answer(&self, asked: &Asked, decided: Decided) -> Result<Response, VaultError> {
        if !self.audit.is_empty() {
            self.audit_response(&asked.request, &decided).await?;
        }
        decided.result
    }

    /// Starts and stops devices until they are those that are enabled.
    fn reconcile_audit(&self) -> Result<(), VaultError> {
        let devices = self.glance(audit::Devices::read)?;
        self.audit.reconcile(&devices);
        Ok(())
    }

    /// Whoever enforces windows.
    pub(crate) fn windows(&self) -> Option<&dyn Windows> {
        self.options.maintenance.as_deref()
    }

    /// Tells whoever enforces windows what is stored now.
    ///
    /// # Errors
    /// Sealed, or the store failed.
    pub fn announce_window(&self) -> Result<(), VaultError> {
        let record = self.glance(MaintenanceRecord::read)?;
        if let Some(windows) = self.windows() {
            windows.announce(record.as_ref());
        }
        Ok(())
    }

    fn audit_time(&self) -> String {
        let now = (self.options.clock)();
        sys::rfc3339(u64::try_from(now.0.as_millis()).unwrap_or(u64::MAX))
    }

    async fn audit_request(&self, request: &Request, decided: &Decided) -> Result<(), VaultError> {
        let error = decided.result.as_ref().err().map(ToString::to_string);
        let time = self.audit_time();
        self.audit.request(&record(request, decided), &time, error.as_deref()).await
    }

    /// Records a request that was refused before anybody looked at it.
    pub async fn audit_refused(&self, request: &Request, why: &str) {
        if self.audit.is_empty() {
            return;
        }
        let refused = Decided { result: Err(VaultError::invalid(why)), ..Decided::default() };
        // It is refused whether or not a device has heard of it.
        let _ = self.audit_request(request, &refused).await;
    }

    async fn audit_response(&self, request: &Request, decided: &Decided) -> Result<(), VaultError> {
        let message = decided.result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let result = decided.result.as_ref().map_err(|_| message.as_str());
        let time = self.audit_time();
        self.audit.response(&record(request, decided), &time, result).await
    }
}

/// A file that hangs when it is opened, such as a pipe that nobody reads, costs
/// a thread but no request.
async fn try_device(device: DeviceEntry) -> Result<(), VaultError> {
    let tried = tokio::task::spawn_blocking(move || audit::check(&device));
    match tokio::time::timeout(audit::ENTRY_TIMEOUT, tried).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(VaultError::Internal(format!("audit: {error}"))),
        Err(_) => {
            Err(VaultError::invalid("sanity check failed; the file cannot be opened in time"))
        }
    }
}

/// What the engine behind a path says of the rest of it.
fn is_engines(context: &mut Context<'_>, path: &str, says: fn(&dyn Backend, &str) -> bool) -> bool {
    let (kind, below) = kind_of(path);
    let Ok(table) = MountTable::read(context, kind) else { return false };
    match table.route(below).map(|(entry, rest)| (entry.target(), rest)) {
        Some((Some(Target::Engine(engine)), rest)) => says(engine.as_ref(), rest),
        _ => false,
    }
}

fn record<'r>(request: &'r Request, decided: &'r Decided) -> Record<'r> {
    Record {
        id: &request.id,
        operation: match request.operation {
            Operation::Write => "update",
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Delete => "delete",
            Operation::Patch => "patch",
        },
        path: &request.path,
        data: &request.data,
        remote: request.remote,
        token: request.token.as_ref().map(|token| token.expose_secret()),
        auth: decided.auth.clone(),
        mount_point: &decided.mount.point,
        mount_type: &decided.mount.engine,
        mount_accessor: &decided.mount.accessor,
    }
}

fn is_deeper(value: &Value, depth_max: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if depth_max == 0 => true,
        Value::Array(items) => items.iter().any(|item| is_deeper(item, depth_max - 1)),
        Value::Object(fields) => fields.values().any(|field| is_deeper(field, depth_max - 1)),
        _ => false,
    }
}
