#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use super::*;
use crate::barrier::random_key;

fn message(error: &VaultError) -> String {
    error.to_string()
}

#[test]
fn impossible_numbers_of_shares_are_refused_in_vaults_words() {
    for (shares, threshold, problem) in [
        (0, 1, "shares must be at least one"),
        (1, 0, "threshold must be at least one"),
        (2, 1, "threshold must be greater than one for multiple shares"),
        (300, 3, "shares must be less than 256"),
        (3, 5, "threshold cannot be larger than shares"),
    ] {
        let error = Shares::new(shares, threshold).unwrap_err();
        assert_eq!(message(&error), format!("invalid seal configuration: {problem}"));
    }
    assert!(Shares::new(1, 1).is_ok());
    assert!(Shares::new(255, 255).is_ok());
}

#[test]
fn the_threshold_of_the_shares_makes_the_key_and_starts_afresh() {
    let key = random_key().unwrap();
    let needed = Shares::new(5, 3).unwrap();
    let shares = needed.split(&key).unwrap();
    let mut progress = Progress::default();
    assert_eq!(progress.offer(shares[4].clone(), needed).unwrap(), None);
    let nonce = progress.nonce().to_owned();
    assert_eq!(progress.offer(shares[4].clone(), needed).unwrap(), None);
    assert_eq!((progress.count(), progress.nonce()), (1, nonce.as_str()), "a repeated share");
    assert_eq!(progress.offer(shares[0].clone(), needed).unwrap(), None);
    assert_eq!(progress.offer(shares[2].clone(), needed).unwrap(), Some(key));
    assert_eq!((progress.count(), progress.nonce()), (0, ""));
}

#[test]
fn a_single_share_is_the_key_itself() {
    let key = random_key().unwrap();
    let needed = Shares::new(1, 1).unwrap();
    let shares = needed.split(&key).unwrap();
    assert_eq!(*shares[0], key.to_vec());
    let offered = Progress::default().offer(shares[0].clone(), needed).unwrap();
    assert_eq!(offered, Some(key));
}

#[test]
fn shares_of_a_wrong_length_are_refused_in_vaults_words() {
    let needed = Shares::new(3, 2).unwrap();
    let mut progress = Progress::default();
    let short = progress.offer(Zeroizing::new(vec![1; 2]), needed).unwrap_err();
    assert_eq!(message(&short), "invalid key: key is shorter than minimum 16 bytes");
    let long = progress.offer(Zeroizing::new(vec![1; 34]), needed).unwrap_err();
    assert_eq!(message(&long), "invalid key: key is longer than maximum 33 bytes");
    assert_eq!(progress.count(), 0);
}

#[test]
fn a_static_key_comes_from_a_file_from_hex_or_from_base64() {
    let raw: Vec<u8> = (0..32).collect();
    let hexadecimal = hex::encode(&raw);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&raw).unwrap();
    let mut text = tempfile::NamedTempFile::new().unwrap();
    writeln!(text, "{hexadecimal}").unwrap();
    let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned();
    let file = format!("file://{}", file.path().display());
    let text = format!("file://{}", text.path().display());
    for setting in [hexadecimal, base64, file, text] {
        assert_eq!(StaticKey::new("1", &setting).unwrap().key().as_slice(), raw);
    }
}

#[test]
fn an_unusable_static_key_is_named_but_not_shown() {
    let error = StaticKey::new("1", "c2VjcmV0").unwrap_err().to_string();
    assert!(error.contains("32 bytes") && !error.contains("c2VjcmV0"));
    assert!(matches!(StaticKey::new("", "c2VjcmV0"), Err(InvalidStaticKey::NoId)));
    let error = StaticKey::new("1", "file:///nonexistent/key").unwrap_err();
    assert!(error.to_string().contains("/nonexistent/key"));
}
