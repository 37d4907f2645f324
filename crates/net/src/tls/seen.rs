//! What a target showed in its handshake, read for evidence.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustls::ClientConnection;
use rustls_pki_types::CertificateDer;
use watchbell_core::finding::clean;
use watchbell_core::{Evidence, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// A certificate for thousands of names is shown by its first.
const MOST_NAMES: usize = 50;

/// Names longer than this are cut; they come from the target.
const LONGEST_NAME: usize = 200;

/// What the target showed. Texts are cleaned and bounded; they are empty where a handshake did not come that far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSeen {
    /// E.g. `TLS 1.3`.
    pub version: String,
    /// E.g. `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The protocol both sides agreed on, e.g. `h2`.
    pub alpn: Option<String>,
    /// The earliest end of validity in the chain presented.
    pub expires_at: Option<Timestamp>,
    /// Whom the first certificate is for.
    pub subject: String,
    /// Who issued the first certificate.
    pub issuer: String,
    /// Host names and addresses the first certificate is for.
    pub names: Vec<String>,
    /// How many certificates were presented.
    pub chain_length: usize,
    /// What is wrong with the chain, in a sentence.
    pub complaint: Option<String>,
}

impl TlsSeen {
    pub(super) fn of_connection(connection: &ClientConnection, complaint: Option<String>) -> Self {
        let version = connection.protocol_version().map(|version| match version {
            rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
            rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
            other => format!("{other:?}"),
        });
        Self {
            version: version.unwrap_or_default(),
            cipher: connection
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
            alpn: connection.alpn_protocol().map(|protocol| clean(&String::from_utf8_lossy(protocol), LONGEST_NAME)),
            ..Self::of_chain(connection.peer_certificates().unwrap_or_default(), complaint)
        }
    }

    pub(super) fn of_chain(chain: &[CertificateDer<'_>], complaint: Option<String>) -> Self {
        let mut read: Vec<_> = chain.iter().map(Certificate::read).collect();
        let expires_at = read.iter().filter(|c| c.is_read).map(|c| Timestamp::from_secs(c.not_after)).min();
        let first = if read.is_empty() { Certificate::default() } else { read.swap_remove(0) };
        Self {
            expires_at,
            subject: first.subject,
            issuer: first.issuer,
            names: first.names,
            chain_length: chain.len(),
            complaint,
            ..Self::default()
        }
    }

    /// As rows of evidence, under the same names for every probe.
    pub fn describe(&self, evidence: &mut Evidence) {
        if !self.version.is_empty() {
            evidence.row("TLS", format!("{}, {}", self.version, self.cipher));
        }
        if self.chain_length > 0 {
            evidence.row("Certificate", &self.subject);
            evidence.row("Issuer", &self.issuer);
            evidence.row("Names", self.names.join(", "));
        }
        if let Some(moment) = self.expires_at {
            evidence.row("Expires", day(moment.as_secs()));
        }
        if let Some(complaint) = &self.complaint {
            evidence.row("Complaint", complaint);
        }
    }
}

/// The little of a certificate that people ask about. Times are seconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificate {
    /// Whether it could be read at all.
    pub(super) is_read: bool,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) subject_is_issuer: bool,
    pub(super) names: Vec<String>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Certificate {
    pub(super) fn read(der: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return Self { subject: "(unreadable)".to_owned(), ..Self::default() };
        };
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(host).take(MOST_NAMES);
        Self {
            is_read: true,
            subject: title(certificate.subject()),
            issuer: title(certificate.issuer()),
            subject_is_issuer: certificate.subject() == certificate.issuer(),
            names: names.collect(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        }
    }
}

/// `2026-03-01 02:30 UTC`
pub(super) fn day(secs: i64) -> String {
    let text = Timestamp::from_secs(secs).to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => text,
    }
}

/// The common name, with the organisation if it has one; else the whole name.
fn title(name: &X509Name<'_>) -> String {
    let first = |mut values: Box<dyn Iterator<Item = &x509_parser::x509::AttributeTypeAndValue<'_>> + '_>| {
        values.next().and_then(|value| value.as_str().ok()).map(str::to_owned)
    };
    let common = first(Box::new(name.iter_common_name()));
    let organization = first(Box::new(name.iter_organization()));
    let title = match (common, organization) {
        (Some(common), Some(organization)) => format!("{common} ({organization})"),
        (Some(common), None) => common,
        _ => name.to_string(),
    };
    clean(&title, LONGEST_NAME)
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(clean(name, LONGEST_NAME)),
        GeneralName::IPAddress(octets) => <[u8; 4]>::try_from(*octets)
            .map(|octets| Ipv4Addr::from(octets).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*octets).map(|octets| Ipv6Addr::from(octets).to_string()))
            .ok(),
        _ => None,
    }
}
