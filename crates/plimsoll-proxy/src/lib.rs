//! A reverse proxy that holds a server nobody can change at the load it can carry.
//!
//! A request's way, one direction: the listener accepts and parses it, [`head`]
//! refuses what could be read in two ways, [`route`] finds its gate and whose it is,
//! the gate lets it through or not, [`upstream`] sends it, and [`body`] streams the
//! answer back; with its last byte at the latest the place at the gate is given back.
//! All of it on the thread that has the client's connection, over one to the upstream which
//! that thread has opened, if one is free.
//!
//! It holds no body, repeats no request and changes no answer of the upstream's.
//! What it answers itself is marked by `Proxy-Status`, but for what the listener cannot
//! parse.

#![forbid(unsafe_code)]

mod answer;
mod body;
mod clock;
pub mod config;
mod gates;
mod head;
mod health;
mod metrics;
mod route;
mod served;
mod server;
mod service;
mod upstream;

pub use crate::route::{Matcher, Rule};
pub use crate::server::{ProxyError, ProxyServer, Source};
pub use crate::upstream::{
    ConfiguredKind, InvalidUrl, UnknownKind, UpstreamKind, UpstreamOptions, UpstreamUrl,
};
