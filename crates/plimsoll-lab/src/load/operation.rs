//! What each request does.

use std::{fmt, str::FromStr};

use http::Method;

/// One of the operations that the generator knows how to prepare, or any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST auth/approle/login`.
    ApproleLogin,
    /// `POST auth/userpass/login/load`.
    UserpassLogin,
    /// Writes keys of a kv version 1 mount.
    Kv1Put,
    /// Writes keys of a kv version 2 mount.
    Kv2Put,
    /// Reads keys of a kv version 1 mount that were written before.
    Kv1Get,
    /// `METHOD:/path`, with `{n}` for a key number; nothing is prepared.
    Custom(CustomOperation),
}

/// Any method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomOperation {
    /// The method.
    pub method: Method,
    /// The path, where `{n}` stands for a key number.
    pub path: String,
}

const NAMED: [(&str, Operation); 5] = [
    ("approle-login", Operation::ApproleLogin),
    ("userpass-login", Operation::UserpassLogin),
    ("kv1-put", Operation::Kv1Put),
    ("kv2-put", Operation::Kv2Put),
    ("kv1-get", Operation::Kv1Get),
];

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, operation)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(operation.clone());
        }
        let names = || NAMED.map(|(name, _)| name).join(", ");
        let (method, path) = text
            .split_once(':')
            .ok_or_else(|| format!("neither METHOD:/path nor one of {}", names()))?;
        let method = method.parse().map_err(|_| format!("{method:?} is not a method"))?;
        let clean = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        if !clean {
            return Err(format!("{path:?} is not a path that begins with / and has no spaces"));
        }
        Ok(Self::Custom(CustomOperation { method, path: path.to_owned() }))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMED.iter().find(|(_, operation)| operation == self)) {
            (_, Some((name, _))) => f.write_str(name),
            (Self::Custom(custom), _) => write!(f, "{}:{}", custom.method, custom.path),
            (_, None) => Ok(()),
        }
    }
}
