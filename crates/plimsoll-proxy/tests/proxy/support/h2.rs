//! A client of HTTP/2 that writes frames, also such as no library would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::connect;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// `RST_STREAM` codes.
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const CANCEL: u32 = 8;

const FRAME_BYTES_MAX: usize = 16_384;

pub(crate) type Fields<'f> = [(&'f str, &'f str)];

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The code of a reset.
    fn code(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("four bytes"))
    }
}

/// What came on one stream until it ended.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) body: String,
    /// The server said that this was all.
    pub(crate) complete: bool,
    pub(crate) trailers: bool,
    pub(crate) reset: Option<u32>,
}

pub(crate) struct Http2(TcpStream);

impl Http2 {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut client = Self(connect(address));
        client.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
        client.send(SETTINGS, 0, 0, &[]);
        client
    }

    /// Whether it arrives shows in the answer.
    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        let _ = self.0.write_all(&frame);
    }

    pub(crate) fn headers(&mut self, stream: u32, fields: &Fields<'_>, end: bool) {
        let block: Vec<u8> = fields.iter().flat_map(literal).collect();
        let mut pieces = block.chunks(FRAME_BYTES_MAX).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let end = if end && kind == HEADERS { END_STREAM } else { 0 };
            self.send(kind, last | end, stream, piece);
            kind = CONTINUATION;
        }
    }

    pub(crate) fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.send(DATA, if end { END_STREAM } else { 0 }, stream, bytes);
    }

    pub(crate) fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// The next frame that says something; `None` at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).ok()?;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload),
                SETTINGS | PING | WINDOW_UPDATE => {}
                _ => return Some(Frame { kind, flags, stream, payload }),
            }
        }
    }

    /// Reads a stream to its end.
    pub(crate) fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        let mut heads = 0;
        while let Some(frame) = self.frame() {
            if frame.stream != stream {
                continue;
            }
            answer.complete |= frame.ends_stream();
            match frame.kind {
                HEADERS => heads += 1,
                DATA => answer.body.push_str(&String::from_utf8_lossy(&frame.payload)),
                RST_STREAM => {
                    answer.reset = Some(frame.code());
                    break;
                }
                _ => {}
            }
            if answer.complete {
                break;
            }
        }
        answer.trailers = heads > 1;
        answer
    }

    /// Asks on `stream` and reads the answer.
    pub(crate) fn ask(&mut self, stream: u32, fields: &Fields<'_>) -> Answer {
        self.headers(stream, fields, true);
        self.answer(stream)
    }
}

/// The fields of a request, and more of them.
pub(crate) fn request<'f>(method: &'f str, more: &Fields<'f>) -> Vec<(&'f str, &'f str)> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "vault.example"),
        (":path", "/v1/kv"),
    ];
    fields.extend_from_slice(more);
    fields
}

/// A field that is neither indexed nor compressed (RFC 7541 6.2.2).
fn literal(field: &(&str, &str)) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [field.0, field.1] {
        // An integer with a prefix of seven bits (RFC 7541 5.1).
        let mut length = text.len();
        if length < 0x7f {
            bytes.push(length as u8);
        } else {
            bytes.push(0x7f);
            length -= 0x7f;
            while length >= 0x80 {
                bytes.push((length % 0x80) as u8 | 0x80);
                length /= 0x80;
            }
            bytes.push(length as u8);
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}
