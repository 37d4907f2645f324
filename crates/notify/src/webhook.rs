//! Any HTTP endpoint: the message as JSON, or in a body of one's own.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use watchbell_core::kind::{Complaint, Kind};
use watchbell_core::{Message, Secret};

use crate::call::parse_url;
use crate::template::{self, Format};
use crate::tls::proxy_complaint;
use crate::{Call, ChannelKind, Request, Tls, json};

const MOST_HEADERS: usize = 30;
const LONGEST_HEADER: usize = 4096;

/// Posts every notice to an address of yours, as JSON.
///
/// The body is `{"event": "down", "title": …, "monitor": {"slug", "name", "group", "tags", "kind", "url"}, "incident":
/// {"id", "since"}, "reason", "code", "since", "at", "began", "duration_ms", "reminder", "seen": [{"name", "value"}],
/// "link", "because", "key", "test"}`; what does not apply is `null`. The header `Idempotency-Key` is the same on every
/// try of one notice: whoever has seen it may ignore the rest. A 2xx answer means that the notice has arrived. After
/// 408, 425, 429, 5xx or no answer it is tried again; any other answer ends the trying. Redirects are not followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Webhook")]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to send it. Credentials belong into `headers`, which are never shown.
    #[schemars(extend("format" = "uri", "x-group" = "Essentials"))]
    pub url: String,
    /// How to send it. `GET` has no body.
    #[serde(default, skip_serializing_if = "Method::is_default")]
    #[schemars(extend("x-group" = "Message"))]
    pub method: Method,
    /// More headers, such as `Authorization`. Their values are kept like passwords. Those that HTTP itself needs
    /// (`Host`, `Content-Length`, …) cannot be set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-group" = "Message"))]
    pub headers: BTreeMap<String, Secret>,
    /// A body of your own instead of the JSON above. `{{monitor.name}}`, `{{title}}` and every other name of that JSON
    /// stand for their values, which are escaped for the `Content-Type` under `headers`. Without one the body is JSON:
    /// write `{"text": "{{title}}", "after_ms": "{{duration_ms}}"}`; a placeholder that fills its quotes alone keeps
    /// its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Message", "x-multiline" = true))]
    pub body: Option<String>,
    /// Signs every request as Standard Webhooks describes (`webhook-id`, `webhook-timestamp`, `webhook-signature`), so
    /// that the receiver knows it is from here. `whsec_` and base64, or any text of 16 characters and more. The
    /// timestamp is the moment of the notice, the same on every try: a receiver that refuses old ones has to allow for
    /// as long as we may retry (24 hours), and tells repetitions by `webhook-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Security"))]
    pub secret: Option<Secret>,
    /// How the server's certificate is checked.
    #[serde(default, skip_serializing_if = "Tls::is_default")]
    #[schemars(extend("x-group" = "Security"))]
    pub tls: Tls,
    /// A proxy to go through: `http://proxy.example:3128`, `https://…` or `socks5://…`. It may hold a user and a
    /// password, and is kept like a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Network"))]
    pub proxy: Option<Secret>,
}

/// How a webhook is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    #[serde(alias = "post")]
    Post,
    #[serde(alias = "put")]
    Put,
    #[serde(alias = "patch")]
    Patch,
    #[serde(alias = "get")]
    Get,
}

impl Method {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Get => "GET",
        }
    }
}

impl Kind for Webhook {
    fn example() -> Self {
        Self {
            url: "https://hooks.example.org/watchbell".into(),
            method: Method::Post,
            headers: BTreeMap::new(),
            body: None,
            secret: None,
            tls: Tls::default(),
            proxy: None,
        }
    }

    fn validate(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        if let Err(sentence) = parse_url(&self.url) {
            complaints.push(Complaint::new("url", sentence));
        }
        if self.headers.len() > MOST_HEADERS {
            complaints.push(Complaint::new("headers", format!("These are more than {MOST_HEADERS} headers")));
        }
        for (name, value) in &self.headers {
            if let Some(sentence) = header_complaint(name, value.expose()) {
                complaints.push(Complaint::new(format!("headers.{name}"), sentence));
            }
        }
        if let Some(body) = &self.body {
            let sample = json::of(&json::sample());
            let format = Format::of(self.content_type());
            complaints.extend(
                template::complaints(body, format, &sample)
                    .into_iter()
                    .map(|sentence| Complaint::new("body", sentence)),
            );
            if self.method == Method::Get {
                complaints.push(Complaint::new("body", "A GET has no body; set method to POST"));
            }
        }
        if let Some(secret) = &self.secret
            && signing_key(secret.expose()).is_none_or(|key| key.len() < SHORTEST_KEY)
        {
            complaints
                .push(Complaint::new("secret", "Write whsec_ and base64 of 16 bytes or more, or any text as long"));
        }
        complaints.extend(self.tls.validate());
        complaints.extend(proxy_complaint(self.proxy.as_ref()));
        complaints
    }
}

