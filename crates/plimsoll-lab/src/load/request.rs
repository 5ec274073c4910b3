//! Requests as bytes, made from a template and a key number.

use std::io::Write as _;

use http::Method;

use super::{LoadError, LoadOptions, Operation, Target};

/// What a load sends: a head, and bodies that take turns.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    method: Method,
    path: Template,
    /// Header lines that never change, each with its line end.
    headers: String,
    bodies: Vec<Template>,
    keys: u64,
}

/// Text with places for a key number.
#[derive(Clone, Debug)]
struct Template {
    pieces: Vec<String>,
}

impl Template {
    fn new(text: &str) -> Self {
        Self { pieces: text.split("{n}").map(str::to_owned).collect() }
    }

    fn render(&self, key: u64, out: &mut Vec<u8>) {
        for (index, piece) in self.pieces.iter().enumerate() {
            if index > 0 {
                write_number(out, key);
            }
            out.extend_from_slice(piece.as_bytes());
        }
    }

    fn rendered_bytes(&self, key: u64) -> usize {
        let digits = key.checked_ilog10().unwrap_or(0) as usize + 1;
        let fixed: usize = self.pieces.iter().map(String::len).sum();
        fixed + digits * (self.pieces.len() - 1)
    }
}

impl Requests {
    pub(super) fn new(
        method: Method,
        path: &str,
        bodies: &[String],
        target: &Target,
        options: &LoadOptions,
        with_token: bool,
    ) -> Result<Self, LoadError> {
        let mut headers = format!("host: {}\r\n", target.host);
        if with_token && !options.token.is_empty() {
            headers.push_str(&header_line(&format!("x-vault-token:{}", options.token))?);
        }
        for header in &options.headers {
            headers.push_str(&header_line(header)?);
        }
        Ok(Self {
            method,
            path: Template::new(path),
            headers,
            bodies: bodies.iter().map(|body| Template::new(body)).collect(),
            keys: options.keys,
        })
    }

    /// The requests of an operation whose server is prepared already.
    pub(super) fn unprepared(target: &Target, options: &LoadOptions) -> Result<Self, LoadError> {
        match &options.operation {
            Operation::Custom(custom) => {
                let bodies =
                    if options.body.is_empty() { vec![] } else { vec![options.body.clone()] };
                Self::new(custom.method.clone(), &custom.path, &bodies, target, options, true)
            }
            Operation::Kv1Put | Operation::Kv1Get | Operation::Kv2Put => Self::kv(target, options),
            Operation::UserpassLogin => Self::userpass(target, options),
            Operation::ApproleLogin => Err(LoadError::Options(
                "approle-login has to prepare its role: leave out --no-setup".to_owned(),
            )),
        }
    }

    pub(super) fn kv(target: &Target, options: &LoadOptions) -> Result<Self, LoadError> {
        let value = "x".repeat(options.value_bytes);
        let (method, path, body) = match options.operation {
            Operation::Kv2Put => (
                Method::POST,
                "/v1/load-kv2/data/key-{n}",
                Some(format!(r#"{{"data":{{"value":"{value}"}}}}"#)),
            ),
            Operation::Kv1Get => (Method::GET, "/v1/load-kv1/key-{n}", None),
            _ => (Method::POST, "/v1/load-kv1/key-{n}", Some(format!(r#"{{"value":"{value}"}}"#))),
        };
        Self::new(method, path, body.as_slice(), target, options, true)
    }

    pub(super) fn userpass(target: &Target, options: &LoadOptions) -> Result<Self, LoadError> {
        let body = r#"{"password":"load-password"}"#.to_owned();
        Self::new(Method::POST, "/v1/auth/userpass/login/load", &[body], target, options, false)
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Puts the `sequence`-th request of the load into `out`, with `more` header
    /// lines.
    pub(super) fn render(&self, sequence: u64, more: &str, out: &mut Vec<u8>) {
        let key = sequence % self.keys;
        out.clear();
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        self.path.render(key, out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        out.extend_from_slice(self.headers.as_bytes());
        out.extend_from_slice(more.as_bytes());
        if self.bodies.is_empty() {
            out.extend_from_slice(b"\r\n");
            return;
        }
        let body = &self.bodies[(sequence % self.bodies.len() as u64) as usize];
        out.extend_from_slice(b"content-type: application/json\r\ncontent-length: ");
        write_number(out, body.rendered_bytes(key) as u64);
        out.extend_from_slice(b"\r\n\r\n");
        body.render(key, out);
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
}

fn header_line(header: &str) -> Result<String, LoadError> {
    let bad = || LoadError::Options(format!("{header:?} is not a header of the form name:value"));
    let (name, value) = header.split_once(':').ok_or_else(bad)?;
    let name: http::HeaderName = name.trim().parse().map_err(|_| bad())?;
    let value: http::HeaderValue = value.trim().parse().map_err(|_| bad())?;
    let value = value.to_str().map_err(|_| bad())?;
    Ok(format!("{name}: {value}\r\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rendered(operation: &str, sequence: u64) -> String {
        let mut options = LoadOptions::new(
            operation.parse().unwrap(),
            String::new(),
            "secret".to_owned(),
            "1s:1".parse().unwrap(),
        );
        options.keys = 20;
        options.body = r#"{"n":{n}}"#.to_owned();
        let target = Target { addr: "127.0.0.1:1".parse().unwrap(), host: "h:1".to_owned() };
        let mut out = Vec::new();
        Requests::unprepared(&target, &options).unwrap().render(sequence, "", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_key_number_wraps_and_the_length_fits_it() {
        for (sequence, length) in [(0, 7), (9, 7), (10, 8), (19, 8), (20, 7)] {
            let request = rendered("PUT:/a/{n}/b", sequence);
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {length}")), "{request}");
            assert_eq!(body.len(), length);
            assert!(head.starts_with(&format!("PUT /a/{}/b HTTP/1.1\r\n", sequence % 20)));
        }
    }

    #[test]
    fn a_read_has_the_token_and_no_body() {
        assert_eq!(
            rendered("kv1-get", 3),
            "GET /v1/load-kv1/key-3 HTTP/1.1\r\nhost: h:1\r\nx-vault-token: secret\r\n\r\n"
        );
    }

    #[test]
    fn a_login_does_not_carry_the_token() {
        assert!(!rendered("userpass-login", 0).contains("secret"));
    }
}
