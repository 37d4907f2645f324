//! One rustls configuration for each distinct wish: building one costs far more than a check.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::{ClientConfig, RootCertStore, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::verify::Recorder;
use super::{TlsVersion, TlsWish, provider, server_name};
use crate::NetSetupError;

/// More distinct wishes than any installation has; beyond it, all are built anew.
const MOST_KEPT: usize = 256;

pub(crate) struct TlsConfigs {
    roots: Arc<RootCertStore>,
    built: Mutex<HashMap<TlsWish, Arc<ClientConfig>>>,
}

impl TlsConfigs {
    pub(crate) fn new(roots: Arc<RootCertStore>) -> Self {
        Self { roots, built: Mutex::default() }
    }

    /// The configuration for `wish`; else a sentence that says what in the wish cannot be used.
    pub(crate) fn get(&self, wish: &TlsWish) -> Result<Arc<ClientConfig>, String> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = built.get(wish) {
            return Ok(config.clone());
        }
        let config = Arc::new(build(wish, self.roots.clone())?);
        if built.len() >= MOST_KEPT {
            built.clear();
        }
        built.insert(wish.clone(), config.clone());
        Ok(config)
    }
}

/// The authorities of the system, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; on a bare machine, bundled ones.
pub(crate) fn load_roots() -> Result<Arc<RootCertStore>, NetSetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| std::env::var_os(name).is_some());
        if let Some(variable) = named {
            let why = found.errors.first().map_or_else(|| "no certificate in it".to_owned(), ToString::to_string);
            return Err(NetSetupError::Roots { variable, why });
        }
        tracing::info!("no certificate authorities on this machine; using the bundled ones");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(Arc::new(roots))
}

/// Everything that [`build`] needs of a wish, tried without the system's authorities.
pub(super) fn check(wish: &TlsWish) -> Result<(), String> {
    if let Some(name) = &wish.server_name {
        server_name(name).map_err(|fault| fault.text)?;
    }
    let bundled = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    build(wish, Arc::new(bundled)).map(|_| ())
}

fn build(wish: &TlsWish, mut roots: Arc<RootCertStore>) -> Result<ClientConfig, String> {
    if let Some(pem) = &wish.ca_pem {
        for certificate in certificates(pem, "The extra authority")? {
            Arc::make_mut(&mut roots)
                .add(certificate)
                .map_err(|error| format!("The extra authority cannot be trusted: {error}"))?;
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| format!("Certificates cannot be verified: {error}"))?;
    let versions = match wish.minimum {
        None | Some(TlsVersion::Tls12) => vec![&version::TLS13, &version::TLS12],
        Some(TlsVersion::Tls13) => vec![&version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Recorder::new(wish.verify, verifier)));
    let mut config = match &wish.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let chain = certificates(&client.chain_pem, "The client certificate")?;
            let key = PrivateKeyDer::from_pem_slice(client.key_pem.expose().as_bytes())
                .map_err(|error| format!("The client key cannot be read as PEM: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("The client certificate and its key cannot be used together: {error}"))?
        }
    };
    config.alpn_protocols = wish.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    // A resumed connection brings no certificate, and a monitor would report the one it remembers.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certificates(pem: &str, whose: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(format!("{whose} holds no certificate; it begins with -----BEGIN CERTIFICATE-----")),
        Err(error) => Err(format!("{whose} cannot be read as PEM: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{ClientIdentity, Verify};
    use watchbell_core::Secret;

    fn configs() -> TlsConfigs {
        TlsConfigs::new(Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }))
    }

    #[test]
    fn equal_wishes_share_a_configuration_and_others_do_not() {
        let configs = configs();
        let strict = configs.get(&TlsWish::default()).unwrap();
        assert!(Arc::ptr_eq(&strict, &configs.get(&TlsWish::default()).unwrap()));
        let off = configs.get(&TlsWish { verify: Verify::Off, ..TlsWish::default() }).unwrap();
        assert!(!Arc::ptr_eq(&strict, &off));
    }

    #[test]
    fn what_cannot_be_used_is_said_before_any_check_runs() {
        let wish = TlsWish { ca_pem: Some("nonsense".into()), ..TlsWish::default() };
        assert_eq!(
            wish.check().unwrap_err(),
            "The extra authority holds no certificate; it begins with -----BEGIN CERTIFICATE-----"
        );
        let client = ClientIdentity { chain_pem: String::new(), key_pem: Secret::new("k") };
        assert!(
            TlsWish { client: Some(client), ..TlsWish::default() }
                .check()
                .unwrap_err()
                .starts_with("The client certificate")
        );
        let wish = TlsWish { server_name: Some("not a name".into()), ..TlsWish::default() };
        assert_eq!(wish.check().unwrap_err(), "`not a name` is not a name that a certificate can be for");
        assert_eq!(TlsWish { server_name: Some("shop.example".into()), ..TlsWish::default() }.check(), Ok(()));
    }
}
