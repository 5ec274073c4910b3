//! The command `plimsoll`: thin.

fn main() {}
