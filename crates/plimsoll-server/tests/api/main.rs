//! What clients and operators meet: a real server, real sockets, a real disk.

#![allow(clippy::unwrap_used)]

mod bodies;
mod lines;
mod paths;
mod support;
