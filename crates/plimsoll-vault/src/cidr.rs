//! Address blocks that a token or a role is bound to.

use core::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use crate::error::VaultError;

/// At most this many blocks in one list.
pub const CIDRS_MAX: usize = 256;

/// A block of addresses, e.g. `10.0.0.0/8`. A bare address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    mask: u128,
    is_v4: bool,
}

impl Cidr {
    /// Parses `address/prefix length` or an address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= width)?
            }
            Some(_) => return None,
            None => width,
        };
        let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
        Some(Self { network: bits(address) & mask, mask, is_v4: address.is_ipv4() })
    }

    /// Whether an address lies in the block. IPv4 addresses that come mapped
    /// into IPv6, as a dual-stack socket reports them, count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4 && bits(address) & self.mask == self.network
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => <u128 as From<Ipv6Addr>>::from(v6),
    }
}

/// A list of blocks as clients send it: an array of strings, or one string
/// with commas. Null and the empty string are the empty list.
///
/// # Errors
/// One of them is no block, or there are more than [`CIDRS_MAX`].
pub fn parse_cidrs(value: &Value) -> Result<Vec<String>, VaultError> {
    let texts: Vec<&str> = match value {
        Value::Null => Vec::new(),
        Value::String(text) => text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::trim))
            .collect::<Option<_>>()
            .ok_or_else(|| VaultError::invalid("CIDR blocks must be strings"))?,
        _ => return Err(VaultError::invalid("CIDR blocks must be a list of strings")),
    };
    if texts.len() > CIDRS_MAX {
        return Err(VaultError::invalid(format!("more than {CIDRS_MAX} CIDR blocks")));
    }
    for text in &texts {
        if Cidr::parse(text).is_none() {
            let shown: String = text.chars().take(64).collect();
            return Err(VaultError::invalid(format!("invalid CIDR address: {shown}")));
        }
    }
    Ok(texts.into_iter().map(str::to_owned).collect())
}

/// Whether an address is in one of the blocks; an empty list binds to nothing
/// and allows all. A stored block that cannot be read matches no address.
pub fn allowed<S: AsRef<str>>(blocks: &[S], address: IpAddr) -> bool {
    blocks.is_empty()
        || blocks
            .iter()
            .filter_map(|block| Cidr::parse(block.as_ref()))
            .any(|block| block.contains(address))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn is_in(block: &str, address: &str) -> bool {
        Cidr::parse(block).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_contains_its_addresses_and_no_others() {
        assert!(is_in("10.0.0.0/8", "10.255.0.1"));
        assert!(!is_in("10.0.0.0/8", "11.0.0.1"));
        assert!(is_in("10.1.2.3/8", "10.9.9.9"), "host bits are ignored");
        assert!(is_in("0.0.0.0/0", "255.255.255.255"));
        assert!(!is_in("0.0.0.0/0", "::1"), "families do not mix");
        assert!(is_in("127.0.0.1", "127.0.0.1"));
        assert!(is_in("127.0.0.1/32", "::ffff:127.0.0.1"));
        assert!(is_in("2001:db8::/32", "2001:db8:1::1"));
        assert!(!is_in("2001:db8::/32", "2001:db9::1"));
        assert!(is_in("::/0", "2001:db9::1"));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::1/129", "a/8"] {
            assert!(Cidr::parse(text).is_none(), "{text}");
            if !text.is_empty() {
                assert!(parse_cidrs(&json!([text])).is_err(), "{text}");
            }
        }
        assert!(parse_cidrs(&json!([1])).is_err());
        assert!(parse_cidrs(&json!(vec!["::1"; CIDRS_MAX + 1])).is_err());
    }

    #[test]
    fn lists_come_as_arrays_and_with_commas() {
        let blocks = vec!["10.0.0.0/8".to_owned(), "::1".to_owned()];
        assert_eq!(parse_cidrs(&json!("10.0.0.0/8, ::1")).unwrap(), blocks);
        assert_eq!(parse_cidrs(&json!(["10.0.0.0/8", "::1"])).unwrap(), blocks);
        assert!(parse_cidrs(&json!(null)).unwrap().is_empty());
    }

    #[test]
    fn an_empty_list_allows_everyone_and_an_unreadable_one_nobody() {
        let address = "10.0.0.1".parse().unwrap();
        assert!(allowed::<&str>(&[], address));
        assert!(allowed(&["10.0.0.0/8"], address));
        assert!(!allowed(&["10.0.0.0/40"], address));
    }
}
