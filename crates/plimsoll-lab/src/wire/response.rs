//! Response heads and chunk sizes, from bytes.

use std::{
    io,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::invalid;

/// More header fields than any server sends.
const HEADERS_MAX: usize = 100;
/// A chunk-size line longer than this is not one.
const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;

/// Where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) retry_after: Option<Duration>,
}

/// The head at the start of `buf` and its length; `None` if it is not complete.
pub(super) fn parse_head(buf: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let bytes = match response.parse(buf) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(invalid("the response is not HTTP/1")),
    };
    let status = response.code.unwrap_or(0);
    let mut keep_alive = response.version == Some(1);
    let (mut length, mut chunked) = (None, false);
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = std::str::from_utf8(field.value).ok().and_then(|v| v.trim().parse().ok());
            length = Some(value.ok_or_else(|| invalid("the content length is not a number"))?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = field.value.to_ascii_lowercase().ends_with(b"chunked");
        } else if field.name.eq_ignore_ascii_case("connection") {
            keep_alive = !field.value.eq_ignore_ascii_case(b"close");
        }
    }
    let framing = match (status, chunked, length) {
        (..200 | 204 | 304, ..) => Framing::Length(0),
        (_, true, _) => Framing::Chunked,
        (_, false, Some(bytes)) => Framing::Length(bytes),
        (_, false, None) => Framing::UntilClose,
    };
    let keep_alive = keep_alive && framing != Framing::UntilClose;
    let retry_after = matches!(status, 429 | 503).then(|| retry_after(response.headers)).flatten();
    Ok(Some((Head { status, framing, keep_alive, retry_after }, bytes)))
}

/// Of nearly every refusal in milliseconds: read in place, since the generator is one thread
/// and a refusal that costs it more than an answer would seem to be slower to come.
fn retry_after(fields: &[httparse::Header<'_>]) -> Option<Duration> {
    let ms = fields.iter().find(|field| field.name.eq_ignore_ascii_case("retry-after-ms"));
    let digits = ms.filter(|field| field.value.iter().all(u8::is_ascii_digit));
    let ms = digits.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
    ms.map(Duration::from_millis).or_else(|| any_retry_after(fields))
}

#[expect(clippy::disallowed_methods, reason = "dates in Retry-After need the wall clock")]
fn any_retry_after(fields: &[httparse::Header<'_>]) -> Option<Duration> {
    let header = |field: &httparse::Header<'_>| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    let headers: HeaderMap = fields.iter().filter_map(header).collect();
    plimsoll_retry::retry_after(&headers, SystemTime::now())
}

/// The chunk size at the start of `buf` and the length of its line.
pub(super) fn chunk_line(buf: &[u8]) -> io::Result<Option<(usize, usize)>> {
    match httparse::parse_chunk_size(buf) {
        Ok(httparse::Status::Complete((bytes, size))) => {
            let size = usize::try_from(size).map_err(|_| invalid("a chunk is too large"))?;
            Ok(Some((size, bytes)))
        }
        Ok(httparse::Status::Partial) if buf.len() <= CHUNK_LINE_BYTES_MAX => Ok(None),
        _ => Err(invalid("a chunk size is not a number")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn head(text: &str) -> Head {
        parse_head(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn a_head_says_where_its_body_ends() {
        let framing = |text| head(text).framing;
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Framing::Length(5));
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Framing::Chunked
        );
        assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n"), Framing::Length(0));
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Framing::UntilClose);
    }

    #[test]
    fn a_connection_is_kept_unless_the_server_says_otherwise() {
        assert!(head("HTTP/1.1 204 No Content\r\n\r\n").keep_alive);
        assert!(!head("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").keep_alive);
        assert!(!head("HTTP/1.0 204 No Content\r\n\r\n").keep_alive);
        assert!(!head("HTTP/1.1 200 OK\r\n\r\n").keep_alive);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let wait = |status| {
            let text = format!("HTTP/1.1 {status} X\r\nRetry-After: 2\r\n\r\n");
            head(&text).retry_after
        };
        assert_eq!(
            [503, 429, 200].map(wait),
            [Some(2), Some(2), None].map(|s| s.map(Duration::from_secs))
        );
        let both = head("HTTP/1.1 503 X\r\nRetry-After: 2\r\nRetry-After-Ms: 1500\r\n\r\n");
        assert_eq!(both.retry_after, Some(Duration::from_millis(1500)));
        let odd = head("HTTP/1.1 503 X\r\nRetry-After: 2\r\nRetry-After-Ms: soon\r\n\r\n");
        assert_eq!(odd.retry_after, Some(Duration::from_secs(2)));
    }

    #[test]
    fn half_a_head_is_not_yet_one_and_rubbish_never_is() {
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\nCont").unwrap(), None);
        assert!(parse_head(b"220 smtp ready\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_err());
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        assert_eq!(chunk_line(b"1f\r\nabc").unwrap(), Some((31, 4)));
        assert_eq!(chunk_line(b"1").unwrap(), None);
        assert!(chunk_line(b"x\r\n").is_err());
    }
}
