//! HTTP/1.1 byte by byte: what a well-behaved client library would not send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Fails a test that hangs; no test waits for it to pass.
const NEVER: Duration = Duration::from_secs(30);

/// A request under construction.
#[derive(Clone)]
pub(crate) struct Call {
    address: SocketAddr,
    method: String,
    path: String,
    head: String,
    body: Vec<u8>,
}

impl Call {
    /// `path` stands below `/v1/` unless it begins with a slash.
    pub(crate) fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v1/{path}") };
        Self { address, method: method.to_owned(), path, head: String::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("X-Vault-Token", token)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn send(self) -> Answer {
        let Self { address, method, path, head, body } = self;
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        request.push_str(&head);
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(&body);
        exchange(address, &request)
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

/// Sends `request` on a connection of its own and reads until it is closed.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut socket = connect(address);
    // A refused body need not be taken to its end.
    let _ = socket.write_all(request);
    read_answer(&mut socket)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(NEVER)).unwrap();
    socket.set_write_timeout(Some(NEVER)).unwrap();
    socket
}

/// One answer: its head, and as much body as that announces or the server sends.
pub(crate) fn read_answer(socket: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let mut space = [0; 16 * 1024];
    loop {
        if let Some(answer) = Answer::complete(&bytes) {
            return answer;
        }
        match socket.read(&mut space) {
            Ok(0) => return Answer::parse(&bytes),
            Ok(read) => bytes.extend_from_slice(&space[..read]),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

impl Answer {
    /// Present once the announced length is there.
    fn complete(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, _) = text.split_once("\r\n\r\n")?;
        let length = header(head, "content-length")?.parse::<usize>().unwrap();
        (bytes.len() >= head.len() + 4 + length).then(|| Self::parse(bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, _) = text.split_once("\r\n\r\n").expect("an answer with a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.expect("a status line"),
            head: head.to_owned(),
            body: bytes[head.len() + 4..].to_vec(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The string at a JSON pointer.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let json = self.json();
        let text = json.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no {pointer} in {json}")).to_owned()
    }

    /// With this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// With this status and Vault's body, its first error containing `text`.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, text: &str) -> Self {
        let answer = self.is(status);
        let errors = answer.errors();
        let said = errors.first().is_some_and(|error| error.contains(text));
        assert!(said || (text.is_empty() && errors.is_empty()), "{text:?} not in {errors:?}");
        answer
    }

    /// Any 4xx, with Vault's body.
    #[track_caller]
    pub(crate) fn blames_the_client(self) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert!((400..500).contains(&self.status), "{} {body}", self.status);
        self.errors();
        self
    }

    /// Vault's list of errors.
    #[track_caller]
    pub(crate) fn errors(&self) -> Vec<String> {
        let kind = self.header("content-type");
        assert_eq!(kind, Some("application/json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let json = self.json();
        let errors = json["errors"].as_array().unwrap_or_else(|| panic!("no errors in {json}"));
        errors.iter().map(|error| error.as_str().expect("text").to_owned()).collect()
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.split("\r\n").skip(1).filter_map(|field| field.split_once(':'));
    let (_, value) = fields.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
    Some(value.trim())
}
