//! Names for those who share.

use core::hash::Hash;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use plimsoll::Flow;

use crate::identity::network;

/// Makes flows of whatever names a client. The hash has a key of its own, so that
/// nobody can choose whose share is his.
#[derive(Clone, Debug, Default)]
pub struct Flows(RandomState);

impl Flows {
    /// Of a client of which nothing is known but its address.
    pub fn of_address(&self, address: IpAddr) -> Flow {
        self.of(&network(address))
    }

    /// Of a client with this name.
    pub fn of<T: Hash>(&self, name: &T) -> Flow {
        Flow(self.0.hash_one(name))
    }
}
