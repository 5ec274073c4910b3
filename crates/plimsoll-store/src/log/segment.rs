//! A segment: one file of the log.

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, File, read_exact_at, write_all_at};
use crate::log::BLOCK_BYTES;

const MAGIC: [u8; 8] = *b"PlimSeg1";
const HEADER_BYTES: usize = 40;
/// How much is zeroed at a time.
const ZERO_BYTES: usize = 1 << 20;

/// A file of the log with its header, which is durable before the first group
/// is written into it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: Arc<str>,
    pub(crate) file: Arc<dyn File>,
    /// Grows with every use of a file.
    pub(crate) id: u64,
    pub(crate) bytes: u64,
}

/// A file of the log that holds nothing that is still needed.
#[derive(Clone, Debug)]
pub(crate) struct FreeFile {
    pub(crate) name: Arc<str>,
    pub(crate) file: Arc<dyn File>,
    pub(crate) bytes: u64,
}

impl Segment {
    /// Where the first group starts.
    pub(crate) const START: u64 = BLOCK_BYTES as u64;

    /// Gives a file a new id and makes that durable.
    pub(crate) fn prepare(free: FreeFile, id: u64, store_id: u64) -> io::Result<Self> {
        let FreeFile { name, file, bytes } = free;
        let mut block = [0; BLOCK_BYTES];
        block[..8].copy_from_slice(&MAGIC);
        block[8..16].copy_from_slice(&store_id.to_le_bytes());
        block[16..24].copy_from_slice(&id.to_le_bytes());
        block[24..32].copy_from_slice(&bytes.to_le_bytes());
        let crc = crc32c::crc32c(&block[..HEADER_BYTES - 8]);
        block[32..36].copy_from_slice(&crc.to_le_bytes());
        write_all_at(&*file, 0, &block)?;
        file.sync_data()?;
        Ok(Self { name, file, id, bytes })
    }

    /// The id in a file's header, if the header is whole and of this store.
    pub(crate) fn read_id(file: &dyn File, store_id: u64) -> io::Result<Option<u64>> {
        let mut header = [0; HEADER_BYTES];
        match read_exact_at(file, 0, &mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let u64_at = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(field)
        };
        let crc = crc32c::crc32c(&header[..HEADER_BYTES - 8]).to_le_bytes();
        let whole = header[..8] == MAGIC && header[32..36] == crc && u64_at(8) == store_id;
        Ok(whole.then(|| u64_at(16)))
    }
}

impl FreeFile {
    /// A new file, every byte of it written, name and all durable.
    pub(crate) fn create(disk: &dyn Disk, number: u64, bytes: u64) -> io::Result<Self> {
        let name: Arc<str> = format!("{number:08}{SUFFIX}").into();
        let file = disk.create(&name)?;
        let zeros = vec![0; ZERO_BYTES.min(bytes as usize)];
        let mut at = 0;
        while at < bytes {
            let part = (bytes - at).min(zeros.len() as u64);
            write_all_at(&*file, at, &zeros[..part as usize])?;
            file.write_back(at, part);
            at += part;
        }
        file.sync_data()?;
        disk.sync_dir()?;
        Ok(Self { name, file, bytes })
    }
}

const SUFFIX: &str = ".seg";

/// Whether a directory has segments.
pub(crate) fn has_log(disk: &dyn Disk) -> io::Result<bool> {
    Ok(disk.list()?.iter().any(|name| file_number(name).is_some()))
}

/// The number in a segment file's name.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}
