//! Maintenance windows: what they close here, and who announces them.
//!
//! What is announced through `sys/maintenance` is stored, and in force on the secondaries
//! as well; a window in the configuration file is this server's own. The latest that was
//! announced is the one that counts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::ALLOW;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use plimsoll::maintenance::{Extent, Plan};
use plimsoll_daemon::clock;
use plimsoll_http::maintenance::{
    Access, Announced, Bypass, Indicator, Maintenance, MaintenanceLayer, status_document,
};
use plimsoll_http::refusal::Face;
use plimsoll_http::vault::api_path;
use plimsoll_vault::{MaintenanceRecord, Vault, VaultError, Windows};

use crate::config::FileWindow;
use crate::dev::SLOW_DISK_PATH;
use crate::face::{self, HttpResponse, message};
use crate::health::Load;
use crate::service::{Shared, query};

/// Where people find out more, unless the configuration names another page.
pub(crate) const STATUS_PATH: &str = "/status";

/// How long a restart takes at most, as far as clients are told.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// Never closed: whoever watches the server, opens it or ends the window.
const EXEMPT: [&str; 9] = [
    "/v1/sys/health",
    "/v1/sys/seal-status",
    "/v1/sys/unseal",
    "/v1/sys/seal",
    "/v1/sys/leader",
    "/v1/sys/metrics",
    "/v1/sys/in-flight-req",
    "/v1/sys/maintenance",
    SLOW_DISK_PATH,
];

/// The layer in front of the vault.
pub(crate) fn layer(
    maintenance: Maintenance,
    vault: Arc<Vault>,
    face: Arc<dyn Face>,
) -> MaintenanceLayer {
    let access = move |method: &Method, uri: &Uri| access(&vault, method, uri);
    MaintenanceLayer::new(maintenance, clock::wall).with_access(access).with_face(face)
}

fn access(vault: &Vault, method: &Method, uri: &Uri) -> Access {
    if EXEMPT.contains(&uri.path()) {
        return Access::Exempt;
    }
    let operation = face::operation(method, &face::query(query(uri)));
    let writes = match (api_path(uri.path()), operation) {
        (Some(Ok(path)), Some(operation)) => vault.usually_writes(operation, &path),
        // Nothing that the vault will serve.
        _ => false,
    };
    if writes { Access::Write } else { Access::Read }
}

/// What `sys/maintenance` of the vault announces and shows.
pub(crate) struct Announcer(pub(crate) Maintenance);

impl Windows for Announcer {
    fn announce(&self, record: Option<&MaintenanceRecord>) {
        announce(&self.0, record);
    }

    fn announced(&self) -> Option<Plan> {
        self.0.announced().map(|announced| (*announced.plan).clone())
    }
}

/// In place of whatever was announced before.
fn announce(maintenance: &Maintenance, record: Option<&MaintenanceRecord>) {
    let Some(record) = record else {
        tracing::info!("maintenance: nothing announced");
        return maintenance.end();
    };
    match record.plan() {
        Ok(plan) => {
            tracing::info!(mode = plan.extent.name(), reason = &*plan.reason, "maintenance");
            let bypass = Bypass::new(record.bypass_token.clone()).ok();
            maintenance.announce(Announced { plan: Arc::new(plan), bypass });
        }
        Err(error) => tracing::error!(%error, "maintenance: the window is unreadable"),
    }
}

/// The window of the configuration file: of this server alone.
#[derive(Default)]
pub(crate) struct FromFile(Mutex<Option<FileWindow>>);

impl FromFile {
    /// Takes over what the file says now. What it has said before is not said again: a
    /// window that was ended stays so, whatever else is changed in the file. `stored`
    /// announces what is stored instead of what the file no longer says.
    pub(crate) fn take_over(
        &self,
        window: Option<&FileWindow>,
        maintenance: &Maintenance,
        stored: impl FnOnce() -> Result<(), VaultError>,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let block = |window: &FileWindow| window.block.clone();
        if known.as_ref().map(block) == window.map(block) {
            return;
        }
        match (&*known, window) {
            (_, Some(window)) => announce(maintenance, Some(&window.record)),
            (Some(known), None) => {
                let announced = maintenance.announced().map(|announced| (*announced.plan).clone());
                let is_known = announced == known.record.plan().ok();
                if is_known && stored().is_err() {
                    maintenance.end();
                }
            }
            (None, None) => {}
        }
        *known = window.cloned();
    }
}

/// The server is about to stop: what still comes is told so in the words of a
/// window, unless one is in force.
pub(crate) fn announce_drain(maintenance: &Maintenance) {
    let now: SystemTime = clock::wall();
    let plan = Plan::new(Extent::Full, now, now.checked_add(DRAIN_TIME), now)
        .and_then(|plan| plan.because("the server is restarting"));
    if maintenance.in_force(now).is_none()
        && let Ok(plan) = plan
    {
        maintenance.announce(plan);
    }
}

/// `/status`.
pub(crate) fn status<B>(shared: &Shared, request: &Request<B>) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = message(StatusCode::METHOD_NOT_ALLOWED.as_u16(), "");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let vault = shared.vault.status();
    let indicator = match shared.health.load() {
        _ if vault.sealed => Indicator::Down,
        Load::Overloaded => Indicator::Overloaded,
        Load::Degraded => Indicator::Degraded,
        Load::Ok => Indicator::Operational,
    };
    let name = vault.cluster_name.as_deref().unwrap_or("plimsoll");
    status_document(name, indicator, &shared.health.maintenance, clock::wall(), request.headers())
}
