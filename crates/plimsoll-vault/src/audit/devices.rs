//! Which devices are enabled: one entry of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::barrier::{KEY_BYTES, random_key};
use crate::context::Context;
use crate::error::VaultError;

const DEVICES_KEY: &str = "core/audit";

/// Devices at most: each of them sees every request.
pub(crate) const DEVICES_MAX: usize = 16;

/// One enabled device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceEntry {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) local: bool,
    /// What keys the hashes in it.
    salt: [u8; KEY_BYTES],
}

impl DeviceEntry {
    pub(crate) fn new(
        kind: String,
        description: String,
        options: BTreeMap<String, String>,
        local: bool,
    ) -> Result<Self, VaultError> {
        Ok(Self { kind, description, options, local, salt: *random_key()? })
    }

    pub(crate) const fn salt(&self) -> &[u8; KEY_BYTES] {
        &self.salt
    }

    /// A switch among the options.
    pub(crate) fn flag(&self, option: &str, default: bool) -> bool {
        self.options.get(option).map_or(default, |value| {
            matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
        })
    }
}

/// By path, with a slash at the end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Devices(BTreeMap<String, DeviceEntry>);

impl Devices {
    pub(crate) fn read(context: &mut Context<'_>) -> Result<Arc<Self>, VaultError> {
        Ok(context.get_shared(DEVICES_KEY)?.unwrap_or_default())
    }

    pub(crate) fn write(&self, context: &mut Context<'_>) -> Result<(), VaultError> {
        context.put(DEVICES_KEY, self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &DeviceEntry)> {
        self.0.iter()
    }

    pub(crate) fn enable(&mut self, path: &str, device: DeviceEntry) -> Result<(), VaultError> {
        if self.0.keys().any(|taken| taken.starts_with(path) || path.starts_with(taken.as_str())) {
            return Err(VaultError::invalid(format!("path already in use: {path:?}")));
        }
        if self.0.len() >= DEVICES_MAX {
            return Err(VaultError::invalid(format!("no more than {DEVICES_MAX} audit devices")));
        }
        self.0.insert(path.to_owned(), device);
        Ok(())
    }

    pub(crate) fn disable(&mut self, path: &str) -> bool {
        self.0.remove(path).is_some()
    }

    /// As `sys/audit` shows them.
    pub(crate) fn describe(&self) -> Map<String, Value> {
        let describe = |path: &String, device: &DeviceEntry| {
            json!({
                "path": path,
                "type": device.kind,
                "description": device.description,
                "options": device.options,
                "local": device.local,
            })
        };
        self.iter().map(|(path, device)| (path.clone(), describe(path, device))).collect()
    }
}
