//! Between blocking readers and writers and the bodies of HTTP.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::mpsc;

/// Written at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces on their way: so much of a stream is in memory.
const PIECES_MAX: usize = 8;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// In memory.
    Whole(Full<Bytes>),
    /// Made while it is sent.
    Stream(ByteStream),
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(whole) => {
                let frame = Pin::new(whole).poll_frame(context);
                frame.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Stream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A body that is written while it is sent.
#[derive(Debug)]
pub(crate) struct ByteStream(mpsc::Receiver<io::Result<Bytes>>);

/// The writing end. Blocks when the other end reads too slowly.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
}

/// A stream and its writing end.
pub(crate) fn byte_stream() -> (StreamWriter, ByteStream) {
    let (sender, stream) = byte_channel(PIECES_MAX);
    (StreamWriter { sender, piece: BytesMut::with_capacity(PIECE_BYTES) }, stream)
}

/// A stream of pieces as they are sent, of which so many wait.
pub(crate) fn byte_channel(pieces_max: usize) -> (mpsc::Sender<io::Result<Bytes>>, ByteStream) {
    let (sender, receiver) = mpsc::channel(pieces_max);
    (sender, ByteStream(receiver))
}

impl Body for ByteStream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

impl StreamWriter {
    /// Breaks the stream off, so that nobody takes it for whole.
    pub(crate) fn fail(self, error: io::Error) {
        let _ = self.sender.blocking_send(Err(error));
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = core::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE_BYTES));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(piece.freeze())).map_err(gone)
    }
}

impl Write for StreamWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}

/// A body that is read by a thread that may block.
#[derive(Debug)]
pub(crate) struct BodyReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl BodyReader {
    /// The end for the reader, and the end that the body goes into.
    pub(crate) fn new() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        (sender, Self { pieces, piece: Bytes::new() })
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.piece.len());
        buffer[..taken].copy_from_slice(&self.piece[..taken]);
        self.piece.advance(taken);
        Ok(taken)
    }
}
