//! An HTTP/1.1 client for load: one socket, one request at a time.
//!
//! A general client hands each request through channels to a connection task and
//! back. That doubles what a request costs, and on a small machine the generator
//! then competes with the server it measures. Here the task that sends the bytes
//! reads the answer itself, out of one buffer, and skips the body it does not need.

mod response;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use bytes::{Buf, BytesMut};
use http::StatusCode;
use plimsoll_retry::Reply;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use self::response::{Framing, Head, chunk_line, parse_head};

/// The largest response head taken, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The largest response body kept, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
    /// The wait that a refusal asks for.
    pub retry_after: Option<Duration>,
}

impl Reply for Answer {
    fn status(&self) -> StatusCode {
        // What is no status is no answer to rely on.
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    fn retry_after(&self, _: SystemTime) -> Option<Duration> {
        self.retry_after
    }

    fn is_kept(&self) -> bool {
        true
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buf: BytesMut,
}

impl Connection {
    /// Connects to `server`, from `source` if given.
    ///
    /// # Errors
    /// What the system said.
    pub async fn open(server: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buf: BytesMut::new() })
    }

    /// Whether an idle connection is still good: open, and with nothing to read.
    pub fn is_fresh(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]);
        self.buf.is_empty()
            && matches!(nothing, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request as it stands and reads the answer to its end.
    ///
    /// The body goes to `body` if given, else nowhere. A future that is dropped
    /// half-way leaves the connection unusable: drop that too.
    ///
    /// # Errors
    /// The connection broke or the answer is not HTTP/1.
    pub async fn exchange(
        &mut self,
        request: &[u8],
        mut body: Option<&mut Vec<u8>>,
    ) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let head = loop {
            let head = self.head().await?;
            // 100 Continue and its like announce another head.
            if head.status >= 200 {
                break head;
            }
        };
        match head.framing {
            Framing::Length(bytes) => self.take(bytes, body.as_deref_mut()).await?,
            Framing::Chunked => self.take_chunks(body.as_deref_mut()).await?,
            Framing::UntilClose => self.take_rest(body).await?,
        }
        let Head { status, keep_alive, retry_after, .. } = head;
        Ok(Answer { status, keep_alive, retry_after })
    }

    async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some((head, bytes)) = parse_head(&self.buf)? {
                self.buf.advance(bytes);
                return Ok(head);
            }
            if self.buf.len() > HEAD_BYTES_MAX {
                return Err(invalid("the response head is too large"));
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, mut left: usize, mut body: Option<&mut Vec<u8>>) -> io::Result<()> {
        while left > 0 {
            if self.buf.is_empty() {
                self.more().await?;
            }
            let now = left.min(self.buf.len());
            keep(&mut body, &self.buf[..now])?;
            self.buf.advance(now);
            left -= now;
        }
        Ok(())
    }

    async fn take_chunks(&mut self, mut body: Option<&mut Vec<u8>>) -> io::Result<()> {
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                return self.skip_trailers().await;
            }
            self.take(size, body.as_deref_mut()).await?;
            self.take(b"\r\n".len(), None).await?;
        }
    }

    async fn chunk_size(&mut self) -> io::Result<usize> {
        loop {
            if let Some((size, bytes)) = chunk_line(&self.buf)? {
                self.buf.advance(bytes);
                return Ok(size);
            }
            self.more().await?;
        }
    }

    async fn skip_trailers(&mut self) -> io::Result<()> {
        loop {
            if let Some(end) = self.buf.windows(2).position(|pair| pair == b"\r\n") {
                self.buf.advance(end + 2);
                if end == 0 {
                    return Ok(());
                }
            } else if self.buf.len() > HEAD_BYTES_MAX {
                return Err(invalid("the response trailers are too large"));
            } else {
                self.more().await?;
            }
        }
    }

    async fn take_rest(&mut self, mut body: Option<&mut Vec<u8>>) -> io::Result<()> {
        loop {
            keep(&mut body, &self.buf)?;
            self.buf.clear();
            if self.stream.read_buf(&mut self.buf).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        self.buf.reserve(4 * 1024);
        match self.stream.read_buf(&mut self.buf).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn keep(body: &mut Option<&mut Vec<u8>>, bytes: &[u8]) -> io::Result<()> {
    let Some(body) = body else { return Ok(()) };
    if body.len() + bytes.len() > BODY_BYTES_MAX {
        return Err(invalid("the response body is too large"));
    }
    body.extend_from_slice(bytes);
    Ok(())
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
