//! Asks the server, all the time, for next to nothing, and times the answer.
//!
//! What a client waits before anybody looks at its request shows nowhere inside the
//! runtime: its own tasks are woken in milliseconds while sockets wait for seconds. So
//! a thread writes a byte to a socket that the runtime serves like any
//! client's, and reads it back. The socket is a pair of its own: it needs neither TLS
//! nor a free place among the connections, and an echo costs a tenth of a request. What the
//! processors did for this process meanwhile is told with the wait.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as Blocking;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use plimsoll::cpu::CpuGate;
use plimsoll_store::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Handle;

/// Between two questions, and between two looks at one that has no answer yet.
const PERIOD: Duration = Duration::from_millis(20);

/// A question at a time.
#[derive(Debug)]
pub(crate) struct Probe {
    gate: CpuGate,
    clock: Clock,
    socket: Blocking,
}

impl Probe {
    /// A probe of what `runtime` serves.
    pub(crate) fn new(gate: CpuGate, clock: Clock, runtime: &Handle) -> io::Result<Self> {
        let (socket, served) = Blocking::pair()?;
        socket.set_read_timeout(Some(PERIOD))?;
        served.set_nonblocking(true)?;
        let _entered = runtime.enter();
        let mut served = UnixStream::from_std(served)?;
        runtime.spawn(async move {
            let mut byte = [0];
            // Ends with the probe, whose socket is then closed.
            while served.read_exact(&mut byte).await.is_ok()
                && served.write_all(&byte).await.is_ok()
            {}
        });
        Ok(Self { gate, clock, socket })
    }

    /// Asks until `stop` is dropped.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        while stop.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = self.ask(stop) {
                tracing::error!(%error, "the probe of the CPU gate ended");
                break;
            }
        }
    }

    /// One question; reports the age of one that is not answered yet.
    fn ask(&mut self, stop: &Receiver<()>) -> io::Result<()> {
        let (asked, had) = (self.clock.now(), processor_time());
        self.socket.write_all(&[0])?;
        loop {
            let answer = self.socket.read(&mut [0]);
            let worked = processor_time().saturating_sub(had);
            self.gate.probed(self.clock.now().since(asked), worked);
            match answer {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if is_late(&error) => {
                    if stop.try_recv() != Err(std::sync::mpsc::TryRecvError::Empty) {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What all threads of this process have had of all processors.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn is_late(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
