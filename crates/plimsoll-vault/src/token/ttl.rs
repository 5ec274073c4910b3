//! How long a token lives.

use crate::error::VaultError;

/// The times to live that a mount allows, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttls {
    /// Of what asks for none.
    pub default: u64,
    /// The longest.
    pub max: u64,
}

impl Default for Ttls {
    /// Vault's: 32 days each.
    fn default() -> Self {
        Self { default: 768 * 3600, max: 768 * 3600 }
    }
}

/// What is known of a lease when its next end is computed. Seconds; 0 is "not
/// given".
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// What the client asks for.
    pub(crate) increment: u64,
    /// What it lives for otherwise.
    pub(crate) ttl: u64,
    /// Makes it periodic.
    pub(crate) period: u64,
    /// What its role allows at most.
    pub(crate) max_ttl: u64,
    /// What it was created to live at most, periodic or not.
    pub(crate) explicit_max_ttl: u64,
    /// How long it has lived already.
    pub(crate) age: u64,
}

/// Seconds to live from now, and what to warn of: the rules of Vault's
/// `CalculateTTL`. The maximum counts from the creation; periodic tokens are
/// free of it unless an explicit one was set.
pub(crate) fn granted_ttl(
    terms: Terms,
    mount: Ttls,
    warnings: &mut Vec<String>,
) -> Result<u64, VaultError> {
    let mut max_ttl = mount.max;
    for limit in [terms.max_ttl, terms.explicit_max_ttl] {
        if limit > 0 {
            max_ttl = max_ttl.min(limit);
        }
    }
    let (ttl, total) = if terms.period > 0 {
        let explicit = (terms.explicit_max_ttl > 0).then_some(terms.explicit_max_ttl);
        (capped("period", terms.period, max_ttl, warnings), explicit)
    } else {
        let asked = [terms.increment, terms.ttl].into_iter().find(|ttl| *ttl > 0);
        (asked.unwrap_or(mount.default), Some(max_ttl))
    };
    let Some(total) = total else { return Ok(ttl) };
    let left = total.saturating_sub(terms.age);
    if left == 0 {
        return Err(VaultError::invalid("past the max TTL, cannot renew"));
    }
    Ok(capped("TTL", ttl, left, warnings))
}

fn capped(what: &str, ttl: u64, max: u64, warnings: &mut Vec<String>) -> u64 {
    if ttl > max {
        warnings.push(format!(
            "{what} of \"{}\" exceeded the effective max_ttl of \"{}\"; \
             {what} value is capped accordingly",
            go_duration(ttl),
            go_duration(max),
        ));
    }
    ttl.min(max)
}

/// Seconds as Vault's warnings write them: without units that are zero at the
/// end.
fn go_duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, 0, 0) => format!("{h}h"),
        (h, m, 0) => format!("{h}h{m}m"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MOUNT: Ttls = Ttls { default: 100, max: 1000 };

    #[test]
    fn the_first_of_increment_ttl_and_default_counts_up_to_what_is_left() {
        let cases = [
            (Terms::default(), Some(100)),
            (Terms { ttl: 50, ..Terms::default() }, Some(50)),
            (Terms { ttl: 50, increment: 70, ..Terms::default() }, Some(70)),
            (Terms { increment: 5000, ..Terms::default() }, Some(1000)),
            (Terms { increment: 5000, age: 400, ..Terms::default() }, Some(600)),
            (Terms { increment: 5000, max_ttl: 300, ..Terms::default() }, Some(300)),
            (Terms { max_ttl: 5000, increment: 5000, ..Terms::default() }, Some(1000)),
            (Terms { explicit_max_ttl: 80, ..Terms::default() }, Some(80)),
            (Terms { age: 1000, ..Terms::default() }, None),
        ];
        for (terms, expected) in cases {
            assert_eq!(granted_ttl(terms, MOUNT, &mut vec![]).ok(), expected, "{terms:?}");
        }
    }

    #[test]
    fn a_period_ignores_age_but_not_an_explicit_maximum() {
        let periodic = Terms { period: 60, increment: 5, age: 99_999, ..Terms::default() };
        assert_eq!(granted_ttl(periodic, MOUNT, &mut vec![]).unwrap(), 60);
        let long = Terms { period: 5000, ..Terms::default() };
        assert_eq!(granted_ttl(long, MOUNT, &mut vec![]).unwrap(), 1000);
        let bound = Terms { period: 60, explicit_max_ttl: 100, age: 70, ..Terms::default() };
        assert_eq!(granted_ttl(bound, MOUNT, &mut vec![]).unwrap(), 30);
        assert!(granted_ttl(Terms { age: 100, ..bound }, MOUNT, &mut vec![]).is_err());
    }

    #[test]
    fn a_cap_is_told_in_vaults_words() {
        let mut warnings = Vec::new();
        let terms = Terms { increment: 9999 * 3600, age: 1, ..Terms::default() };
        granted_ttl(terms, Ttls::default(), &mut warnings).unwrap();
        assert_eq!(
            warnings,
            ["TTL of \"9999h\" exceeded the effective max_ttl of \"767h59m59s\"; \
              TTL value is capped accordingly"]
        );
    }
}
