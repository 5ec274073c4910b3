//! Group-commit storage: a log that acknowledges after fdatasync, and the state behind it
