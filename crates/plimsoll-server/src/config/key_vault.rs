//! `key_vault_throttling "name" { ... }`: Key Vault's limits for some mounts.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_daemon::config::{Block, typed, values};
use serde::Deserialize;

use crate::config::values::duration;
use crate::quotas::{KeyVault, KeyVaultOptions, OperationPattern};

/// The published interval.
const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Throttling {
    /// The mounts that make up the vault.
    mounts: Vec<String>,
    /// Vaults that share a subscription share five times a vault's limits.
    subscription: Option<String>,
    /// Whether refused operations are charged too.
    #[serde(default, deserialize_with = "values::boolean")]
    count_rejected: bool,
    #[serde(default, deserialize_with = "duration")]
    interval: Option<Duration>,
    /// Of what matches no `class` block.
    default_class: Option<String>,
    #[serde(default)]
    class: BTreeMap<String, Class>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    #[serde(default)]
    methods: Vec<String>,
    /// Prefixes of the path below the mount.
    #[serde(default)]
    paths: Vec<String>,
    /// In the place of the published limit.
    limit: Option<u32>,
}

pub(super) fn parse(Block { label, body }: Block) -> Result<KeyVault, String> {
    let block = format!("key_vault_throttling {label:?}");
    let wrong = |why: &str| format!("{block}: {why}");
    let throttling: Throttling = typed(&block, body)?;
    if throttling.mounts.iter().all(|mount| mount.trim_matches('/').is_empty()) {
        return Err(wrong("mounts: at least one is needed"));
    }
    let mounts = throttling.mounts.iter().map(|mount| format!("{}/", mount.trim_matches('/')));
    let classes = throttling.class;
    let limits = classes.iter().filter_map(|(name, class)| Some((name.clone(), class.limit?)));
    let options = KeyVaultOptions {
        name: label,
        mounts: mounts.collect(),
        subscription: throttling.subscription.unwrap_or_else(|| "default".to_owned()),
        count_rejected: throttling.count_rejected,
        interval: throttling.interval.unwrap_or(INTERVAL),
        default_class: throttling.default_class.unwrap_or_else(|| "other".to_owned()),
        limits: limits.collect(),
        operations: classes
            .into_iter()
            .map(|(name, Class { methods, paths, .. })| OperationPattern {
                class: name,
                methods: methods.iter().map(|method| method.to_uppercase()).collect(),
                paths: paths.iter().map(|path| path.trim_end_matches('*').to_owned()).collect(),
            })
            .collect(),
    };
    KeyVault::new(options).map_err(|why| wrong(&why))
}
