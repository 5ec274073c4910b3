//! Certificates and tokens between clusters.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::replication::api::ApiError;

/// What the primary's certificate is for, wherever it listens.
pub(super) const PRIMARY_NAME: &str = "primary.plimsoll.internal";
/// Set in front of a token, so that it is known for what it is.
const TOKEN_PREFIX: &str = "plimsoll.";

/// A certificate and its key, in PEM. Valid for as long as the authority stands: the
/// two clocks need not agree, and a secondary is ended by its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Certified {
    pub(super) certificate: String,
    pub(super) key: String,
}

fn failed(error: impl core::fmt::Display) -> ApiError {
    ApiError::Internal(format!("certificates: {error}"))
}

/// A new authority.
pub(super) fn authority() -> Result<Certified, ApiError> {
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = authority_params().self_signed(&key).map_err(failed)?;
    Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// The same for every authority: only its key is its own.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "plimsoll replication");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A certificate of the authority, for the primary or, by name, for a secondary.
pub(super) fn issue(ca: &Certified, secondary: Option<&str>) -> Result<Certified, ApiError> {
    let ca_key = KeyPair::from_pem(&ca.key).map_err(failed)?;
    let issuer = Issuer::new(authority_params(), ca_key);
    let key = KeyPair::generate().map_err(failed)?;
    let name = secondary.map_or_else(|| PRIMARY_NAME.to_owned(), secondary_name);
    let mut params = CertificateParams::new(vec![name]).map_err(failed)?;
    params.extended_key_usages = vec![match secondary {
        Some(_) => ExtendedKeyUsagePurpose::ClientAuth,
        None => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// What a secondary's certificate is for: its id in letters that a host name may have.
fn secondary_name(id: &str) -> String {
    format!("{}.secondary.plimsoll.internal", hex(id))
}

fn hex(id: &str) -> String {
    // A label of a name has 63 letters at most.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id.as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a client's certificate is that of the secondary `id`.
pub(super) fn is_of(certificate: &CertificateDer<'_>, id: &str) -> bool {
    let Ok(name) = rustls_pki_types::ServerName::try_from(secondary_name(id)) else {
        return false;
    };
    let Ok(certificate) = rustls::server::ParsedCertificate::try_from(certificate) else {
        return false;
    };
    rustls::client::verify_server_name(&certificate, &name).is_ok()
}

struct Loaded {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
}

fn load(ca: &str, own: &Certified) -> Result<Loaded, ApiError> {
    let authority = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(failed)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(failed)?;
    let chain = CertificateDer::from_pem_slice(own.certificate.as_bytes()).map_err(failed)?;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(failed)?;
    Ok(Loaded { chain: vec![chain], key, roots: Arc::new(roots) })
}

/// The primary's end: nobody without a certificate of the authority gets in.
pub(super) fn server_config(ca: &Certified) -> Result<ServerConfig, ApiError> {
    let Loaded { chain, key, roots } = load(&ca.certificate, &issue(ca, None)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(verifier.build().map_err(failed)?)
        .with_single_cert(chain, key)
        .map_err(failed)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The secondary's end.
pub(super) fn client_config(ca: &str, own: &Certified) -> Result<ClientConfig, ApiError> {
    let Loaded { chain, key, roots } = load(ca, own)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(failed)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// What a secondary token holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Token {
    /// Of the primary.
    pub(super) cluster_id: String,
    pub(super) address: String,
    pub(super) ca: String,
    pub(super) id: String,
    pub(super) own: Certified,
    /// Shown once.
    pub(super) secret: String,
}

impl Token {
    pub(super) fn encode(&self) -> Result<String, ApiError> {
        let json = serde_json::to_vec(self).map_err(failed)?;
        let sum = crc32c::crc32c(&json).to_le_bytes();
        Ok(format!("{TOKEN_PREFIX}{}", BASE64.encode([&json[..], &sum].concat())))
    }

    pub(super) fn decode(text: &str) -> Result<Self, ApiError> {
        let bad = || ApiError::invalid("the secondary token is altered or cut short");
        let text = text.trim().strip_prefix(TOKEN_PREFIX).ok_or_else(bad)?;
        let bytes = BASE64.decode(text).map_err(|_| bad())?;
        let (json, sum) = bytes.split_last_chunk().ok_or_else(bad)?;
        if crc32c::crc32c(json).to_le_bytes() != *sum {
            return Err(bad());
        }
        serde_json::from_slice(json).map_err(|_| bad())
    }
}

/// How long a token is good for if nobody says otherwise: as in Vault.
pub(super) const TOKEN_TTL: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn token() -> Token {
        let ca = authority().unwrap();
        Token {
            cluster_id: "c".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            own: issue(&ca, Some("east")).unwrap(),
            ca: ca.certificate,
            id: "east".to_owned(),
            secret: "s".to_owned(),
        }
    }

    #[test]
    fn an_altered_token_is_none() {
        let text = token().encode().unwrap();
        assert_eq!(Token::decode(&text).unwrap().id, "east");
        let mut letters: Vec<char> = text.chars().collect();
        for at in [0, 12, letters.len() / 2, letters.len() - 2] {
            let before = letters[at];
            letters[at] = if before == 'A' { 'B' } else { 'A' };
            assert!(Token::decode(&letters.iter().collect::<String>()).is_err(), "letter {at}");
            letters[at] = before;
        }
        assert!(Token::decode(&text[..text.len() - 9]).is_err());
        assert!(Token::decode("").is_err());
    }

    #[test]
    fn a_certificate_is_of_one_secondary() {
        let token = token();
        let certificate = CertificateDer::from_pem_slice(token.own.certificate.as_bytes()).unwrap();
        assert!(is_of(&certificate, "east"));
        assert!(!is_of(&certificate, "west"));
        client_config(&token.ca, &token.own).unwrap();
    }
}
