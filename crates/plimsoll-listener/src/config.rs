//! What a listener is told: where, with which certificate, and every limit.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{Places, TlsConfig, Workers, workers::Worker};

/// Where to listen and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerConfig {
    /// The address to bind; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Certificate and key; `None` serves plain TCP.
    pub tls: Option<TlsConfig>,
    /// The limits of the listener and of each connection.
    pub limits: Limits,
    /// Who gives out places to connections, instead of `limits.connections_max`.
    pub places: Option<Arc<dyn Places>>,
    pub(crate) workers: Option<Arc<[Worker]>>,
}

impl ListenerConfig {
    /// Plain TCP on `addr` with the default limits.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, tls: None, limits: Limits::default(), places: None, workers: None }
    }

    /// Serves TLS with this certificate and key.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Serves connections there instead of on the runtime that accepts them, each from
    /// begin to end with the worker that has the fewest.
    #[must_use]
    pub fn with_workers(mut self, workers: &Workers) -> Self {
        self.workers = Some(workers.each());
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Every limit of a listener, by name, unit last.
///
/// A zero is read as the smallest limit that works, never as "no limit".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; the next one waits, and those behind it are not accepted,
    /// until one closes.
    pub connections_max: usize,
    /// Connections the kernel may complete before they are accepted.
    pub backlog_connections_max: i32,
    /// Time for a TLS handshake, in milliseconds.
    pub handshake_ms_max: u64,
    /// Time for a request head, in milliseconds. Noticed within half of it.
    pub header_read_ms_max: u64,
    /// Time a connection may stay open without a request, in milliseconds.
    pub idle_ms_max: u64,
    /// Time a client may leave its answer unread, in milliseconds.
    pub write_stall_ms_max: u64,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Bytes of a request head, at least 8 KiB.
    pub header_bytes_max: usize,
    /// Concurrent HTTP/2 requests on one connection.
    pub h2_streams_max: u32,
    /// Time between HTTP/2 pings, and for the answer to one, in milliseconds.
    pub h2_ping_ms: u64,
    /// Bytes of a refused upload that are read and thrown away.
    pub linger_bytes_max: u64,
    /// Time for which a refused upload is read and thrown away, in milliseconds.
    pub linger_ms_max: u64,
    /// Time for accepted requests to finish after shutdown, in milliseconds.
    pub drain_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            backlog_connections_max: 4_096,
            handshake_ms_max: 10_000,
            header_read_ms_max: 10_000,
            // Go clients, the bao and vault command lines among them, drop an idle
            // connection after 90 s. Closing later than the client avoids the race
            // in which a request meets a close.
            idle_ms_max: 120_000,
            // Whoever takes not a byte in that time keeps memory that others wait for.
            write_stall_ms_max: 10_000,
            headers_max: 100,
            header_bytes_max: 64 * 1024,
            h2_streams_max: 200,
            h2_ping_ms: 20_000,
            // Vault takes requests up to 32 MiB, so that is what a client may be sending.
            linger_bytes_max: 32 * 1024 * 1024,
            linger_ms_max: 5_000,
            drain_ms_max: 30_000,
        }
    }
}

impl Limits {
    /// Raises what is too small to work with to the smallest value that does.
    pub(crate) fn sane(mut self) -> Self {
        self.connections_max = self.connections_max.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self.backlog_connections_max = self.backlog_connections_max.max(1);
        self.handshake_ms_max = self.handshake_ms_max.max(1);
        self.header_read_ms_max = self.header_read_ms_max.max(2);
        self.idle_ms_max = self.idle_ms_max.max(2);
        self.write_stall_ms_max = self.write_stall_ms_max.max(2);
        self.headers_max = self.headers_max.max(1);
        // hyper refuses smaller read buffers by panicking.
        self.header_bytes_max = self.header_bytes_max.max(8 * 1024);
        self.h2_streams_max = self.h2_streams_max.max(1);
        self.h2_ping_ms = self.h2_ping_ms.max(1);
        self
    }

    pub(crate) fn handshake(&self) -> Duration {
        Duration::from_millis(self.handshake_ms_max)
    }

    pub(crate) fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms_max)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms_max)
    }
}
