//! Sockets, TLS, HTTP/1.1 and HTTP/2, connection limits and drain.
//!
//! Everything above this crate thinks in requests. This crate makes sure that a
//! request is all there is to think about: a client that stalls in its
//! handshake, trickles its headers, never reads its answer or just stays
//! connected costs one connection, and nobody else notices.
//!
//! It knows nothing about admission. It only offers the lever that belongs to
//! sockets: whoever gives out [`Places`] decides how many connections are served, and
//! the next ones wait in the kernel's backlog, which costs nothing. No connection is
//! dropped that has a place.
//!
//! # What a connection is bounded by
//!
//! One timer per connection looks at a handful of counters (see
//! [`Limits`] for the names): a request head must be complete within
//! `header_read_ms_max`, a connection without requests is closed after
//! `idle_ms_max`, and a client that does not read its answer is cut off after
//! `write_stall_ms_max`. How long a request *body* may take is the business of
//! the layers above, since only they know what the request is worth.
//!
//! # Refused uploads
//!
//! A service may answer before it has read the request body. Closing an
//! HTTP/1.1 connection while the client still sends makes the kernel reset it,
//! and the reset can destroy the answer before the client has read it (RFC 9112
//! section 9.6). So the write half is closed first and the rest of the upload is
//! read and thrown away, at most `linger_bytes_max` and for `linger_ms_max`.
//!
//! # Drain
//!
//! On shutdown the listening socket closes, HTTP/2 clients get GOAWAY, HTTP/1.1
//! clients `Connection: close`, and whatever was accepted is finished, for at
//! most `drain_ms_max`.

#![forbid(unsafe_code)]

mod config;
mod connection;
mod error;
mod listener;
mod places;
mod stats;
mod tls;
mod workers;

pub use self::{
    config::{Limits, ListenerConfig},
    connection::PeerAddr,
    error::{BindError, TlsError},
    listener::{Drained, Listener},
    places::{Place, Places},
    stats::ListenerStats,
    tls::{ClientAuth, ClientTls, TlsConfig, TlsReloader},
    workers::Workers,
};
