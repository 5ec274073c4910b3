//! Shamir's secret sharing, in the format of Vault's shares.
//!
//! Every byte of the secret is the value at 0 of its own random polynomial over
//! GF(2^8); a share is the values of all of them at one point x. It is written
//! as those values followed by the byte x, so that shares of a 32-byte key have
//! 33 bytes. The arithmetic neither branches on secrets nor looks them up in
//! tables.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::error::VaultError;

/// Shares of one secret at most: the nonzero points of the field.
pub(crate) const SHARES_MAX: u64 = 255;

/// What a share is longer than the secret: the point.
pub(crate) const SHARE_OVERHEAD_BYTES: usize = 1;

/// Bytes that are erased when dropped.
pub(crate) type SecretBytes = Zeroizing<Vec<u8>>;

/// Why shares do not combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CombineError {
    #[error("less than two parts cannot be used to reconstruct the secret")]
    TooFew,
    #[error("parts must be at least two bytes")]
    TooShort,
    #[error("all parts must be the same length")]
    Lengths,
    #[error("duplicate part detected")]
    Duplicate,
}

/// Splits `secret` into `shares` shares of which any `threshold` restore it.
/// Both are at least 2 and at most [`SHARES_MAX`]; the caller has checked.
pub(crate) fn split(
    secret: &[u8],
    shares: u8,
    threshold: u8,
) -> Result<Vec<SecretBytes>, VaultError> {
    let points = points(shares)?;
    let mut parts: Vec<SecretBytes> = points
        .iter()
        .map(|_| Zeroizing::new(Vec::with_capacity(secret.len() + SHARE_OVERHEAD_BYTES)))
        .collect();
    let mut polynomial = Zeroizing::new(vec![0; usize::from(threshold)]);
    for &byte in secret {
        fill(&mut polynomial)?;
        polynomial[0] = byte;
        for (part, &x) in parts.iter_mut().zip(&points) {
            part.push(evaluate(&polynomial, x));
        }
    }
    for (part, &x) in parts.iter_mut().zip(&points) {
        part.push(x);
    }
    Ok(parts)
}

/// Restores the secret. Wrong or too few shares give a wrong secret, which
/// only what it is to decrypt can tell.
pub(crate) fn combine(parts: &[SecretBytes]) -> Result<SecretBytes, CombineError> {
    let [first, _, ..] = parts else { return Err(CombineError::TooFew) };
    if first.len() <= SHARE_OVERHEAD_BYTES {
        return Err(CombineError::TooShort);
    }
    if parts.iter().any(|part| part.len() != first.len()) {
        return Err(CombineError::Lengths);
    }
    let bytes = first.len() - SHARE_OVERHEAD_BYTES;
    let points: Vec<u8> = parts.iter().map(|part| part[bytes]).collect();
    if (1..points.len()).any(|index| points[..index].contains(&points[index])) {
        return Err(CombineError::Duplicate);
    }
    let weights: Vec<u8> = (0..points.len()).map(|index| weight(&points, index)).collect();
    let mut secret = Zeroizing::new(vec![0; bytes]);
    for (position, byte) in secret.iter_mut().enumerate() {
        for (part, &weight) in parts.iter().zip(&weights) {
            *byte ^= multiply(part[position], weight);
        }
    }
    Ok(secret)
}

/// Different nonzero points in random order.
fn points(count: u8) -> Result<Vec<u8>, VaultError> {
    let mut all: Vec<u8> = (1..=u8::MAX).collect();
    for index in (1..all.len()).rev() {
        all.swap(index, below(index + 1)?);
    }
    all.truncate(usize::from(count));
    Ok(all)
}

/// A uniform number below `bound`, which is at most 255: a byte, drawn again
/// when it falls into the incomplete last stretch.
fn below(bound: usize) -> Result<usize, VaultError> {
    let whole = 256 - 256 % bound;
    loop {
        let mut byte = [0];
        fill(&mut byte)?;
        let byte = usize::from(byte[0]);
        if byte < whole {
            return Ok(byte % bound);
        }
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), VaultError> {
    rand::fill(bytes).map_err(|_| VaultError::Internal("no randomness".to_owned()))
}

/// Horner's rule.
fn evaluate(polynomial: &[u8], x: u8) -> u8 {
    polynomial.iter().rev().fold(0, |value, &coefficient| multiply(value, x) ^ coefficient)
}

/// Lagrange's basis polynomial of one point, at 0.
fn weight(points: &[u8], index: usize) -> u8 {
    let mut weight = 1;
    for (other, &x) in points.iter().enumerate() {
        if other != index {
            weight = multiply(weight, multiply(x, invert(x ^ points[index])));
        }
    }
    weight
}

/// The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1: bit by bit, every
/// step done and masked out where it does not count.
fn multiply(mut a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        product ^= a & ((b >> bit) & 1).wrapping_neg();
        a = (a << 1) ^ (0x1b & (a >> 7).wrapping_neg());
    }
    product
}

/// The inverse: a^254. 0 for 0.
fn invert(a: u8) -> u8 {
    let mut power = a;
    let mut inverse = 1;
    for _ in 0..7 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        for a in 1..=u8::MAX {
            assert_eq!(multiply(a, invert(a)), 1);
        }
        assert_eq!(multiply(0x57, 0x83), 0xc1, "the example of FIPS 197, section 4.2");
    }

    #[test]
    fn a_share_ends_with_its_point() {
        let parts = split(&[7; 32], 5, 3).unwrap();
        let mut points: Vec<u8> = parts.iter().map(|part| part[32]).collect();
        assert!(parts.iter().all(|part| part.len() == 33));
        points.sort_unstable();
        points.dedup();
        assert_eq!(points.len(), 5);
        assert_ne!(points[0], 0);
    }

    #[test]
    fn the_same_share_twice_is_noticed() {
        let parts = split(b"secret", 3, 2).unwrap();
        let twice = [parts[0].clone(), parts[0].clone()];
        assert_eq!(combine(&twice).unwrap_err(), CombineError::Duplicate);
        assert_eq!(combine(&parts[..1]).unwrap_err(), CombineError::TooFew);
    }

    proptest! {
        #[test]
        fn any_threshold_of_the_shares_restores_the_secret_and_one_fewer_does_not(
            secret in proptest::collection::vec(any::<u8>(), 16..40),
            threshold in 2_u8..8,
            more in 0_u8..5,
            start in any::<prop::sample::Index>(),
        ) {
            let parts = split(&secret, threshold + more, threshold).unwrap();
            let start = start.index(parts.len());
            let chosen: Vec<_> =
                parts.iter().cycle().skip(start).take(usize::from(threshold)).cloned().collect();
            prop_assert_eq!(&**combine(&chosen).unwrap(), &secret[..]);
            if threshold > 2 {
                prop_assert_ne!(&**combine(&chosen[1..]).unwrap(), &secret[..]);
            }
        }
    }
}
