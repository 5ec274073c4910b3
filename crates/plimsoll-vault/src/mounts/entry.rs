//! One mount.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::backend::{Backend, MountView};
use crate::engines::backend_for;
use crate::error::VaultError;
use crate::token::Ttls;

/// Which table a mount is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MountKind {
    /// `sys/mounts`.
    Secret,
    /// `sys/auth`; requests reach it below `auth/`.
    Auth,
}

impl MountKind {
    /// What requests have in front of the mount's own path.
    pub(crate) const fn route_prefix(self) -> &'static str {
        match self {
            Self::Secret => "",
            Self::Auth => "auth/",
        }
    }

    /// Where the table is stored.
    pub(crate) const fn table_key(self) -> &'static str {
        match self {
            Self::Secret => "core/mounts",
            Self::Auth => "core/auth",
        }
    }

    const fn storage_prefix(self) -> &'static str {
        match self {
            Self::Secret => "logical",
            Self::Auth => "auth",
        }
    }
}

/// Where cubbyholes are stored: there is one such mount, and revoking a token
/// must find it without looking for it.
pub(crate) const CUBBYHOLE_STORAGE: &str = "logical/cubbyhole/";

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MountEntry {
    /// With a slash at the end, without `auth/`.
    pub(crate) path: String,
    pub(crate) kind: MountKind,
    /// The engine.
    #[serde(rename = "type")]
    pub(crate) engine: String,
    pub(crate) uuid: String,
    pub(crate) accessor: String,
    pub(crate) description: String,
    pub(crate) options: Option<BTreeMap<String, String>>,
    /// Seconds; 0 is the system's.
    pub(crate) default_lease_ttl: u64,
    /// Seconds; 0 is the system's.
    pub(crate) max_lease_ttl: u64,
    pub(crate) force_no_cache: bool,
    pub(crate) local: bool,
    pub(crate) seal_wrap: bool,
    /// Of an auth method: `default-service` unless it was set.
    pub(crate) token_type: String,
    /// Other tuning that is kept and shown, and has no effect here.
    #[serde(default)]
    pub(crate) tuning: Map<String, Value>,
    #[serde(skip)]
    view: OnceLock<MountView>,
    #[serde(skip)]
    target: OnceLock<Option<Target>>,
}

/// Who answers for a mount.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Sys,
    Token,
    Engine(Arc<dyn Backend>),
}

impl MountEntry {
    /// A mount that nobody has used yet.
    pub(crate) fn new(kind: MountKind, path: &str, engine: &str) -> Result<Self, VaultError> {
        let stem = match (kind, engine) {
            (MountKind::Auth, engine) => format!("auth_{engine}"),
            (MountKind::Secret, engine) => engine.to_owned(),
        };
        let mut suffix = [0; 4];
        rand::fill(&mut suffix).map_err(|_| VaultError::Internal("no randomness".to_owned()))?;
        Ok(Self {
            path: path.to_owned(),
            kind,
            engine: engine.to_owned(),
            uuid: uuid::Uuid::new_v4().to_string(),
            accessor: format!("{stem}_{}", hex::encode(suffix)),
            description: String::new(),
            options: None,
            default_lease_ttl: 0,
            max_lease_ttl: 0,
            force_no_cache: false,
            local: false,
            seal_wrap: false,
            token_type: match kind {
                MountKind::Auth => "default-service".to_owned(),
                MountKind::Secret => String::new(),
            },
            tuning: Map::new(),
            view: OnceLock::new(),
            target: OnceLock::new(),
        })
    }

    /// What requests have in front of what the engine sees.
    pub(crate) fn route(&self) -> String {
        format!("{}{}", self.kind.route_prefix(), self.path)
    }

    /// What all of its keys in the store start with.
    pub(crate) fn storage(&self) -> String {
        if self.engine == "cubbyhole" {
            return CUBBYHOLE_STORAGE.to_owned();
        }
        format!("{}/{}/", self.kind.storage_prefix(), self.uuid)
    }

    /// Its times to live in seconds, after the system's.
    pub(crate) fn ttls(&self, system: Ttls) -> Ttls {
        let or = |own: u64, system: u64| if own == 0 { system } else { own };
        let max = or(self.max_lease_ttl, system.max);
        Ttls { default: or(self.default_lease_ttl, system.default), max }
    }

    /// As its engine sees it. Made once: the system's times to live do not
    /// change while the server runs.
    pub(crate) fn view(&self, system: Ttls) -> &MountView {
        self.view.get_or_init(|| {
            let ttls = self.ttls(system);
            MountView {
                path: self.route(),
                accessor: self.accessor.clone(),
                options: self.options.clone().unwrap_or_default(),
                default_lease_ttl: ttls.default.min(ttls.max),
                max_lease_ttl: ttls.max,
            }
        })
    }

    /// Who answers; `None` if this server has no such engine.
    pub(crate) fn target(&self) -> Option<&Target> {
        let target = self.target.get_or_init(|| match self.engine.as_str() {
            "system" => Some(Target::Sys),
            "token" => Some(Target::Token),
            engine => {
                let options = self.options.clone().unwrap_or_default();
                backend_for(engine, &options).map(Target::Engine)
            }
        });
        target.as_ref()
    }

    /// The same mount, to be changed: what was derived from it is forgotten.
    pub(crate) fn to_tune(&self) -> Self {
        Self { view: OnceLock::new(), target: OnceLock::new(), ..self.clone() }
    }

    /// As `sys/mounts` and `sys/auth` show it.
    pub(crate) fn describe(&self) -> Map<String, Value> {
        let mut config = Map::from_iter([
            ("default_lease_ttl".to_owned(), json!(self.default_lease_ttl)),
            ("max_lease_ttl".to_owned(), json!(self.max_lease_ttl)),
            ("force_no_cache".to_owned(), json!(self.force_no_cache)),
        ]);
        if self.kind == MountKind::Auth {
            config.insert("token_type".to_owned(), json!(self.token_type));
        }
        config.extend(self.tuning.clone());
        let described = json!({
            "type": self.engine,
            "description": self.description,
            "accessor": self.accessor,
            "uuid": self.uuid,
            "config": config,
            "options": self.options,
            "local": self.local,
            "seal_wrap": self.seal_wrap,
            "external_entropy_access": false,
            "plugin_version": "",
            "running_plugin_version": concat!("v", env!("CARGO_PKG_VERSION"), "+builtin"),
            "running_sha256": "",
            "deprecation_status": "supported",
        });
        match described {
            Value::Object(described) => described,
            _ => Map::new(),
        }
    }
}
