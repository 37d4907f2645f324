//! How a PostgreSQL URL asks for TLS, in the words of libpq: `sslmode` and `sslrootcert`.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_tokio_postgres::MakeRustlsConnect;
use tokio_postgres::Config;
use watchbell_core::Secret;

use crate::StoreError;

/// Whether the server must prove who it is, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// `prefer` and `require`: encrypted, but anybody may answer, as with libpq.
    Encrypt,
    /// `verify-full`: a certificate for the host's name, signed by a root of the system or of `sslrootcert`.
    Verify { roots: Option<String> },
}

/// Reads a `postgres://` URL. The error never repeats it, because it holds the password.
pub(crate) fn read_url(url: &Secret) -> Result<(Config, Wish), StoreError> {
    let refuse = |why: &str| {
        StoreError::Other(format!(
            "the PostgreSQL URL cannot be used: {why}; write it like postgres://user:password@host/database"
        ))
    };
    let url = url.expose();
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(refuse("it does not begin with postgres://"));
    }
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut wish = Wish::Encrypt;
    let mut roots = None;
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "verify-full")) => {
                wish = Wish::Verify { roots: None };
                kept.push("sslmode=require");
            }
            Some(("sslmode", "disable" | "prefer" | "require")) => kept.push(pair),
            Some(("sslmode", _)) => {
                return Err(refuse("sslmode is one of disable, prefer, require and verify-full"));
            }
            Some(("sslrootcert", path)) => roots = Some(path.replace("%2F", "/").replace("%2f", "/")),
            _ => kept.push(pair),
        }
    }
    if let Wish::Verify { roots: wanted } = &mut wish {
        *wanted = roots;
    }
    let address = if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) };
    let config = address.parse::<Config>().map_err(|error| {
        // The parser's words name the parameter, never its value.
        refuse(&error.to_string())
    })?;
    Ok((config, wish))
}

pub(crate) fn connector(wish: &Wish) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Other(format!("no TLS for PostgreSQL: {error}")))?;
    let config = match wish {
        Wish::Encrypt => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth()
        }
        Wish::Verify { roots } => builder.with_root_certificates(trusted(roots.as_deref())?).with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// The file's roots if one is named; else the system's; else the bundled ones, for a bare container.
fn trusted(file: Option<&str>) -> Result<RootCertStore, StoreError> {
    let mut store = RootCertStore::empty();
    if let Some(file) = file {
        let wrong = |why: String| {
            StoreError::Other(format!("sslrootcert `{file}` cannot be used: {why}; name a PEM file of certificates"))
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            store.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(wrong("it holds no certificate".into()));
        }
        return Ok(store);
    }
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(store)
}

/// Accepts any certificate, but still checks that the other side holds its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::SslMode;

    fn read(url: &str) -> Result<(Config, Wish), StoreError> {
        read_url(&Secret::new(url))
    }

    #[test]
    fn sslmode_means_what_it_means_to_libpq() {
        for (query, mode, wish) in [
            ("", SslMode::Prefer, Wish::Encrypt),
            ("?sslmode=disable", SslMode::Disable, Wish::Encrypt),
            ("?sslmode=require", SslMode::Require, Wish::Encrypt),
            ("?sslmode=verify-full", SslMode::Require, Wish::Verify { roots: None }),
            (
                "?sslrootcert=%2Fetc%2Fca.pem&sslmode=verify-full&application_name=x",
                SslMode::Require,
                Wish::Verify { roots: Some("/etc/ca.pem".into()) },
            ),
        ] {
            let (config, found) = read(&format!("postgres://u:p@db.example.org/watch{query}")).unwrap();
            assert_eq!((config.get_ssl_mode(), found), (mode, wish), "{query}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_the_password() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h/d?sslmode=verify-ca",
            "postgres://u:hunter2@h/d?nonsense=hunter2",
            "postgres://u:hunter2@h:port/d",
        ] {
            let sentence = read(url).unwrap_err().to_string();
            assert!(!sentence.contains("hunter2") && sentence.contains("postgres://user:password@host"), "{sentence}");
        }
    }
}
