//! The proxy over real sockets: raw bytes from the client's side, real and broken
//! servers on the other.

mod broken;
mod http2;
mod passing;
mod places;
mod shapes;
mod streams;
mod support;
mod wiring;