impl ChannelKind for Webhook {
    fn compose(&self, message: &Message) -> Call {
        let body = self.body_of(message);
        let mut headers = vec![("Idempotency-Key".to_owned(), Secret::new(&message.key))];
        if self.method != Method::Get {
            headers.push(("Content-Type".into(), Secret::new(self.content_type())));
        }
        if let Some(key) = self.secret.as_ref().and_then(|secret| signing_key(secret.expose())) {
            let timestamp = message.at.as_secs().to_string();
            headers.push(("webhook-id".into(), Secret::new(&message.key)));
            headers.push(("webhook-signature".into(), Secret::new(signature(&key, &message.key, &timestamp, &body))));
            headers.push(("webhook-timestamp".into(), Secret::new(timestamp)));
        }
        let own = self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type") && !is_ours(name));
        headers.extend(own.clone().map(|(name, value)| (name.clone(), value.clone())));
        Call::Http(Request {
            method: self.method.name(),
            url: Secret::new(&self.url),
            headers,
            body,
            to: self.target(),
            tls: self.tls.clone(),
            proxy: self.proxy.clone(),
            secrets: own.map(|(_, value)| value.clone()).chain(self.secret.clone()).collect(),
        })
    }

    /// Scheme, host and port; a path may hold what only the receiver should know.
    fn target(&self) -> String {
        match parse_url(&self.url) {
            Ok(url) if url.path() == "/" && url.query().is_none() => url.origin().ascii_serialization(),
            Ok(url) => format!("{}/…", url.origin().ascii_serialization()),
            Err(_) => "a webhook without a usable URL".into(),
        }
    }
}

impl Webhook {
    fn content_type(&self) -> &str {
        let own = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        own.map_or("application/json", |(_, value)| value.expose())
    }

    fn body_of(&self, message: &Message) -> String {
        if self.method == Method::Get {
            return String::new();
        }
        let values = json::of(message);
        let own = self.body.as_ref().and_then(|body| template::fill(body, Format::of(self.content_type()), &values));
        // A template that cannot be filled was refused by `validate`; should one come this far, people hear all the same.
        own.unwrap_or_else(|| values.to_string())
    }
}

/// A key shorter than this can be guessed.
const SHORTEST_KEY: usize = 16;

/// The bytes that sign: decoded after `whsec_`, else the text itself.
fn signing_key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => BASE64.decode(encoded.as_bytes()).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

/// `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
fn signature(key: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
}

fn header_complaint(name: &str, value: &str) -> Option<String> {
    let Ok(parsed) = http::HeaderName::from_bytes(name.as_bytes()) else {
        return Some("This is no header name; it is made of letters, digits and -".into());
    };
    if is_ours(name) || is_forbidden(&parsed) {
        return Some("This header is set by Watchbell or by HTTP itself and cannot be changed".into());
    }
    let printable = value.chars().all(|c| c == '\t' || !c.is_control());
    (!printable || value.len() > LONGEST_HEADER || http::HeaderValue::from_str(value).is_err())
        .then(|| format!("A header's value is one line of at most {LONGEST_HEADER} ASCII characters"))
}

