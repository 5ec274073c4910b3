//! The open-loop load generator, the demo and their reports
