//! Vault's HTTP API: from an HTTP request to a [`plimsoll_vault::Request`] and
//! from its answer to an HTTP response.
//!
//! Pure translation: what a request means is decided in `plimsoll-vault`, whether
//! it gets in at the door.

mod decode;
mod encode;
mod json;

pub(crate) use crate::face::decode::{Unreadable, decode, operation, query};
pub(crate) use crate::face::encode::{
    encode, error, json_response, message, text_response, unreadable,
};
pub(crate) use crate::face::json::Meter;

/// A response of this server.
pub(crate) type HttpResponse = http::Response<http_body_util::Full<bytes::Bytes>>;
