//! A verifier that remembers what it refused. rustls throws the chain of a failed handshake away, and "expired"
//! without a date helps nobody.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use watchbell_core::finding::clean;

use super::Verify;
use super::seen::{Certificate, day};
use crate::fault::Fault;

/// More than this in one chain is an attack, not a certificate.
const LARGEST_CHAIN: usize = 64 * 1024;

tokio::task_local! {
    /// Where a verification that runs inside the current handshake leaves its note. One configuration serves many
    /// connections at once, so the verifier itself cannot hold it.
    static NOTE: RefCell<Option<Noted>>;
}

/// What a verification objected to.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) chain: Vec<CertificateDer<'static>>,
    error: Error,
    now: UnixTime,
}

/// Runs a handshake, and tells what its verification objected to, if it did.
pub(super) async fn noting<F: Future>(handshake: F) -> (F::Output, Option<Noted>) {
    NOTE.scope(RefCell::new(None), async {
        let outcome = handshake.await;
        (outcome, NOTE.with(RefCell::take))
    })
    .await
}

#[derive(Debug)]
pub(super) struct Recorder {
    verify: Verify,
    inner: Arc<WebPkiServerVerifier>,
}

impl Recorder {
    pub(super) fn new(verify: Verify, inner: Arc<WebPkiServerVerifier>) -> Self {
        Self { verify, inner }
    }

    /// A signature that does not verify matters only where certificates do.
    fn signed(&self, outcome: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
        if self.verify == Verify::Strict { outcome } else { Ok(HandshakeSignatureValid::assertion()) }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let size: usize = std::iter::once(end_entity).chain(intermediates).map(|certificate| certificate.len()).sum();
        if size > LARGEST_CHAIN {
            return Err(Error::General(format!("the chain of certificates is larger than {LARGEST_CHAIN} bytes")));
        }
        if self.verify == Verify::Off {
            return Ok(ServerCertVerified::assertion());
        }
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).or_else(|error| {
            let chain = std::iter::once(end_entity).chain(intermediates).map(|c| c.clone().into_owned()).collect();
            let noted = Noted { chain, error: error.clone(), now };
            // Without a scope there is nobody to tell, and the refusal itself still stands.
            let _ = NOTE.try_with(|note| note.replace(Some(noted)));
            if self.verify == Verify::Fallback { Ok(ServerCertVerified::assertion()) } else { Err(error) }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(self.inner.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(self.inner.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl Noted {
    /// The objection in words, with the dates of the certificate it is about.
    pub(super) fn complaint(&self, name: &str) -> Fault {
        let leaf = self.chain.first().map(Certificate::read).unwrap_or_default();
        let now = i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX);
        let valid = format!("valid from {} to {}", day(leaf.not_before), day(leaf.not_after));
        let Error::InvalidCertificate(error) = &self.error else {
            return Fault::new("tls", format!("The certificate of {name} cannot be used: {}", self.error));
        };
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                // The first of the chain that is past its end: an intermediate can be the one.
                let all = self.chain.iter().map(Certificate::read).enumerate();
                let (place, expired) = all.into_iter().find(|(_, c)| c.not_after < now).unwrap_or((0, leaf));
                let which = if place == 0 {
                    "The certificate".to_owned()
                } else {
                    format!("The intermediate certificate “{}”", expired.subject)
                };
                Fault::new(
                    "tls_expired",
                    format!("{which} expired on {}{}", day(expired.not_after), ago(now - expired.not_after)),
                )
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Fault::new("tls_expired", format!("The certificate is not valid before {}", day(leaf.not_before)))
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let names = match leaf.names.as_slice() {
                    [] => "no name at all".to_owned(),
                    [one] => one.clone(),
                    [one, two] => format!("{one} and {two}"),
                    [one, two, others @ ..] => format!("{one}, {two} and {} more", others.len()),
                };
                Fault::new("tls_name", format!("The certificate is for {names}, not for {name} ({valid})"))
            }
            // Whatever else is wrong with it: an authority here may even bear the same name with another key.
            _ if leaf.subject_is_issuer => {
                Fault::new("tls_untrusted", format!("The certificate is self-signed and not trusted here ({valid})"))
            }
            CertificateError::UnknownIssuer => Fault::new(
                "tls_untrusted",
                format!(
                    "The certificate's issuer “{}” is not trusted here, or an intermediate is missing ({valid})",
                    leaf.issuer
                ),
            ),
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Fault::new(
                "tls_untrusted",
                format!("The signature of “{}” on the certificate cannot be verified ({valid})", leaf.issuer),
            ),
            CertificateError::Revoked => Fault::new("tls_untrusted", "The certificate has been revoked".to_owned()),
            CertificateError::BadEncoding => Fault::new("tls", "The certificate cannot be read".to_owned()),
            other => Fault::new(
                "tls_untrusted",
                clean(&format!("The certificate cannot be trusted: {other} ({valid})"), 280),
            ),
        }
    }
}

fn ago(secs: i64) -> String {
    match secs / 86_400 {
        ..1 => ", less than a day ago".to_owned(),
        1 => ", a day ago".to_owned(),
        days => format!(", {days} days ago"),
    }
}
