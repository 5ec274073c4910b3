//! From PEM files to a rustls configuration; every error names the file.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::WebPkiClientVerifier,
    server::danger::ClientCertVerifier,
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use super::{ClientAuth, ClientTls, TlsConfig};
use crate::TlsError;

/// HTTP/2 first: a client that offers both gets it.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

pub(super) fn server_config(files: &TlsConfig) -> Result<ServerConfig, TlsError> {
    // Named here and never taken from the process: two providers in one
    // dependency graph would make the default a panic.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certified = certified_key(&files.certificate, &files.key, &provider)?;
    let verifier = client_verifier(files, &provider)?;
    let versions: &[_] = if files.tls13_only { &[&TLS13] } else { &[&TLS13, &TLS12] };

    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| certificate_error(&files.certificate, &error))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let resolver = rustls::sign::SingleCertAndKey::from(certified);
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

pub(super) fn client_config(files: &ClientTls) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let identity = files.identity.as_ref();
    let identity = identity.map(|(chain, key)| certified_key(chain, key, &provider)).transpose()?;
    let roots = match &files.ca {
        Some(path) => roots(path)?,
        None => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| TlsError::Provider { reason: error.to_string() })?
        .with_root_certificates(roots);
    Ok(match identity {
        Some(identity) => builder
            .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    })
}

fn certified_key(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate)?;
    let signing_key = provider
        .key_provider
        .load_private_key(private_key(key)?)
        .map_err(|error| TlsError::Key { path: key.to_owned(), reason: error.to_string() })?;
    let certified = CertifiedKey::new(chain, signing_key);
    match certified.keys_match() {
        // "Unknown" is a kind of key that cannot be compared, not a mismatch.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() })
        }
        Err(error) => Err(certificate_error(certificate, &error)),
    }
}

fn client_verifier(
    files: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(path) = &files.client_ca else { return Ok(None) };
    let roots = Arc::new(roots(path)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = match files.client_auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Required => builder,
    };
    let verifier = builder.build().map_err(|error| TlsError::Certificate {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Some(verifier))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| certificate_error(path, &error))?;
    }
    Ok(roots)
}

/// What this system trusts. A certificate that cannot be read is only one less.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TlsError::NoSystemRoots);
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem_error(path, &error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: path.to_owned() },
        error => pem_error(path, &error),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn pem_error(path: &Path, error: &pem::Error) -> TlsError {
    // The parser's own message quotes the offending line, which in a key file may
    // be key material.
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section's first line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be parsed",
    };
    TlsError::Pem { path: path.to_owned(), reason: reason.to_owned() }
}

fn certificate_error(path: &Path, error: &rustls::Error) -> TlsError {
    TlsError::Certificate { path: path.to_owned(), reason: error.to_string() }
}
