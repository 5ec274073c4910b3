//! Sockets, TLS, HTTP/1 and 2, connection limits and drain
