//! The settings below `http` that have a shape of their own. Their doc comments are the manual; what they
//! mean on the wire stands in the modules that use them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use watchbell_core::Secret;
use watchbell_net::{TlsVersion, Verify};

/// An address as it was written. It may carry a user name and a password (`https://user:password@…`),
/// so it prints without them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = "uri"))]
pub struct Address(String);

impl Address {
    /// The address with its credentials, for the one place that uses it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", super::place::shown(&self.0))
    }
}

impl<T: Into<String>> From<T> for Address {
    fn from(address: T) -> Self {
        Self(address.into())
    }
}

/// The method of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Method {
    #[default]
    #[serde(alias = "get")]
    Get,
    #[serde(alias = "head")]
    Head,
    #[serde(alias = "post")]
    Post,
    #[serde(alias = "put")]
    Put,
    #[serde(alias = "patch")]
    Patch,
    #[serde(alias = "delete")]
    Delete,
    #[serde(alias = "options")]
    Options,
    #[serde(alias = "trace")]
    Trace,
    #[serde(alias = "query")]
    Query,
    #[serde(alias = "search")]
    Search,
    #[serde(alias = "propfind")]
    Propfind,
    #[serde(alias = "report")]
    Report,
    #[serde(alias = "purge")]
    Purge,
}

impl Method {
    pub(crate) fn to_http(self) -> hyper::Method {
        let token: &[u8] = match self {
            Self::Get => return hyper::Method::GET,
            Self::Head => return hyper::Method::HEAD,
            Self::Post => return hyper::Method::POST,
            Self::Put => return hyper::Method::PUT,
            Self::Patch => return hyper::Method::PATCH,
            Self::Delete => return hyper::Method::DELETE,
            Self::Options => return hyper::Method::OPTIONS,
            Self::Trace => return hyper::Method::TRACE,
            Self::Query => b"QUERY",
            Self::Search => b"SEARCH",
            Self::Propfind => b"PROPFIND",
            Self::Report => b"REPORT",
            Self::Purge => b"PURGE",
        };
        hyper::Method::from_bytes(token).expect("these are tokens")
    }
}

/// The body of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Any value, sent as JSON with `Content-Type: application/json`.
    Json(serde_json::Value),
    /// Fields, sent as a web form with `Content-Type: application/x-www-form-urlencoded`.
    Form(BTreeMap<String, String>),
    /// Text, sent as it stands with `Content-Type: text/plain; charset=utf-8`. A `Content-Type` among the headers wins.
    Text(String),
}

/// How to prove who asks. Credentials are sent to the address of the monitor only, never on to another host that it
/// redirects to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// User name and password (HTTP Basic).
    Basic(Basic),
    /// A fixed token, sent as `Authorization: Bearer …`.
    Bearer(Bearer),
    /// A fixed value in a header of your choice, for services with an API key.
    Header(HeaderCredential),
    /// OAuth 2.0 client credentials: a token is fetched first and used until it expires.
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2),
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// User name; without a colon.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// A fixed token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// The token, without the word `Bearer`.
    pub token: Secret,
}

/// A credential in a header of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderCredential {
    /// Name of the header, such as `X-Api-Key`.
    pub name: String,
    /// The key or token that it carries.
    pub value: Secret,
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// Address that gives out tokens.
    #[schemars(extend("format" = "uri", "x-public" = true))]
    pub token_url: String,
    /// Name of the client.
    pub client_id: String,
    /// Password of the client.
    pub client_secret: Secret,
    /// Scopes to ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audience to ask for; some providers require it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Send name and password of the client in the body instead of in an `Authorization` header.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub in_body: bool,
}

/// One accepted status code or a range of them: `200`, `200-299` or `2xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    first: u16,
    last: u16,
}

impl Accepted {
    /// Every success: 200 to 299.
    pub const SUCCESS: Self = Self { first: 200, last: 299 };

    pub const fn code(code: u16) -> Self {
        Self { first: code, last: code }
    }

    pub const fn range(first: u16, last: u16) -> Self {
        Self { first, last }
    }

    pub(crate) fn holds(self, code: u16) -> bool {
        self.first <= code && code <= self.last
    }
}

impl FromStr for Accepted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=999).contains(code));
        let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
        let range = match (text.split_once('-'), class) {
            (Some((first, last)), _) => number(first).zip(number(last)),
            (None, Some(class)) => number(&format!("{class}00")).map(|first| (first, first + 99)),
            (None, None) => number(text).map(|code| (code, code)),
        };
        match range {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("`{text}` is no status code; write 200, 200-299 or 2xx")),
        }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl Serialize for Accepted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last { serializer.serialize_u16(self.first) } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for Accepted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "a status code such as 200, or a range such as 200-299")?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Accepted {
    fn schema_name() -> Cow<'static, str> {
        "Accepted".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "examples": [200, "200-299", "2xx"] })
    }
}

/// One text or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

