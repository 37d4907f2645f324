//! TLS to a target: rustls with ring, chosen in [`provider`] and nowhere else. Nothing is resumed, because a resumed
//! connection shows yesterday's certificate.

mod configs;
mod seen;
mod verify;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::{AlertDescription, ClientConfig, PeerIncompatible};
use rustls_pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use watchbell_core::{Secret, address};

pub(crate) use configs::{TlsConfigs, load_roots};
pub use seen::TlsSeen;

use crate::fault::{self, Fault};
use crate::stopwatch::Stopwatch;

/// The cryptography of the whole product. Exchanging it is a change of this one line.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())).clone()
}

/// TLS as wanted. Equal wishes share one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsWish {
    pub verify: Verify,
    /// `None`: TLS 1.2.
    pub minimum: Option<TlsVersion>,
    /// Offered protocols, preferred first, e.g. `h2`, `http/1.1`. None are offered if empty.
    pub alpn: Vec<&'static str>,
    /// Name to ask for and to verify, if it is not the host's.
    pub server_name: Option<String>,
    pub client: Option<ClientIdentity>,
    /// Authorities trusted besides those of the system, in PEM.
    pub ca_pem: Option<String>,
}

impl TlsWish {
    /// Whether the certificates, keys and names in it can be used; else a sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        configs::check(self)
    }
}

/// What becomes of a bad certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// It fails the check.
    #[default]
    Strict,
    /// It is noted in the evidence, and the check goes on.
    Fallback,
    /// Nobody looks at it, except for its dates.
    Off,
}

/// The oldest version of TLS that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// A certificate to show to the target, and its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, followed by those that lead to an authority.
    pub chain_pem: String,
    pub key_pem: Secret,
}

impl Hash for ClientIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.chain_pem.hash(state);
        self.key_pem.expose().hash(state);
    }
}

/// A handshake that failed: why, and the certificates if it came that far.
pub(crate) type HandshakeError = (Fault, Option<TlsSeen>);

/// Speaks TLS over an open connection.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<ClientConfig>,
    name: &str,
    peer: &(dyn fmt::Display + Sync),
    waiting: &Stopwatch,
    deadline: Instant,
) -> Result<(TlsStream<S>, TlsSeen), HandshakeError> {
    let server_name = server_name(name).map_err(|fault| (fault, None))?;
    let connecting = TlsConnector::from(config).connect(server_name, stream);
    let (outcome, noted) = verify::noting(timeout_at(deadline, connecting)).await;
    match outcome {
        Ok(Ok(stream)) => {
            let seen = TlsSeen::of_connection(stream.get_ref().1, noted.map(|noted| noted.complaint(name).text));
            Ok((stream, seen))
        }
        Ok(Err(error)) => Err(match noted {
            Some(noted) => {
                let complaint = noted.complaint(name);
                let seen = TlsSeen::of_chain(&noted.chain, Some(complaint.text.clone()));
                (complaint.because(&error), Some(seen))
            }
            None => (explain_handshake(&error, peer), None),
        }),
        Err(_) => Err((fault::timed_out(format_args!("no TLS handshake with {peer}"), waiting.elapsed()), None)),
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, Fault> {
    if let Some(address) = address::literal(name) {
        return Ok(ServerName::IpAddress(address.into()));
    }
    ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
        .map_err(|_| Fault::new("name", format!("`{name}` is not a name that a certificate can be for")))
}

fn explain_handshake(error: &std::io::Error, peer: &dyn fmt::Display) -> Fault {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Fault::new("tls", format!("{peer} closed the connection during the TLS handshake")).because(error)
        }
        std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
            Fault::new("reset", format!("{peer} reset the connection during the TLS handshake")).because(error)
        }
        _ => fault::explain(error, peer),
    }
}

/// What a TLS error means that is not about the target's certificate.
pub(crate) fn explain(error: &rustls::Error, peer: &dyn fmt::Display) -> Fault {
    use rustls::Error as E;
    let text = match error {
        E::AlertReceived(AlertDescription::ProtocolVersion)
        | E::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            format!("{peer} does not speak the versions of TLS that are asked for")
        }
        E::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig) => {
            format!("{peer} speaks only an older version of TLS than is asked for")
        }
        E::AlertReceived(AlertDescription::CertificateRequired) => format!("{peer} asks for a client certificate"),
        E::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("{peer} does not know the name it was asked for")
        }
        E::AlertReceived(AlertDescription::HandshakeFailure) => {
            format!(
                "{peer} refused the TLS handshake; versions, ciphers or a missing client certificate do not suit it"
            )
        }
        E::AlertReceived(AlertDescription::NoApplicationProtocol) | E::NoApplicationProtocol => {
            format!("{peer} does not speak the protocol that is asked for")
        }
        E::AlertReceived(alert) => format!("{peer} refused the TLS connection ({alert:?})"),
        E::InvalidMessage(_) | E::PeerSentOversizedRecord => format!("{peer} answered with something that is not TLS"),
        E::NoCertificatesPresented => format!("{peer} showed no certificate"),
        E::InvalidCertificate(_) => format!("The certificate of {peer} cannot be used: {error}"),
        other => format!("TLS with {peer} failed: {other}"),
    };
    Fault::new("tls", text)
}
