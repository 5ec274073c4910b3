//! What can be allowed on a path.

use core::ops::BitOrAssign;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(u16);

impl Capabilities {
    pub(crate) const DENY: Self = Self(1);
    pub(crate) const CREATE: Self = Self(1 << 1);
    pub(crate) const READ: Self = Self(1 << 2);
    pub(crate) const UPDATE: Self = Self(1 << 3);
    pub(crate) const DELETE: Self = Self(1 << 4);
    pub(crate) const LIST: Self = Self(1 << 5);
    pub(crate) const PATCH: Self = Self(1 << 6);
    pub(crate) const SUDO: Self = Self(1 << 7);
    /// What other servers know and this one has no operation for.
    const OTHER: Self = Self(1 << 8);

    /// In the order in which they are told.
    const NAMES: [(&'static str, Self); 11] = [
        ("create", Self::CREATE),
        ("delete", Self::DELETE),
        ("list", Self::LIST),
        ("patch", Self::PATCH),
        ("read", Self::READ),
        ("sudo", Self::SUDO),
        ("update", Self::UPDATE),
        ("deny", Self::DENY),
        ("recover", Self::OTHER),
        ("scan", Self::OTHER),
        ("subscribe", Self::OTHER),
    ];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
    }

    /// Those of a rule that says `policy = "..."` instead.
    pub(crate) fn of_legacy_policy(name: &str) -> Option<Self> {
        let read = Self::READ.0 | Self::LIST.0;
        let write = read | Self::CREATE.0 | Self::UPDATE.0 | Self::DELETE.0;
        match name {
            "deny" => Some(Self::DENY),
            "read" => Some(Self(read)),
            "write" => Some(Self(write)),
            "sudo" => Some(Self(write | Self::SUDO.0)),
            _ => None,
        }
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sorted; `deny` if there is nothing else.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let told = Self::NAMES[..7].iter().filter(|(_, capability)| self.contains(*capability));
        let names: Vec<&str> = told.map(|(name, _)| *name).collect();
        if self.contains(Self::DENY) || names.is_empty() { vec!["deny"] } else { names }
    }
}

impl BitOrAssign for Capabilities {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
