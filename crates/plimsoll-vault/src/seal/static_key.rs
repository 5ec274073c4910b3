//! A key that the machine is given, so that it unseals by itself.
//!
//! The same idea, and the same settings, as OpenBao's `seal "static"`: who can
//! read the key file can read the storage, so it belongs somewhere else than
//! the data, such as a mounted secret or a TPM-sealed credential.

use core::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::barrier::{KEY_BYTES, SecretKey};

/// Bytes of a key file at most: a key in hexadecimal with some white space.
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// See the module.
#[derive(Clone)]
pub struct StaticKey {
    id: String,
    key: SecretKey,
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a static key is not accepted. Never shows the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStaticKey {
    /// `current_key_id` is empty.
    #[error("seal \"static\": current_key_id must not be empty")]
    NoId,
    /// The file could not be read.
    #[error("seal \"static\": cannot read the key file {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The environment variable is not there or not UTF-8.
    #[error("seal \"static\": environment variable {0} is not set")]
    Environment(String),
    /// Neither 32 bytes nor 32 bytes in base64 or hexadecimal.
    #[error(
        "seal \"static\": current_key must be 32 bytes, as they are in a file, or in base64 or hexadecimal"
    )]
    Key,
}

impl StaticKey {
    /// From the settings `current_key_id` and `current_key`: `file:///path`,
    /// `env://NAME`, base64 or hexadecimal.
    ///
    /// # Errors
    /// See [`InvalidStaticKey`].
    pub fn new(id: &str, key: &str) -> Result<Self, InvalidStaticKey> {
        if id.is_empty() {
            return Err(InvalidStaticKey::NoId);
        }
        let key = if let Some(path) = key.strip_prefix("file://") {
            from_file(Path::new(path))?
        } else if let Some(name) = key.strip_prefix("env://") {
            let value = std::env::var(name)
                .map(Zeroizing::new)
                .map_err(|_| InvalidStaticKey::Environment(name.to_owned()))?;
            from_text(&value)?
        } else {
            from_text(key)?
        };
        Ok(Self { id: id.to_owned(), key })
    }

    /// Names the key in the seal's configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) const fn key(&self) -> &SecretKey {
        &self.key
    }
}

fn from_file(path: &Path) -> Result<SecretKey, InvalidStaticKey> {
    use std::io::Read as _;

    let file_error = |error| InvalidStaticKey::File { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(file_error)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(file_error)?;
    if let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
        return Ok(Zeroizing::new(key));
    }
    from_text(core::str::from_utf8(&bytes).map_err(|_| InvalidStaticKey::Key)?)
}

fn from_text(text: &str) -> Result<SecretKey, InvalidStaticKey> {
    let text = text.trim();
    let decoded = match hex::decode(text) {
        Ok(bytes) => bytes,
        Err(_) => BASE64.decode(text).map_err(|_| InvalidStaticKey::Key)?,
    };
    let decoded = Zeroizing::new(decoded);
    let key = decoded.as_slice().try_into().map_err(|_| InvalidStaticKey::Key)?;
    Ok(Zeroizing::new(key))
}
