//! The HTTP face of the secrets server
