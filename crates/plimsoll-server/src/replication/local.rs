//! What a secondary keeps beside the data of its primary: whom it follows, and its own
//! seal. In the clear are names, addresses and the number of shares.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use plimsoll_vault::{OwnSeal, Vault};
use serde::{Deserialize, Serialize};

use crate::replication::api::ApiError;
use crate::replication::credentials::Certified;

const FILE: &str = "replication.json";

/// A secondary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replica {
    /// Of the primary.
    pub(super) cluster_id: String,
    pub(super) address: String,
    pub(super) ca: String,
    /// What the primary calls it.
    pub(super) id: String,
    pub(crate) seal: OwnSeal,
    /// Certificate and key, encrypted with the primary's root key.
    secrets: String,
}

impl Replica {
    pub(super) fn new(
        token: &crate::replication::credentials::Token,
        seal: OwnSeal,
        secrets: &[u8],
    ) -> Self {
        Self {
            cluster_id: token.cluster_id.clone(),
            address: token.address.clone(),
            ca: token.ca.clone(),
            id: token.id.clone(),
            seal,
            secrets: BASE64.encode(secrets),
        }
    }

    pub(super) fn certified(&self, vault: &Vault) -> Result<Certified, ApiError> {
        let secrets = BASE64.decode(&self.secrets).map_err(|_| altered())?;
        let secrets = vault.adopted_secrets(&self.seal, &secrets)?;
        serde_json::from_slice(&secrets).map_err(|_| altered())
    }
}

fn altered() -> ApiError {
    ApiError::Internal(format!("{FILE} is not what was written"))
}

/// The file in a data directory.
#[derive(Debug)]
pub(super) struct Local {
    data_dir: PathBuf,
}

/// The secondary that a data directory says it is.
pub(crate) fn replica(data_dir: &Path) -> io::Result<Option<Replica>> {
    match fs::read(data_dir.join(FILE)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Local {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    pub(super) fn read(&self) -> io::Result<Option<Replica>> {
        replica(&self.data_dir)
    }

    pub(super) fn write(&self, replica: &Replica) -> io::Result<()> {
        let aside = self.data_dir.join(format!("{FILE}.new"));
        let mut file = fs::File::create(&aside)?;
        file.write_all(&serde_json::to_vec_pretty(replica)?)?;
        file.sync_all()?;
        fs::rename(&aside, self.data_dir.join(FILE))?;
        self.sync()
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(self.data_dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync(),
        }
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.data_dir)?.sync_all()
    }
}
