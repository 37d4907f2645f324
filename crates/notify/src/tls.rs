//! How a channel's server proves who it is, and the way to it through a proxy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchbell_core::Secret;
use watchbell_core::kind::Complaint;
use watchbell_net::{Proxy, TlsWish, Verify};

/// How the server's certificate is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Whether the certificate must be valid for the server's name. Without this, anybody between us and the server
    /// can read what is sent, credentials included; a private authority is better named under `ca`.
    #[schemars(extend("x-group" = "Security"))]
    pub verify: bool,
    /// Certificates of the authorities to trust besides the usual ones, in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Security", "x-multiline" = true))]
    pub ca: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { verify: true, ca: None }
    }
}

impl Tls {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn wish(&self) -> TlsWish {
        let verify = if self.verify { Verify::Strict } else { Verify::Off };
        TlsWish { verify, ca_pem: self.ca.clone(), ..TlsWish::default() }
    }

    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let complaint = self.wish().check().err();
        complaint.into_iter().map(|sentence| Complaint::new("tls.ca", sentence)).collect()
    }
}

/// What is wrong with a channel's `proxy`. The complaint does not repeat it: it may hold a password.
pub(crate) fn proxy_complaint(proxy: Option<&Secret>) -> Option<Complaint> {
    let sentence = proxy?.expose().parse::<Proxy>().err()?;
    Some(Complaint::new("proxy", sentence))
}
