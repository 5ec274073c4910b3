//! The metadata of a key: which versions there are. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backend::object;
use crate::context::Scope;
use crate::engines::go_format::{go_duration, rfc3339};
use crate::engines::kv2::config::Config;
use crate::error::VaultError;

/// Versions that are kept of a key if nobody says how many.
const VERSIONS_DEFAULT: u64 = 10;

/// Versions that are kept of a key at most, whatever is asked for: the metadata
/// of all of them are one entry, which every write of the key writes again.
pub(super) const VERSIONS_MAX: u64 = 4096;

const NANOSECONDS: u64 = 1_000_000_000;

/// One version. Times are nanoseconds since the epoch. It is stored as a tuple:
/// every write of a key reads and writes those of all its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, bool)", into = "(u64, u64, bool)")]
pub(super) struct Version {
    pub(super) created_ns: u64,
    /// From when on it counts as deleted; it may lie ahead. 0 is never.
    pub(super) deletion_ns: u64,
    /// Its data are gone for good.
    pub(super) is_destroyed: bool,
}

impl From<(u64, u64, bool)> for Version {
    fn from((created_ns, deletion_ns, is_destroyed): (u64, u64, bool)) -> Self {
        Self { created_ns, deletion_ns, is_destroyed }
    }
}

impl From<Version> for (u64, u64, bool) {
    fn from(version: Version) -> Self {
        (version.created_ns, version.deletion_ns, version.is_destroyed)
    }
}

impl Version {
    pub(super) const fn is_deleted(&self, now_ns: u64) -> bool {
        self.deletion_ns != 0 && self.deletion_ns <= now_ns
    }

    fn times(&self) -> [(&'static str, Value); 3] {
        let deletion =
            if self.deletion_ns == 0 { String::new() } else { rfc3339(self.deletion_ns) };
        [
            ("created_time", rfc3339(self.created_ns).into()),
            ("deletion_time", deletion.into()),
            ("destroyed", self.is_destroyed.into()),
        ]
    }
}

/// A key: its versions and its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    /// The versions that are kept, without gaps, up to the current one.
    versions: Vec<Version>,
    /// 0 until there is one.
    pub(super) current_version: u64,
    /// 0 until versions have been dropped.
    pub(super) oldest_version: u64,
    pub(super) created_ns: u64,
    pub(super) updated_ns: u64,
    /// 0 leaves it to the mount.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_versions: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) cas_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) metadata_cas_required: bool,
    /// Counts the writes of the settings.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) metadata_version: u64,
    /// Seconds; 0 leaves it to the mount.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) delete_version_after: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) custom_metadata: Option<BTreeMap<String, String>>,
}

impl Metadata {
    /// Adds a version and drops those that are too many. Returns the numbers of
    /// the dropped ones that still have data.
    pub(super) fn add_version(&mut self, now_ns: u64, config: &Config) -> Vec<u64> {
        let deletion_ns = self.deletion_ns(now_ns, config);
        self.current_version += 1;
        let version = Version { created_ns: now_ns, deletion_ns, is_destroyed: false };
        self.versions.push(version);
        self.updated_ns = now_ns;
        if self.created_ns == 0 {
            self.created_ns = now_ns;
        }
        self.drop_old(config)
    }

    fn drop_old(&mut self, config: &Config) -> Vec<u64> {
        let asked = self.max_versions.max(config.max_versions);
        let kept = if asked == 0 { VERSIONS_DEFAULT } else { asked.min(VERSIONS_MAX) };
        if self.current_version - self.oldest_version < kept {
            return Vec::new();
        }
        let first = self.first_version();
        self.oldest_version = self.current_version - kept + 1;
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        let dropped = self.versions.drain(..self.versions.len().saturating_sub(kept));
        let numbered = (first..).zip(dropped);
        numbered.filter(|(_, version)| !version.is_destroyed).map(|(number, _)| number).collect()
    }

    fn first_version(&self) -> u64 {
        self.oldest_version.max(1)
    }

    /// A version, if it is kept.
    pub(super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.get(usize::try_from(number.checked_sub(self.first_version())?).ok()?)
    }

    /// As [`Metadata::version`], to be changed.
    pub(super) fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        let index = number.checked_sub(self.first_version())?;
        self.versions.get_mut(usize::try_from(index).ok()?)
    }

    /// All versions that are kept, with their numbers.
    pub(super) fn versions(&self) -> impl Iterator<Item = (u64, &Version)> {
        (self.first_version()..).zip(&self.versions)
    }

    /// When a version that is created or undeleted now will count as deleted:
    /// after the shorter of what the key and the mount say. 0 is never.
    pub(super) fn deletion_ns(&self, now_ns: u64, config: &Config) -> u64 {
        if config.is_deletion_disabled {
            return 0;
        }
        let lifetimes = [self.delete_version_after, config.delete_version_after];
        let shortest = lifetimes.into_iter().filter(|seconds| *seconds > 0).min();
        shortest.map_or(0, |seconds| now_ns.saturating_add(seconds.saturating_mul(NANOSECONDS)))
    }

    /// One version, as the answers of `data` show it.
    pub(super) fn describe_version(&self, number: u64, version: &Version) -> Map<String, Value> {
        let mut data = object(version.times());
        data.insert("custom_metadata".into(), self.custom_metadata_json());
        data.insert("version".into(), number.into());
        data
    }

    /// The key, as `metadata` shows it.
    pub(super) fn describe(&self) -> Map<String, Value> {
        let versions: Map<String, Value> = self
            .versions()
            .map(|(number, version)| (number.to_string(), object(version.times()).into()))
            .collect();
        object([
            ("cas_required", self.cas_required.into()),
            ("created_time", rfc3339(self.created_ns).into()),
            ("current_metadata_version", self.metadata_version.into()),
            ("current_version", self.current_version.into()),
            ("custom_metadata", self.custom_metadata_json()),
            ("delete_version_after", go_duration(self.delete_version_after).into()),
            ("max_versions", self.max_versions.into()),
            ("metadata_cas_required", self.metadata_cas_required.into()),
            ("oldest_version", self.oldest_version.into()),
            ("updated_time", rfc3339(self.updated_ns).into()),
            ("versions", versions.into()),
        ])
    }

    fn custom_metadata_json(&self) -> Value {
        match &self.custom_metadata {
            None => Value::Null,
            Some(pairs) => pairs.iter().map(|(key, value)| (key.clone(), value.as_str())).collect(),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where the metadata of a key are.
pub(super) fn key(path: &str) -> String {
    format!("metadata/{path}")
}

/// Where the data of a version are.
pub(super) fn version_key(path: &str, number: u64) -> String {
    format!("versions/{path}/{number}")
}

/// The metadata of a key.
///
/// # Errors
/// The store could not be read.
pub(super) fn load(
    storage: &mut Scope<'_, '_>,
    path: &str,
) -> Result<Option<Metadata>, VaultError> {
    storage.get(&key(path))
}
