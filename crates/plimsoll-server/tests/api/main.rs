//! What clients and operators meet: a real server, real sockets, a real disk.

#![allow(clippy::unwrap_used)]

mod backup;
mod bodies;
mod fields;
mod fuzz;
mod gates;
mod health;
mod idempotency;
mod lines;
mod maintenance;
mod origin;
mod paths;
mod quotas;
mod refusals;
mod replication;
mod seal;
mod startup;
mod support;
mod tls;
mod tokens;
mod uploads;
