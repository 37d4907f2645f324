//! The `http` probe: asks a web page or an API and judges the answer. HTTP is spoken by hand over connections that
//! [`watchbell_net`] opens, so that every phase is measured where it happens and nothing outlives the deadline.

mod body;
mod evidence;
mod exchange;
mod explain;
mod hop;
mod judge;
mod oauth2;
mod place;
mod plan;
mod settings;
mod unpack;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchbell_core::kind::{Complaint, Kind};
use watchbell_core::{Finding, Reason, Secret};
use watchbell_net::Family;

use settings::{Accepted, Address, Auth, Body, Connection, HeaderRule, HttpVersion, JsonRule, Method, Texts, Tls};

use crate::{Ask, ProbeKind};

/// Asks a web page or an API over HTTP and judges status, headers, body and certificate of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "HTTP")]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address to ask, beginning with `http://` or `https://`. A user name and a password in it are sent as HTTP Basic.
    #[schemars(extend("x-group" = "Essentials"))]
    pub url: Address,

    /// Method of the request.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-group" = "Essentials", "default" = "GET"))]
    pub method: Method,

    /// Headers of the request, by name. A `Host` here replaces the one of the address. The values are kept like
    /// passwords: many of them are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-group" = "Request"))]
    pub headers: BTreeMap<String, Secret>,

    /// Body of the request: JSON, a form or text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Request"))]
    pub body: Option<Box<Body>>,

    /// How to prove who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Request"))]
    pub auth: Option<Box<Auth>>,

    /// Name the request goes under, if not `Watchbell/` and the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Request"))]
    pub user_agent: Option<String>,

    /// Redirects to follow at most; 0 follows none, and the redirect itself is the answer. Every step is connected to
    /// anew.
    #[serde(default = "usual_redirects", skip_serializing_if = "are_usual_redirects")]
    #[schemars(range(max = 20), extend("x-group" = "Request", "default" = 5))]
    pub redirects: u8,

    /// Ask for a packed body (`gzip`, `deflate`, `br`) and unpack it. Otherwise it is asked for as it is.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-group" = "Request", "default" = false))]
    pub decompress: bool,

    /// Add a changing parameter `watchbell` to the address, so that no cache on the way can answer.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-group" = "Request", "default" = false))]
    pub cache_buster: bool,

    /// Status codes that are good: single ones and ranges. Redirects are followed first, unless `redirects` is 0.
    #[serde(default = "usual_accept", skip_serializing_if = "is_usual_accept")]
    #[schemars(extend("x-group" = "What counts as good", "default" = ["200-299"]))]
    pub accept: Vec<Accepted>,

    /// The body has this text, or all of these. Upper and lower case differ.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    #[schemars(extend("x-group" = "What counts as good"))]
    pub contains: Texts,

    /// The body has none of these texts.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    #[schemars(extend("x-group" = "What counts as good"))]
    pub not_contains: Texts,

    /// The body matches this regular expression somewhere. `(?i)` in front ignores case, `(?s)` lets `.` match line
    /// ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as good"))]
    pub regex: Option<String>,

    /// The body matches this regular expression nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as good"))]
    pub not_regex: Option<String>,

    /// Rules about the JSON of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-group" = "What counts as good"))]
    pub json: Vec<JsonRule>,

    /// Rules about the headers of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-group" = "What counts as good"))]
    pub header: Vec<HeaderRule>,

    /// Bytes of the body to read at most, unpacked, from 1024 to 16777216. The rest of a longer one is not read,
    /// which is no failure by itself; a rule that cannot be judged without the rest is one.
    #[serde(default = "usual_max_body", skip_serializing_if = "is_usual_max_body")]
    #[schemars(range(min = 1024, max = 16_777_216), extend("x-group" = "What counts as good", "default" = 1_048_576))]
    pub max_body: u32,

    /// How the encrypted connection is made and judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "TLS and certificate"))]
    pub tls: Option<Box<Tls>>,

    /// Version of HTTP to speak.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-group" = "Network", "default" = "auto"))]
    pub http_version: HttpVersion,

    /// Proxy to go through: `http://user:password@proxy.example:3128`, `https://…` or `socks5://…`. It resolves the
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Network"))]
    pub proxy: Option<Secret>,

    /// Which addresses of the host to use.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-group" = "Network", "default" = "any"))]
    pub family: Family,

    /// Whether each check opens its own connection.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-group" = "Network", "default" = "fresh"))]
    pub connection: Connection,

    /// Worked out once from all of the above; see [`plan::Memo`] for what that means for clones and changes.
    #[serde(skip)]
    #[schemars(skip)]
    memo: plan::Memo,
}

impl Http {
    /// Asks `url` as simply as possible; every other setting has its default. Settings are changed before the first
    /// check or on a clone: the first check works out what it needs and does not look again.
    pub fn new(url: impl Into<Address>) -> Self {
        Self {
            url: url.into(),
            method: Method::default(),
            headers: BTreeMap::new(),
            body: None,
            auth: None,
            user_agent: None,
            redirects: usual_redirects(),
            decompress: false,
            cache_buster: false,
            accept: usual_accept(),
            contains: Texts::default(),
            not_contains: Texts::default(),
            regex: None,
            not_regex: None,
            json: Vec::new(),
            header: Vec::new(),
            max_body: usual_max_body(),
            tls: None,
            http_version: HttpVersion::default(),
            proxy: None,
            family: Family::default(),
            connection: Connection::default(),
            memo: plan::Memo::default(),
        }
    }
}

impl Kind for Http {
    fn example() -> Self {
        Self { contains: Texts::from("ok"), ..Self::new("https://shop.example.org/health") }
    }

    fn validate(&self) -> Vec<Complaint> {
        plan::Plan::new(self).err().unwrap_or_default()
    }
}

impl ProbeKind for Http {
    async fn ask(&self, ctx: &Ask<'_>) -> Finding {
        match self.memo.plan(self) {
            Ok(plan) => exchange::ask(self, plan, ctx).await,
            // Whoever stores settings validates them first; asking a target with broken ones would tell nothing about
            // it.
            Err(complaints) => {
                let told: Vec<String> =
                    complaints.iter().map(|it| format!("`{}`: {}", it.field, it.sentence)).collect();
                Finding::local(Reason::new("settings", told.join("; ")), Duration::ZERO)
            }
        }
    }

    fn target(&self) -> String {
        let address = place::shown(self.url.as_str());
        if self.method == Method::Get { address } else { format!("{} {address}", self.method.to_http()) }
    }
}

const fn usual_redirects() -> u8 {
    5
}

fn are_usual_redirects(redirects: &u8) -> bool {
    *redirects == usual_redirects()
}

fn usual_accept() -> Vec<Accepted> {
    vec![Accepted::SUCCESS]
}

fn is_usual_accept(accept: &[Accepted]) -> bool {
    accept == [Accepted::SUCCESS]
}

const fn usual_max_body() -> u32 {
    1024 * 1024
}

fn is_usual_max_body(max_body: &u32) -> bool {
    *max_body == usual_max_body()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