/// Headers that say which notice this is, and that it is from here.
fn is_ours(name: &str) -> bool {
    ["idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
}

/// Headers that frame the message, belong to one connection, or would open a cloud's metadata service.
pub(crate) fn is_forbidden(name: &http::HeaderName) -> bool {
    let framing = ["host", "content-length", "transfer-encoding", "te", "trailer", "expect"];
    let connection =
        ["connection", "keep-alive", "upgrade", "proxy-authorization", "proxy-authenticate", "proxy-connection"];
    let cloud = ["metadata", "metadata-flavor", "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds"];
    [&framing[..], &connection, &cloud].concat().contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use watchbell_core::decide::NoticeKind;

    use super::*;
    use crate::json::sample;

    fn request(channel: &Webhook, message: &Message) -> Request {
        let Call::Http(request) = channel.compose(message) else { panic!("a webhook is called over HTTP") };
        request
    }

    fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
        request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.expose())
    }

    fn with_headers(pairs: &[(&str, &str)]) -> Webhook {
        let headers = pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        Webhook { headers, ..Webhook::example() }
    }

    #[test]
    fn the_body_is_the_whole_message() {
        let message = Message { began: None, reminder: None, ..sample() };
        let request = request(&Webhook::example(), &message);
        assert_eq!((request.method, request.url.expose()), ("POST", "https://hooks.example.org/watchbell"));
        assert_eq!(header(&request, "Idempotency-Key"), Some("c1/17/3/ops/down"));
        assert_eq!(header(&request, "Content-Type"), Some("application/json"));
        assert_eq!(
            request.body,
            "{\"event\":\"down\",\"title\":\"Shop front is down\",\
             \"monitor\":{\"slug\":\"shop\",\"name\":\"Shop front\",\"group\":\"Web\",\"tags\":[\"prod\",\"eu\"],\"kind\":\"http\",\
             \"url\":\"https://shop.example.org/health\"},\
             \"incident\":{\"id\":\"17-3\",\"since\":\"2026-03-01T02:30:00.000Z\"},\
             \"reason\":\"502 Bad Gateway\",\"code\":\"status\",\"since\":\"2026-03-01T02:30:00.000Z\",\
             \"at\":\"2026-03-01T02:31:10.000Z\",\"began\":null,\"duration_ms\":70000,\"reminder\":null,\
             \"seen\":[{\"name\":\"Status\",\"value\":\"502 Bad Gateway\"},{\"name\":\"Address\",\"value\":\"192.0.2.7:443\"}],\
             \"link\":\"https://watch.example.org/monitors/shop\",\"because\":\"ops: the monitor names it under notify\",\
             \"key\":\"c1/17/3/ops/down\",\"test\":false}"
        );
    }

    #[test]
    fn every_event_has_the_same_fields() {
        let names = |message: &Message| -> Vec<String> {
            let body: Value = serde_json::from_str(&request(&Webhook::example(), message).body).unwrap();
            assert_eq!(body["event"], message.event.name());
            body.as_object().unwrap().keys().cloned().collect()
        };
        for event in NoticeKind::ALL {
            let bare = Message {
                event,
                incident: None,
                began: None,
                reminder: None,
                link: None,
                seen: Vec::new(),
                ..sample()
            };
            assert_eq!(names(&bare), names(&sample()), "{event:?}");
        }
    }

    #[test]
    fn a_body_of_ones_own() {
        let own =
            Webhook { body: Some("{{title}}: {{reason}}".into()), ..with_headers(&[("content-type", "text/plain")]) };
        assert_eq!(own.validate(), []);
        let request = request(&own, &sample());
        assert_eq!(request.body, "Shop front is down: 502 Bad Gateway");
        assert_eq!(request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).count(), 1);
    }

    #[test]
    fn a_template_that_cannot_be_filled_silences_nobody() {
        let broken = Webhook { body: Some("{{title}}".into()), ..Webhook::example() };
        assert_eq!(broken.validate()[0].field, "body");
        assert!(request(&broken, &sample()).body.starts_with("{\"event\""));
    }

    /// The key, the message and the expected signature are computed independently of this code.
    #[test]
    fn a_signature_as_standard_webhooks_describes() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        let signed =
            Webhook { secret: Some(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")), ..Webhook::example() };
        let request = request(&signed, &sample());
        assert_eq!(header(&request, "webhook-id"), Some("c1/17/3/ops/down"));
        assert_eq!(header(&request, "webhook-timestamp"), Some("1772332270"));
        let expected = signature(&key, "c1/17/3/ops/down", "1772332270", &request.body);
        assert_eq!(header(&request, "webhook-signature"), Some(expected.as_str()));
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let fields = |channel: &Webhook| channel.validate().into_iter().map(|it| it.field).collect::<Vec<_>>();
        for url in [
            "",
            "hook",
            "ftp://x/",
            "file:///etc/passwd",
            "https://user:pw@x.example/",
            "http://",
            "https://x.example/a\nb",
            "gopher://x",
        ] {
            assert_eq!(fields(&Webhook { url: url.into(), ..Webhook::example() }), ["url"], "{url:?}");
        }
        for (name, value) in [
            ("Host", "x"),
            ("content-LENGTH", "1"),
            ("Transfer-Encoding", "chunked"),
            ("TE", "x"),
            ("Connection", "x"),
            ("Idempotency-Key", "x"),
            ("webhook-id", "x"),
            ("Metadata-Flavor", "Google"),
            ("X-Aws-Ec2-Metadata-Token", "x"),
            ("a b", "x"),
            ("", "x"),
            ("a:b", "x"),
            ("X-A", "a\r\nX-B: c"),
            ("X-A", "a\0"),
            ("X-A", &"x".repeat(5000)),
        ] {
            assert_eq!(fields(&with_headers(&[(name, value)])), [format!("headers.{name}")], "{name:?}: {value:?}");
        }
        assert_eq!(fields(&with_headers(&[("Authorization", "Bearer x"), ("X-Team", "ops")])), [""; 0]);
        for secret in ["short", "whsec_c2hvcnQ=", "whsec_!!"] {
            assert_eq!(
                fields(&Webhook { secret: Some(Secret::new(secret)), ..Webhook::example() }),
                ["secret"],
                "{secret}"
            );
        }
        let tls = Tls { ca: Some("nonsense".into()), ..Tls::default() };
        assert_eq!(fields(&Webhook { tls, ..Webhook::example() }), ["tls.ca"]);
    }

    #[test]
    fn a_target_hides_what_only_the_receiver_should_know() {
        for (url, target) in [
            ("http://127.0.0.1:9099/hook", "http://127.0.0.1:9099/…"),
            ("https://h.example", "https://h.example"),
            ("https://h.example/?key=s3cret", "https://h.example/…"),
        ] {
            assert_eq!(Webhook { url: url.into(), ..Webhook::example() }.target(), target);
        }
    }
}
