//! What an operator's tools send.

use tokio::signal::unix::{Signal as Unix, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration and the certificates again.
    Reload,
    /// SIGTERM or SIGINT: finish what was accepted and end.
    End,
}

/// The signals of this process, heard from the moment that this exists.
#[derive(Debug)]
pub struct Signals {
    hangup: Unix,
    terminate: Unix,
    interrupt: Unix,
}

impl Signals {
    /// Listens. Make it before anybody is told that the process runs: a signal that
    /// nobody listens to ends the process the hard way. Needs a runtime with I/O.
    ///
    /// # Errors
    /// The system refused.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
