//! `sys/quotas/config`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::engines::fields::Fields;
use crate::error::VaultError;
use crate::request::Request;

pub(super) const CONFIG_KEY: &str = "core/quotas/config";

/// Exempt until somebody says otherwise: what tells how the server is, what opens it,
/// and what gives back control over it.
const EXEMPT: [&str; 8] = [
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/metrics",
    "sys/seal-status",
    "sys/unseal",
];

/// Exempt paths at most, of each kind.
const EXEMPT_MAX: usize = 256;

/// What holds for all quotas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuotaConfig {
    pub(crate) rate_limit_exempt_paths: Vec<String>,
    pub(crate) absolute_rate_limit_exempt_paths: Vec<String>,
    pub(crate) enable_rate_limit_audit_logging: bool,
    pub(crate) enable_rate_limit_response_headers: bool,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self {
            rate_limit_exempt_paths: EXEMPT.map(str::to_owned).to_vec(),
            absolute_rate_limit_exempt_paths: Vec::new(),
            enable_rate_limit_audit_logging: false,
            enable_rate_limit_response_headers: false,
        }
    }
}

impl QuotaConfig {
    pub(crate) fn read(context: &mut Context<'_>) -> Result<Self, VaultError> {
        Ok(context.get(CONFIG_KEY)?.unwrap_or_default())
    }

    pub(crate) fn write(&self, context: &mut Context<'_>) -> Result<(), VaultError> {
        context.put(CONFIG_KEY, self)
    }

    /// What a request asks for. As in Vault, what it leaves out is off or empty.
    pub(crate) fn of(request: &Request) -> Result<Self, VaultError> {
        let fields = Fields::of(request);
        // The second name is that of Vault's documentation, the first its server's.
        let absolute = match fields.list("absolute_rate_limit_exempt_paths")? {
            None => fields.list("global_rate_limit_exempt_paths")?,
            paths => paths,
        };
        let config = Self {
            rate_limit_exempt_paths: fields.list("rate_limit_exempt_paths")?.unwrap_or_default(),
            absolute_rate_limit_exempt_paths: absolute.unwrap_or_default(),
            enable_rate_limit_audit_logging: fields
                .flag("enable_rate_limit_audit_logging")?
                .unwrap_or_default(),
            enable_rate_limit_response_headers: fields
                .flag("enable_rate_limit_response_headers")?
                .unwrap_or_default(),
        };
        let lists = [&config.rate_limit_exempt_paths, &config.absolute_rate_limit_exempt_paths];
        if lists.iter().any(|paths| paths.len() > EXEMPT_MAX) {
            return Err(VaultError::invalid(format!("no more than {EXEMPT_MAX} exempt paths")));
        }
        Ok(config)
    }

    pub(crate) fn describe(&self) -> Map<String, Value> {
        crate::backend::object([
            ("rate_limit_exempt_paths", json!(self.rate_limit_exempt_paths)),
            ("absolute_rate_limit_exempt_paths", json!(self.absolute_rate_limit_exempt_paths)),
            ("enable_rate_limit_audit_logging", json!(self.enable_rate_limit_audit_logging)),
            ("enable_rate_limit_response_headers", json!(self.enable_rate_limit_response_headers)),
        ])
    }
}
