//! The disk, as little of it as the store needs, so that a test can be the disk.
//!
//! Everything durable goes through [`Disk`] and [`File`]: the log, the state
//! behind it, and the file that names the format. A test replaces them with
//! [`SimDisk`], which fails on demand and loses power; `--dev-slow-disk` wraps
//! them into a [`SlowDisk`].

mod real;
mod sim;
mod slow;

use core::any::Any;
use core::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::disk::real::RealDisk;
pub use crate::disk::sim::{Fault, SimDisk};
pub use crate::disk::slow::{Delays, SlowDisk};

/// Held for as long as the directory is in use.
pub type DirLock = Box<dyn Any + Send + Sync>;

/// One directory.
pub trait Disk: Debug + Send + Sync {
    /// Takes the directory for this process.
    ///
    /// # Errors
    /// `WouldBlock` if another process has it.
    fn lock(&self) -> io::Result<DirLock>;

    /// Opens a file if it exists.
    ///
    /// # Errors
    /// The file exists and cannot be opened.
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn File>>>;

    /// Creates an empty file, or opens the one that is there. Its name is
    /// durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// It cannot be created.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// The names of all files, in no order.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Takes a name away. Who has the file open can still read it. Durable after
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// There is no such file, or the disk failed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names durable.
    ///
    /// # Errors
    /// They may not be.
    fn sync_dir(&self) -> io::Result<()>;

    /// What to call a file in a message.
    fn path(&self, name: &str) -> PathBuf;
}

/// One file. Offsets and lengths are in bytes.
pub trait File: Debug + Send + Sync {
    /// Its length.
    ///
    /// # Errors
    /// The disk failed.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// The disk failed.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts it or extends it with zeros.
    ///
    /// # Errors
    /// The disk failed.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Reads some bytes; 0 at the end.
    ///
    /// # Errors
    /// The disk failed.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes some of the bytes.
    ///
    /// # Errors
    /// The disk failed; any part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes everything written durable.
    ///
    /// # Errors
    /// Any part of what was written since the last sync may be lost, whatever a
    /// later sync says.
    fn sync_data(&self) -> io::Result<()>;

    /// A group of so many transactions is about to be written: a simulated
    /// device charges for them.
    fn begin_group(&self, _items: u32) {}

    /// Begins to send these bytes to the device, as soon as it has all before them.
    /// Makes nothing durable: it is how a writer of much goes piece by piece, so that
    /// the syncs of others wait behind one piece and not behind all of it at once.
    fn write_back(&self, _offset: u64, _bytes: u64) {}
}

/// Reads exactly so many bytes.
///
/// # Errors
/// `UnexpectedEof` at the end of the file, or the disk failed.
pub fn read_exact_at(file: &dyn File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(offset, buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all the bytes.
///
/// # Errors
/// The disk failed or took nothing; any part may have been written.
pub fn write_all_at(file: &dyn File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
