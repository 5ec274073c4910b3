#![allow(clippy::unwrap_used)]

mod approle;
mod kv1;
mod support;
