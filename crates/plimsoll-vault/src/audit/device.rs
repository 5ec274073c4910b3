//! One device: a file, and the thread that writes it.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use aws_lc_rs::hmac;
use tokio::sync::mpsc;

use crate::audit::devices::DeviceEntry;
use crate::audit::entry::Form;
use crate::error::VaultError;

/// Lines that wait for a device at most.
pub(crate) const QUEUE_LINES_MAX: usize = 4096;

/// Bytes of those lines at most.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Lines written with one call at most.
const BATCH_LINES_MAX: usize = 256;

const FILE_MODE: u32 = 0o600;

/// A device at work. Dropping it lets its thread write what waits and end.
pub(crate) struct Device {
    pub(crate) entry: DeviceEntry,
    pub(crate) form: Form,
    queue: SyncSender<Message>,
    queued_bytes: Arc<AtomicUsize>,
}

enum Message {
    /// A line, and whom to tell whether it was written.
    Line(Vec<u8>, mpsc::Sender<bool>),
    /// Somebody moved the file away: go on with a new one.
    Reopen,
}

impl core::fmt::Debug for Device {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Device").field("kind", &self.entry.kind).finish_non_exhaustive()
    }
}

/// Whether a device can be enabled, tried by opening its file.
pub(crate) fn check(entry: &DeviceEntry) -> Result<(), VaultError> {
    let target = Target::of(entry)?;
    target.open().map(drop).map_err(|error| {
        VaultError::invalid(format!(
            "sanity check failed; unable to open {target} for writing: {error}"
        ))
    })
}

impl Device {
    pub(crate) fn start(entry: DeviceEntry) -> Result<Self, VaultError> {
        let target = Target::of(&entry)?;
        let (queue, lines) = sync_channel(QUEUE_LINES_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let released = Arc::clone(&queued_bytes);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || Writer::new(target, released).run(&lines))
            .map_err(|error| VaultError::Internal(format!("audit thread: {error}")))?;
        let form = Form {
            salt: hmac::Key::new(hmac::HMAC_SHA256, entry.salt()),
            raw: entry.flag("log_raw", false),
            hash_accessor: entry.flag("hmac_accessor", true),
            prefix: entry.options.get("prefix").cloned().unwrap_or_default(),
        };
        Ok(Self { entry, form, queue, queued_bytes })
    }

    /// Hands a line to the thread, which tells `written`. Tells it at once if
    /// too much waits already.
    pub(crate) fn offer(&self, line: Vec<u8>, written: &mpsc::Sender<bool>) {
        let bytes = line.len();
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let message = Message::Line(line, written.clone());
        if queued + bytes > QUEUE_BYTES_MAX || self.queue.try_send(message).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            // There is room for one answer of each device.
            let _ = written.try_send(false);
        }
    }

    /// See [`Message::Reopen`].
    pub(crate) fn reopen(&self) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Reopen) {
            tracing::error!("an audit device is too busy to reopen its file");
        }
    }
}

enum Target {
    File(String),
    Stdout,
    Discard,
}

impl core::fmt::Display for Target {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::File(path) => path,
            Self::Stdout => "stdout",
            Self::Discard => "discard",
        })
    }
}

impl Target {
    fn of(entry: &DeviceEntry) -> Result<Self, VaultError> {
        if entry.kind != "file" {
            return Err(VaultError::invalid(format!("unknown backend type: {:?}", entry.kind)));
        }
        let path = entry.options.get("file_path").or_else(|| entry.options.get("path"));
        match path.map(String::as_str) {
            None | Some("") => Err(VaultError::invalid("file_path is required")),
            Some("stdout") => Ok(Self::Stdout),
            Some("discard") => Ok(Self::Discard),
            Some(path) => Ok(Self::File(path.to_owned())),
        }
    }

    fn open(&self) -> io::Result<Box<dyn Write>> {
        Ok(match self {
            Self::File(path) => Box::new(open_file(path)?),
            Self::Stdout => Box::new(io::stdout()),
            Self::Discard => Box::new(io::sink()),
        })
    }
}

fn open_file(path: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)
}

struct Writer {
    target: Target,
    output: Option<Box<dyn Write>>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Writer {
    fn new(target: Target, queued_bytes: Arc<AtomicUsize>) -> Self {
        Self { target, output: None, queued_bytes }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        let mut waiting = Vec::new();
        while let Ok(first) = messages.recv() {
            let mut lines = Vec::new();
            for message in core::iter::once(first).chain(messages.try_iter()) {
                match message {
                    Message::Line(line, written) => {
                        self.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                        lines.extend_from_slice(&line);
                        waiting.push(written);
                    }
                    Message::Reopen => self.output = None,
                }
                if waiting.len() >= BATCH_LINES_MAX {
                    break;
                }
            }
            let is_written = self.write(&lines);
            for written in waiting.drain(..) {
                let _ = written.try_send(is_written);
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> bool {
        let result = self.try_write(lines);
        if let Err(error) = &result {
            tracing::error!(device = %self.target, %error, "an audit device failed");
            // The next line tries again from the start.
            self.output = None;
        }
        result.is_ok()
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(self.target.open()?),
        };
        output.write_all(lines)?;
        output.flush()
    }
}
