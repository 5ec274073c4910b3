//! Which directory is the store.
//!
//! The data directory itself, as long as nothing was ever restored while the server
//! ran; else the one below it that the file `current-store` names. That file is
//! renamed into place when the new store is whole: a kill at any moment leaves one
//! or the other. It also says whether that store is a secondary's, so that there is
//! never a moment at which a copy takes writes of its own.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::server::ServerError;

const POINTER_FILE: &str = "current-store";
const PREFIX: &str = "store-";
/// Behind the name of a store that follows a primary.
const SECONDARY: &str = " secondary";
/// What a store in the data directory itself consists of, beside its segments.
const STORE_FILES: [&str; 2] = ["format", "state.redb"];
const SEGMENT_SUFFIX: &str = ".seg";

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct StoreDirs {
    data_dir: PathBuf,
}

impl StoreDirs {
    pub(super) fn open(data_dir: &Path) -> Result<Self, ServerError> {
        fs::create_dir_all(data_dir)
            .map_err(|error| ServerError::DataDir { path: data_dir.to_owned(), error })?;
        Ok(Self { data_dir: data_dir.to_owned() })
    }

    /// Where the store is.
    pub(super) fn current(&self) -> io::Result<PathBuf> {
        Ok(self.pointer()?.0)
    }

    /// Whether it is that of a secondary.
    pub(super) fn is_secondary(&self) -> io::Result<bool> {
        Ok(self.pointer()?.1)
    }

    fn pointer(&self) -> io::Result<(PathBuf, bool)> {
        let line = match fs::read_to_string(self.data_dir.join(POINTER_FILE)) {
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((self.data_dir.clone(), false));
            }
            Err(error) => return Err(error),
        };
        let name = line.trim_end();
        let (name, secondary) =
            name.strip_suffix(SECONDARY).map_or((name, false), |name| (name, true));
        match number(name) {
            Some(number) => Ok((self.numbered(number), secondary)),
            None => Err(io::Error::other(format!("{POINTER_FILE}: {line:?} is no store"))),
        }
    }

    /// An empty directory for the next.
    pub(super) fn fresh(&self) -> io::Result<PathBuf> {
        let current = self.current()?;
        let number = current.file_name().and_then(|name| number(name.to_str()?)).unwrap_or(0);
        let dir = self.numbered(number + 1);
        // Left by an attempt that did not get to its end.
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir)?;
        Ok(dir)
    }

    /// From here on `dir` is the store, whatever happens.
    pub(super) fn make_current(&self, dir: &Path, secondary: bool) -> io::Result<()> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = self.data_dir.join(format!("{POINTER_FILE}.new"));
        let mut file = fs::File::create(&aside)?;
        writeln!(file, "{name}{}", if secondary { SECONDARY } else { "" })?;
        file.sync_all()?;
        fs::rename(&aside, self.data_dir.join(POINTER_FILE))?;
        fs::File::open(&self.data_dir)?.sync_all()
    }

    /// Removes stores that are not current.
    pub(super) fn remove_others(&self) -> io::Result<()> {
        let current = self.current()?;
        for entry in fs::read_dir(&self.data_dir)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str() else { continue };
            let is_store_file = STORE_FILES.contains(&name) || name.ends_with(SEGMENT_SUFFIX);
            if number(name).is_some() && path != current {
                fs::remove_dir_all(&path)?;
            } else if is_store_file && current != self.data_dir {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn numbered(&self, number: u64) -> PathBuf {
        self.data_dir.join(format!("{PREFIX}{number}"))
    }
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_store_is_one_or_the_other() {
        let parent = tempfile::tempdir().unwrap();
        let dirs = StoreDirs::open(&parent.path().join("data")).unwrap();
        let root = dirs.current().unwrap();
        for name in ["format", "state.redb", "00000001.seg", "other"] {
            fs::write(root.join(name), name).unwrap();
        }
        let first = dirs.fresh().unwrap();
        dirs.remove_others().unwrap();
        assert!(root.join("format").exists() && !first.exists());
        let first = dirs.fresh().unwrap();
        dirs.make_current(&first, true).unwrap();
        assert_eq!(dirs.current().unwrap(), first);
        assert!(dirs.is_secondary().unwrap());
        dirs.remove_others().unwrap();
        assert!(first.exists() && root.join("other").exists());
        assert!(!root.join("format").exists() && !root.join("00000001.seg").exists());
        let second = dirs.fresh().unwrap();
        assert_ne!(first, second);
        dirs.make_current(&second, false).unwrap();
        assert!(!dirs.is_secondary().unwrap());
        dirs.remove_others().unwrap();
        assert!(second.exists() && !first.exists());
    }
}
