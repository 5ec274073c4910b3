//! `plimsoll operator snapshot`.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use plimsoll_store::snapshot::{Meta, SnapshotReader, Summary, restore_dir};

use crate::operator::progress::{Watched, bar};
use crate::operator::{ServerAddress, api};

#[derive(Subcommand, Debug)]
pub(super) enum Action {
    /// Save all data of a running server at one moment, as encrypted as it is stored.
    Save {
        /// Written whole or not at all; replaced if it is there.
        file: PathBuf,
        #[command(flatten)]
        server: ServerAddress,
    },
    /// Restore: into a fresh directory with --data-dir, else into a running server,
    /// whose data it replaces.
    Restore {
        /// A snapshot.
        file: PathBuf,
        /// A directory that is empty or does not exist. No server is needed.
        #[arg(long, value_name = "DIRECTORY")]
        data_dir: Option<PathBuf>,
        /// Also if it is of another cluster: the server is then sealed with that
        /// cluster's keys.
        #[arg(long, conflicts_with = "data_dir")]
        force: bool,
        #[command(flatten)]
        server: ServerAddress,
    },
    /// Read a snapshot from end to end and compare every checksum. No server is needed.
    Verify {
        /// A snapshot.
        file: PathBuf,
    },
}

pub(super) fn run(action: Action) -> anyhow::Result<()> {
    match action {
        Action::Save { file, server } => save(&file, &server),
        Action::Restore { file, data_dir: Some(dir), .. } => restore(&file, &dir),
        Action::Restore { file, data_dir: None, force, server } => send(&file, &server, force),
        Action::Verify { file } => {
            let (meta, summary) = verify(&file)?;
            report(&file, &meta, &summary);
            Ok(())
        }
    }
}

fn save(file: &Path, server: &ServerAddress) -> anyhow::Result<()> {
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut aside = tempfile::Builder::new().prefix(".plimsoll-snapshot-").tempfile_in(parent)?;
    let bar = bar(None);
    api::download(server, "sys/storage/raft/snapshot", aside.as_file_mut(), &bar)?;
    bar.finish_and_clear();
    // Nobody learns at a restore that there was nothing to restore.
    let (meta, summary) = verify(aside.path())?;
    aside.as_file().sync_all()?;
    aside.persist(file).with_context(|| file.display().to_string())?;
    File::open(parent)?.sync_all()?;
    report(file, &meta, &summary);
    Ok(())
}

fn verify(file: &Path) -> anyhow::Result<(Meta, Summary)> {
    let read = || {
        let input = watched(file)?;
        Ok::<_, anyhow::Error>(SnapshotReader::open(input)?.verify()?)
    };
    read().with_context(|| file.display().to_string())
}

fn restore(file: &Path, dir: &Path) -> anyhow::Result<()> {
    let read = || {
        let mut reader = SnapshotReader::open(watched(file)?)?;
        let meta = reader.meta().clone();
        Ok::<_, anyhow::Error>((meta, restore_dir(&mut reader, dir, &mut |_| {})?))
    };
    let (meta, summary) = read().with_context(|| file.display().to_string())?;
    report(dir, &meta, &summary);
    Ok(())
}

fn send(file: &Path, server: &ServerAddress, force: bool) -> anyhow::Result<()> {
    let path = match force {
        true => "sys/storage/raft/snapshot-force",
        false => "sys/storage/raft/snapshot",
    };
    // What is broken is found out here rather than there.
    let (meta, summary) = verify(file)?;
    api::upload(server, path, watched(file)?)?;
    report(file, &meta, &summary);
    Ok(())
}

fn watched(file: &Path) -> anyhow::Result<Watched<File>> {
    let input = File::open(file)?;
    let metadata = input.metadata()?;
    if !metadata.is_file() {
        bail!("not a file");
    }
    Ok(Watched { input, bar: bar(Some(metadata.len())) })
}

#[expect(clippy::print_stdout, reason = "the person at the terminal is told what was done")]
fn report(what: &Path, meta: &Meta, summary: &Summary) {
    println!("{}", what.display());
    println!("revision {}", meta.revision);
    println!("history {}", meta.history);
    println!("keys {}", summary.keys);
    println!("bytes {}", summary.bytes);
    println!("digest {}", summary.digest);
}
