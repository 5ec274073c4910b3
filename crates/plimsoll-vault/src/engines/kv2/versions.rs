//! `delete`, `undelete` and `destroy`, and DELETE of `data`.

use crate::backend::{Answer, Call};
use crate::engines::fields::Fields;
use crate::engines::go_format::nanoseconds;
use crate::engines::kv2::config;
use crate::engines::kv2::record::{self, Metadata, version_key};
use crate::error::VaultError;
use crate::response::Response;

/// `DELETE data/:path`: the current version counts as deleted from now on.
pub(super) fn delete_current(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    change(call, path, |metadata, now_ns| {
        let current = metadata.current_version;
        mark_deleted(metadata, current, now_ns);
    })
}

/// `POST delete/:path`.
pub(super) fn delete(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    let numbers = numbers(call, "No version number provided")?;
    change(call, path, |metadata, now_ns| {
        for number in numbers {
            mark_deleted(metadata, number, now_ns);
        }
    })
}

/// `POST undelete/:path`.
pub(super) fn undelete(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    let numbers = numbers(call, "No version number provided")?;
    let config = config::load(&mut call.storage)?;
    change(call, path, |metadata, now_ns| {
        let deletion_ns = metadata.deletion_ns(now_ns, &config);
        for number in numbers {
            let version = metadata.version_mut(number);
            if let Some(version) = version.filter(|version| !version.is_destroyed) {
                version.deletion_ns = deletion_ns;
            }
        }
    })
}

/// `POST destroy/:path`: removes the data for good.
pub(super) fn destroy(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    let numbers = numbers(call, "no version number provided")?;
    let mut destroyed = Vec::new();
    let answer = change(call, path, |metadata, _| {
        for number in numbers {
            let version = metadata.version_mut(number);
            if let Some(version) = version.filter(|version| !version.is_destroyed) {
                version.is_destroyed = true;
                destroyed.push(number);
            }
        }
    })?;
    for number in destroyed {
        call.storage.delete(&version_key(path, number));
    }
    Ok(answer)
}

/// Changes the metadata of a key, if it exists and it is a change.
fn change(
    call: &mut Call<'_, '_>,
    path: &str,
    f: impl FnOnce(&mut Metadata, u64),
) -> Result<Answer, VaultError> {
    if let Some(before) = record::load(&mut call.storage, path)? {
        let mut metadata = before.clone();
        f(&mut metadata, nanoseconds(call.storage.now()));
        if metadata != before {
            call.storage.put(&record::key(path), &metadata)?;
        }
    }
    Ok(Response::default().into())
}

fn mark_deleted(metadata: &mut Metadata, number: u64, now_ns: u64) {
    let version = metadata.version_mut(number);
    if let Some(version) = version.filter(|v| !v.is_destroyed && !v.is_deleted(now_ns)) {
        version.deletion_ns = now_ns;
    }
}

/// The versions that a request names; numbers that no version has are ignored.
fn numbers(call: &Call<'_, '_>, missing: &str) -> Result<Vec<u64>, VaultError> {
    let numbers = Fields::of(call.request).integers("versions")?;
    if numbers.is_empty() {
        return Err(VaultError::invalid(missing));
    }
    Ok(numbers.into_iter().filter_map(|number| u64::try_from(number).ok()).collect())
}
