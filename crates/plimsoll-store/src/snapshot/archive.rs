//! The archive around a snapshot: tar in gzip, each file with its SHA-256.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{SHA256, digest};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use crate::snapshot::format::{FILE_BYTES_MAX, SnapshotError};

/// Sums of the files so far, as `sha256sum` writes them.
#[derive(Debug, Default)]
pub(super) struct Sums(String);

impl Sums {
    pub(super) fn add(&mut self, name: &str, content: &[u8]) {
        for byte in digest(&SHA256, content).as_ref() {
            self.0.push_str(&format!("{byte:02x}"));
        }
        self.0.push_str("  ");
        self.0.push_str(name);
        self.0.push('\n');
    }

    pub(super) fn text(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Writes files of known content, one after the other.
pub(super) struct ArchiveWriter<W: Write> {
    tar: tar::Builder<GzEncoder<W>>,
}

impl<W: Write> ArchiveWriter<W> {
    pub(super) fn new(out: W) -> Self {
        // What is encrypted cannot be compressed.
        Self { tar: tar::Builder::new(GzEncoder::new(out, Compression::none())) }
    }

    pub(super) fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        self.tar.append_data(&mut header, name, content)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.tar.into_inner()?.finish()
    }
}

/// Reads files one after the other; refuses any that is too long.
pub(super) struct ArchiveReader<R: Read> {
    input: GzDecoder<io::BufReader<R>>,
}

const BLOCK_BYTES: usize = 512;

impl<R: Read> ArchiveReader<R> {
    pub(super) fn new(input: R) -> Self {
        let input = io::BufReader::with_capacity(256 << 10, input);
        Self { input: GzDecoder::new(input) }
    }

    /// The next file; `None` at the end, which has its own checksum.
    pub(super) fn next(&mut self) -> Result<Option<(String, Vec<u8>)>, SnapshotError> {
        let mut block = [0; BLOCK_BYTES];
        self.fill(&mut block)?;
        if block.iter().all(|&byte| byte == 0) {
            self.drain()?;
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(&block);
        let bad = |_| SnapshotError::Format("not a gzip'd tar archive".to_owned());
        if header.cksum().map_err(bad)? != sum_of(&block) {
            return Err(SnapshotError::altered("a header of the archive"));
        }
        let bytes = header.size().map_err(bad)?;
        if bytes > FILE_BYTES_MAX {
            return Err(SnapshotError::Format(format!("a file of {bytes} bytes")));
        }
        let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
        let mut content = vec![0; (bytes as usize).next_multiple_of(BLOCK_BYTES)];
        self.fill(&mut content)?;
        content.truncate(bytes as usize);
        Ok(Some((name, content)))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), SnapshotError> {
        self.input.read_exact(buffer).map_err(read_error)
    }

    /// To the end of the stream, so that its checksum is compared.
    fn drain(&mut self) -> Result<(), SnapshotError> {
        let mut rest = [0; BLOCK_BYTES];
        loop {
            match self.input.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(read) if rest[..read].iter().all(|&byte| byte == 0) => {}
                Ok(_) => return Err(SnapshotError::altered("the end of the archive")),
                Err(error) => return Err(read_error(error)),
            }
        }
    }
}

/// Of a header, as tar defines it: its own field counts as spaces.
fn sum_of(block: &[u8; BLOCK_BYTES]) -> u32 {
    let field = 148..156;
    block
        .iter()
        .enumerate()
        .map(|(at, &byte)| u32::from(if field.contains(&at) { b' ' } else { byte }))
        .sum()
}

fn read_error(error: io::Error) -> SnapshotError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Truncated,
        io::ErrorKind::InvalidInput => SnapshotError::Format("not a gzip'd tar archive".to_owned()),
        io::ErrorKind::InvalidData => SnapshotError::altered("a checksum or a length"),
        _ => SnapshotError::Io(error),
    }
}
