//! A server of its own for each run, and its end.

use std::{
    fmt,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::time::Instant;

use super::DemoOptions;

pub(super) const ROOT_TOKEN: &str = "root";

const START_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How much of the server's log is shown when it fails, in lines.
const LOG_LINES_SHOWN: usize = 15;

/// The server's `--protection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    Off,
    Enforce,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Enforce => "enforce",
        })
    }
}

/// Killed, by its process id, when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    addr: SocketAddr,
    dir: TempDir,
}

impl Server {
    /// Starts a server in a fresh directory and waits until it answers.
    pub(super) fn start(options: &DemoOptions, protection: Protection) -> anyhow::Result<Self> {
        let binary = match &options.server_binary {
            Some(binary) => binary.clone(),
            None => std::env::current_exe().context("cannot find this program's own file")?,
        };
        let dir = tempfile::tempdir().context("cannot create a directory for the server")?;
        let (addr, health) = (free_addr()?, free_addr()?);
        let log = File::create(log_path(&dir)).context("cannot create the server's log")?;
        let child = Command::new(&binary)
            .args(["server", "--dev", "--dev-root-token", ROOT_TOKEN])
            .args(["--listen", &addr.to_string(), "--health-listen", &health.to_string()])
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .args(["--dev-slow-disk", &options.slow_disk])
            .args(["--protection", &protection.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the server's log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut server = Self { child, addr, dir };
        match server.await_health() {
            Ok(()) => Ok(server),
            Err(error) => Err(server.explain(error)),
        }
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Adds the end of the server's log to an error.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let log = fs::read_to_string(log_path(&self.dir)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n  ");
        if end.is_empty() { error } else { error.context(format!("the server said:\n  {end}")) }
    }

    fn await_health(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < START_MAX {
            if let Some(status) = self.child.try_wait().context("cannot watch the server")? {
                bail!("the server ended while it started: {status}");
            }
            if is_healthy(self.addr) {
                return Ok(());
            }
            thread::sleep(POLL_INTERVAL);
        }
        bail!("the server did not answer on {} within {START_MAX:?}", self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails only if the server is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_path(dir: &TempDir) -> PathBuf {
    dir.path().join("server.log")
}

/// An address that was free a moment ago.
fn free_addr() -> anyhow::Result<SocketAddr> {
    let socket = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    socket.local_addr().context("no free port")
}

fn is_healthy(addr: SocketAddr) -> bool {
    let ask = || -> std::io::Result<[u8; 12]> {
        let mut socket = TcpStream::connect_timeout(&addr, POLL_INTERVAL)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket
            .write_all(b"GET /v1/sys/health HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n")?;
        let mut status_line = [0; 12];
        socket.read_exact(&mut status_line)?;
        Ok(status_line)
    };
    ask().is_ok_and(|status_line| &status_line == b"HTTP/1.1 200")
}