impl Texts {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Texts {
    fn from(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            several => serializer.collect_seq(several),
        }
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> de::Visitor<'de> for OneOrMany {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Texts, E> {
                Ok(Texts(vec![number.to_string()]))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Texts, E> {
                Ok(Texts(vec![number.to_string()]))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Texts, E> {
                Ok(Texts(vec![value.to_string()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

/// A rule about the JSON of the answer. Every value the path finds must keep it; more than one comparison may be
/// given, and all of them count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonRule {
    /// Where to look (JSONPath, RFC 9535), such as `$.status` or `$.services[*].state`.
    pub path: String,
    /// The value is this one. `200` equals `"200"`, so that a text typed into a form can be compared with a number.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub equals: Option<serde_json::Value>,
    /// The value is any other than this one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub not_equals: Option<serde_json::Value>,
    /// The value is a number greater than this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greater: Option<f64>,
    /// The value is a number less than this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub less: Option<f64>,
    /// The value is this number or a greater one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The value is this number or a smaller one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// A text has this part, a list has this element, or an object has this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<serde_json::Value>,
    /// The value, as text, matches this regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// `true`: the path finds something. `false`: it finds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}

/// A rule about a header of the answer. If the header comes several times, one of its lines must keep the rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// Name of the header, in any case, such as `Cache-Control`.
    pub name: String,
    /// The value has this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// The value is exactly this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// The value matches this regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// `true`: the header is there. `false`: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}

/// How the encrypted connection is made and judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// What a bad certificate means.
    #[serde(default, skip_serializing_if = "super::is_default")]
    #[schemars(extend("default" = "strict"))]
    pub verify: Verify,
    /// Oldest version of TLS that will do: `1.2` or `1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "tls_minimum")]
    pub minimum: Option<TlsVersion>,
    /// Name to ask for and to find in the certificate, if it is not the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Certificates of the authorities to trust besides the usual ones, in PEM form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-multiline" = true))]
    pub ca: Option<String>,
    /// Certificate to show to the server, with its chain, in PEM form. Needs `client_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-multiline" = true))]
    pub client_certificate: Option<String>,
    /// Private key of that certificate, in PEM form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-multiline" = true))]
    pub client_key: Option<Secret>,
}

/// YAML reads an unquoted `1.2` as a number.
fn tls_minimum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TlsVersion>, D::Error> {
    match scalar(deserializer, "1.2 or 1.3")?.as_str() {
        "1.2" => Ok(Some(TlsVersion::Tls12)),
        "1.3" => Ok(Some(TlsVersion::Tls13)),
        other => Err(de::Error::unknown_variant(other, &["1.2", "1.3"])),
    }
}

/// The version of HTTP to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum HttpVersion {
    /// HTTP/2 where the server offers it during the TLS handshake, else HTTP/1.1.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1 only.
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2 only; without TLS it is spoken from the first byte on.
    #[serde(rename = "2")]
    Two,
}

impl<'de> Deserialize<'de> for HttpVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match scalar(deserializer, "auto, 1.1 or 2")?.as_str() {
            "auto" => Ok(Self::Auto),
            "1.1" => Ok(Self::One),
            "2" => Ok(Self::Two),
            other => Err(de::Error::unknown_variant(other, &["auto", "1.1", "2"])),
        }
    }
}

/// Whether each check opens its own connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Connection {
    /// Every check opens a new connection, so that name, network and certificate are seen each time.
    #[default]
    Fresh,
    /// The connection is kept for the next check; if it died meanwhile, a new one is opened. Saves handshakes, sees
    /// less.
    Reuse,
}

/// A number or a text, as text: YAML reads an unquoted `1.2` as a number.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D, expected: &'static str) -> Result<String, D::Error> {
    struct Scalar(&'static str);
    impl de::Visitor<'_> for Scalar {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.trim().to_owned())
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Scalar(expected))
}

/// `null` that was written is a value to compare with; only an absent field is `None`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn accepted_codes_read_as_people_write_them() {
        for (written, shown) in [
            (json!(200), json!(200)),
            (json!("200"), json!(200)),
            (json!("200-299"), json!("200-299")),
            (json!("4xx"), json!("400-499")),
            (json!(" 200 - 204 "), json!("200-204")),
        ] {
            let accepted: Accepted = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(accepted).unwrap(), shown, "{written}");
        }
        for wrong in [json!("300-200"), json!(99), json!("ok"), json!("2-3"), json!(1000), json!("xx"), json!(null)] {
            assert!(serde_json::from_value::<Accepted>(wrong.clone()).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn versions_may_be_written_without_quotes() {
        assert_eq!(serde_json::from_value::<HttpVersion>(json!(1.1)).unwrap(), HttpVersion::One);
        assert_eq!(serde_json::from_value::<HttpVersion>(json!(2)).unwrap(), HttpVersion::Two);
        assert_eq!(serde_json::from_value::<Tls>(json!({ "minimum": 1.3 })).unwrap().minimum, Some(TlsVersion::Tls13));
        let wrong = serde_json::from_value::<HttpVersion>(json!(3)).unwrap_err().to_string();
        assert!(wrong.contains("`auto`, `1.1`, `2`"), "{wrong}");
    }

    #[test]
    fn one_text_stays_one_text() {
        for written in [json!("ok"), json!(["ok", "ready"])] {
            let texts: Texts = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&texts).unwrap(), written);
        }
    }

    #[test]
    fn an_address_prints_without_its_credentials() {
        let printed = format!("{:?}", Address::from("https://ada:lovelace@shop.example/health"));
        assert_eq!(printed, "\"https://shop.example/health\"");
    }
}
