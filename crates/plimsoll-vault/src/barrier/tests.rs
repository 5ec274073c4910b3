#![allow(clippy::unwrap_used)]

use super::*;

fn unsealed(epochs: u64) -> (Barrier, StoredKeyring) {
    let mut stored = StoredKeyring::empty();
    for epoch in 0..epochs {
        stored = stored.with_new_epoch(1_000 + epoch).unwrap();
    }
    let barrier = Barrier::default();
    barrier.install(&stored).unwrap();
    (barrier, stored)
}

#[test]
fn an_entry_opens_only_under_its_own_key_and_unaltered() {
    let (barrier, _) = unsealed(1);
    let sealed = Cipher::seal(&barrier, b"secret/a", b"value").unwrap();
    assert_eq!(&*barrier.open(b"secret/a", &sealed).unwrap(), b"value");
    assert!(barrier.open(b"secret/b", &sealed).is_err());
    for position in 0..sealed.len() {
        let mut altered = sealed.to_vec();
        altered[position] ^= 1;
        assert!(barrier.open(b"secret/a", &altered).is_err(), "byte {position}");
        assert!(barrier.open(b"secret/a", &sealed[..position]).is_err());
    }
}

#[test]
fn a_rotated_keyring_opens_what_older_keys_encrypted() {
    let (barrier, stored) = unsealed(1);
    let old = Cipher::seal(&barrier, b"a", b"old").unwrap();
    let stored = stored.with_new_epoch(2_000).unwrap();
    barrier.install(&stored).unwrap();
    let new = Cipher::seal(&barrier, b"a", b"new").unwrap();
    assert_eq!((&old[..4], &new[..4]), (&[0, 0, 0, 1][..], &[0, 0, 0, 2][..]));
    assert_eq!(&*barrier.open(b"a", &old).unwrap(), b"old");
    assert_eq!(&*barrier.open(b"a", &new).unwrap(), b"new");
    let status = barrier.key_status().unwrap();
    assert_eq!((status.term, status.installed, status.encryptions), (2, 2_000, 1));
}

#[test]
fn a_sealed_barrier_reads_and_writes_nothing() {
    let (barrier, _) = unsealed(1);
    let sealed = Cipher::seal(&barrier, b"a", b"value").unwrap();
    Barrier::seal(&barrier);
    assert!(matches!(barrier.open(b"a", &sealed), Err(VaultError::Sealed)));
    assert!(matches!(Cipher::seal(&barrier, b"a", b"value"), Err(VaultError::Sealed)));
}

#[test]
fn the_same_value_never_encrypts_to_the_same_bytes() {
    let (barrier, _) = unsealed(1);
    let first = Cipher::seal(&barrier, b"a", b"value").unwrap();
    assert_ne!(first, Cipher::seal(&barrier, b"a", b"value").unwrap());
}
