//! E-mail: one mail per notice, text and HTML, by the structured builder only; no header is ever put together as text.
//! All mails of one incident hang on its first, so that a mailbox shows them as one conversation.

use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use watchbell_core::kind::{Complaint, Kind};
use watchbell_core::{Message, Secret, Timestamp};

use crate::words::{Words, html, one_line};
use crate::{Call, ChannelKind, Tls};

const MOST_RECIPIENTS: usize = 50;
const LONGEST_ADDRESS: usize = 320;

/// Sends e-mail by a mail server of yours or your provider's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "E-mail")]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The mail server's name.
    #[schemars(extend("x-group" = "Essentials"))]
    pub host: String,
    /// Its port. If not set: 587 for `starttls`, 465 for `tls`, 25 for `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), extend("x-group" = "Essentials"))]
    pub port: Option<u16>,
    /// How the way to the server is protected.
    #[serde(default, skip_serializing_if = "Security::is_default")]
    #[schemars(extend("x-group" = "Security"))]
    pub security: Security,
    /// The name to log in with, if the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub user: Option<String>,
    /// The password to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub password: Option<Secret>,
    /// The sender: `watchbell@example.org` or `Watchbell <watchbell@example.org>`.
    #[schemars(extend("x-group" = "Essentials"))]
    pub from: String,
    /// Who gets it: one mail to all of them.
    #[schemars(length(min = 1, max = 50), extend("x-group" = "Essentials"))]
    pub to: Vec<String>,
    /// How the server's certificate is checked.
    #[serde(default, skip_serializing_if = "Tls::is_default")]
    #[schemars(extend("x-group" = "Security"))]
    pub tls: Tls,
}

/// How the way to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Begin in the clear and change to TLS; a server that does not offer it is refused.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Nothing is protected, the password neither. For a server on this machine.
    None,
}

impl Security {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    const fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

impl Kind for Email {
    fn example() -> Self {
        Self {
            host: "mail.example.org".into(),
            port: Some(587),
            security: Security::Starttls,
            user: None,
            password: None,
            from: "watchbell@example.org".into(),
            to: vec!["ops@example.org".into()],
            tls: Tls::default(),
        }
    }

    fn validate(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |field: &str, sentence: String| complaints.push(Complaint::new(field, sentence));
        let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if self.host.is_empty() || self.host.len() > 253 || !self.host.chars().all(is_host) {
            complain(
                "host",
                "This is no host; write a name like mail.example.org, the port beside it under port".into(),
            );
        }
        if self.port == Some(0) {
            complain("port", "There is no port 0; mail servers take 587, 465 or 25".into());
        }
        if self.user.is_some() != self.password.is_some() {
            complain("password", "A user needs a password, and a password a user".into());
        }
        if self.user.as_ref().is_some_and(|user| user.contains(char::is_control)) {
            complain("user", "A user's name is one line".into());
        }
        if self.password.as_ref().is_some_and(|password| password.expose().contains(['\r', '\n', '\0'])) {
            complain("password", "A password is one line".into());
        }
        if let Err(sentence) = mailbox(&self.from) {
            complain("from", sentence);
        }
        if self.to.is_empty() || self.to.len() > MOST_RECIPIENTS {
            complain("to", format!("Name between 1 and {MOST_RECIPIENTS} addresses"));
        }
        for (number, address) in self.to.iter().enumerate().take(MOST_RECIPIENTS) {
            if let Err(sentence) = mailbox(address) {
                complain(&format!("to[{number}]"), sentence);
            }
        }
        complaints.extend(self.tls.validate());
        complaints
    }
}

impl ChannelKind for Email {
    fn compose(&self, message: &Message) -> Call {
        let words = Words::of(message);
        let domain = mailbox(&self.from).ok().map(|from| from.email.domain().to_owned());
        let domain = domain.filter(|domain| domain.is_ascii()).unwrap_or_else(|| "watchbell.invalid".into());
        let first = first_key(message).filter(|first| *first != message.key);
        Call::Mail(Box::new(Mail {
            relay: Relay {
                host: self.host.clone(),
                port: self.port.unwrap_or(self.security.port()),
                security: self.security,
                login: self.user.clone().zip(self.password.clone()),
                tls: self.tls.clone(),
            },
            from: self.from.clone(),
            to: self.to.clone(),
            subject: words.title.clone(),
            text: words.text(),
            html: page(&words),
            message_id: message_id(&message.key, &domain),
            in_reply_to: first.map(|first| message_id(&first, &domain)),
            at: message.at,
        }))
    }

    fn target(&self) -> String {
        let shown: Vec<String> = self.to.iter().take(3).map(|address| one_line(address, 80)).collect();
        let more = match self.to.len().saturating_sub(shown.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more} by {}", shown.join(", "), one_line(&self.host, 80))
    }
}

/// A mail, not yet written, and the server that takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    pub relay: Relay,
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// With its angle brackets; the same on every try.
    pub message_id: String,
    /// The first mail of the incident.
    pub in_reply_to: Option<String>,
    /// When it was decided; the `Date` on every try.
    pub at: Timestamp,
}

/// The server that takes mail from us.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub login: Option<(String, Secret)>,
    pub tls: Tls,
}

impl Mail {
    /// The mail as it is sent. The same mail gives the same bytes. An error names the address that is none.
    pub fn render(&self) -> Result<lettre::Message, String> {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.at.as_millis()).unwrap_or(0));
        let mut builder = lettre::Message::builder()
            .from(mailbox(&self.from)?)
            .subject(&self.subject)
            .date(moment)
            .message_id(Some(self.message_id.clone()))
            .header(AutoSubmitted);
        for address in &self.to {
            builder = builder.to(mailbox(address)?);
        }
        if let Some(first) = &self.in_reply_to {
            builder = builder.in_reply_to(first.clone()).references(first.clone());
        }
        let body = MultiPart::alternative()
            .boundary(digest(&self.message_id))
            .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(self.text.clone()))
            .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(self.html.clone()));
        builder.multipart(body).map_err(|error| format!("The mail cannot be written: {error}"))
    }
}

/// Tells other programs not to answer: RFC 3834, section 5.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// An address with or without a name.
pub(crate) fn mailbox(text: &str) -> Result<Mailbox, String> {
    if text.len() > LONGEST_ADDRESS || text.contains(char::is_control) {
        return Err(format!("An address is one line of at most {LONGEST_ADDRESS} characters"));
    }
    text.parse()
        .map_err(|_| format!("`{text}` is no mail address; write it like ops@example.org or Ops <ops@example.org>"))
}

/// The key of the notice that opened the incident, for the same channel: `{cluster}/{monitor}/{seq}/{channel}/{tag}`
/// with the incident's first `seq` and its tag.
fn first_key(message: &Message) -> Option<String> {
    let (monitor, seq) = message.incident.as_ref()?.id.rsplit_once('-')?;
    let [cluster, same_monitor, _, channel, _] = message.key.split('/').collect::<Vec<_>>()[..] else { return None };
    (monitor == same_monitor).then(|| format!("{cluster}/{monitor}/{seq}/{channel}/down"))
}

fn message_id(key: &str, domain: &str) -> String {
    format!("<{}@{domain}>", digest(key))
}

/// 128 bits are enough never to meet again.
fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..16])
}

/// The mail as a page: one column, no images, nothing loaded.
fn page(words: &Words) -> String {
    let title = html(&words.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"margin:24px;font:15px/1.5 sans-serif;color:#141a24\">\n\
         <h1 style=\"margin:0 0 16px;padding-left:12px;border-left:6px solid {};font-size:20px\">{title}</h1>\n",
        words.tone.colour()
    );
    if let Some(remark) = words.remark {
        out += &format!("<p><b>{}</b></p>\n", html(remark));
    }
    out += "<table style=\"border-spacing:0\">\n";
    for (name, value) in &words.facts {
        out += &format!(
            "<tr><td style=\"padding:2px 16px 2px 0;color:#4b5361;vertical-align:top\">{}</td><td>{}</td></tr>\n",
            html(name),
            html(value)
        );
    }
    out += "</table>\n";
    if let Some(link) = &words.link {
        out += &format!("<p><a href=\"{}\" style=\"color:#4a51c7\">Open the monitor</a></p>\n", html(link));
    }
    if let Some(because) = &words.because {
        out += &format!("<p style=\"color:#636c79;font-size:13px\">{}</p>\n", html(because));
    }
    out + "</body></html>\n"
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use proptest::prelude::*;
    use watchbell_core::decide::NoticeKind;

    use super::*;
    use crate::json::sample;

    fn mail(message: &Message) -> Mail {
        let Call::Mail(mail) = Email::example().compose(message) else { panic!("mail is no HTTP") };
        *mail
    }

    /// A second opinion on what was written: headers unfolded, encoded words decoded, body left alone.
    fn parse(bytes: &[u8]) -> (Vec<(String, String)>, String) {
        let text = std::str::from_utf8(bytes).expect("mail is ASCII");
        assert!(text.is_ascii(), "mail is ASCII");
        assert!(
            !text.replace("\r\n", "").contains(['\r', '\n', '\0']),
            "a line ends with CR LF, and nothing else does"
        );
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "RFC 5322, section 2.1.1");
        let (head, body) = text.split_once("\r\n\r\n").expect("headers end");
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let headers = unfolded.split("\r\n").map(|line| line.split_once(": ").expect("a header has a name"));
        (headers.map(|(name, value)| (name.to_owned(), decoded(value))).collect(), body.to_owned())
    }

    /// RFC 2047: words in base64; white space between two of them is none.
    fn decoded(value: &str) -> String {
        let (mut out, mut bytes, mut rest) = (String::new(), Vec::new(), value);
        while let Some((before, after)) = rest.split_once("=?utf-8?b?") {
            let (word, after) = after.split_once("?=").expect("an encoded word ends");
            if !before.trim().is_empty() || bytes.is_empty() {
                out += &String::from_utf8(std::mem::take(&mut bytes)).expect("UTF-8");
                out += before;
            }
            bytes.extend(BASE64.decode(word.as_bytes()).expect("base64"));
            rest = after;
        }
        out + &String::from_utf8(bytes).expect("UTF-8") + rest
    }

    fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let mut found = headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    #[test]
    fn a_notice_as_a_mail() {
        let message = Message { began: None, reminder: None, ..sample() };
        let written = mail(&message).render().unwrap().formatted();
        assert_eq!(
            String::from_utf8(written.clone()).unwrap().split("\r\n\r\n").next().unwrap(),
            "From: watchbell@example.org\r\n\
             Subject: Shop front is down\r\n\
             Date: Sun, 01 Mar 2026 02:31:10 +0000\r\n\
             Message-ID: <7da42f0697d2ba305fbb8fe76e363706@example.org>\r\n\
             Auto-Submitted: auto-generated\r\n\
             To: ops@example.org\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/alternative;\r\n boundary=\"26a56734b83263cdfb5f1b27ffeed74b\""
        );
        let (_, body) = parse(&written);
        for part in [
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
            "\r\nWhy: 502 Bad Gateway\r\n",
            "Sent to ops because the monitor names it under notify.",
            "Open the monitor</a>",
        ] {
            assert!(body.contains(part), "{part} is missing in {body}");
        }
        assert_eq!(mail(&message).render().unwrap().formatted(), written, "every try is the same mail");
    }

    #[test]
    fn all_mails_of_an_incident_are_one_conversation() {
        let down = mail(&sample());
        assert_eq!(down.in_reply_to, None);
        let later = |event, key: &str| mail(&Message { event, key: key.into(), ..sample() });
        for (event, key) in [
            (NoticeKind::Up, "c1/17/4/ops/up"),
            (NoticeKind::Reminder, "c1/17/3/ops/reminder-2"),
            (NoticeKind::Closed, "c1/17/5/ops/closed"),
        ] {
            let mail = later(event, key);
            assert_ne!(mail.message_id, down.message_id);
            assert_eq!(mail.in_reply_to.as_ref(), Some(&down.message_id), "{key}");
            let (headers, _) = parse(&mail.render().unwrap().formatted());
            assert_eq!(header(&headers, "References"), Some(down.message_id.as_str()));
            assert_eq!(header(&headers, "In-Reply-To"), Some(down.message_id.as_str()));
        }
        assert_eq!(later(NoticeKind::Up, "another form of key").in_reply_to, None);
        assert_eq!(mail(&Message { incident: None, key: "c1/17/4/ops/expiry-1".into(), ..sample() }).in_reply_to, None);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let fields = |email: &Email| email.validate().into_iter().map(|it| it.field).collect::<Vec<_>>();
        let example = Email::example;
        assert_eq!(fields(&example()), [""; 0]);
        for address in [
            "",
            "ops",
            "ops@",
            "a@b\r\nBcc: c@d",
            "a@b\0",
            "a@b, c@d",
            "<a@b",
            "a b@c",
            &format!("a@{}.org", "x".repeat(400)),
        ] {
            assert_eq!(fields(&Email { from: address.into(), ..example() }), ["from"], "{address:?}");
            assert_eq!(
                fields(&Email { to: vec!["a@b.c".into(), address.into()], ..example() }),
                ["to[1]"],
                "{address:?}"
            );
        }
        for host in ["", "smtp://x", "a b", "x\r\nQUIT", "x/y", &"x".repeat(300)] {
            assert_eq!(fields(&Email { host: host.into(), ..example() }), ["host"], "{host:?}");
        }
        assert_eq!(fields(&Email { to: Vec::new(), ..example() }), ["to"]);
        assert_eq!(fields(&Email { to: vec!["a@b.c".into(); 51], ..example() }), ["to"]);
        assert_eq!(fields(&Email { port: Some(0), ..example() }), ["port"]);
        assert_eq!(fields(&Email { user: Some("u".into()), ..example() }), ["password"]);
        let login = |user: &str, password| Email {
            user: Some(user.into()),
            password: Some(Secret::new(password)),
            ..example()
        };
        assert_eq!(fields(&login("u", "p")), [""; 0]);
        assert_eq!(fields(&login("u\r\n", "p\r\n")), ["user", "password"]);
        let named = Email { from: "Wächter <watchbell@example.org>".into(), ..example() };
        assert_eq!(fields(&named), [""; 0]);
    }

    #[test]
    fn the_port_follows_the_protection() {
        for (security, port) in [(Security::Starttls, 587), (Security::Tls, 465), (Security::None, 25)] {
            let Call::Mail(mail) = (Email { port: None, security, ..Email::example() }).compose(&sample()) else {
                panic!()
            };
            assert_eq!(mail.relay.port, port);
        }
        let read: Email = serde_json::from_str(r#"{"host":"m.example","from":"a@b.c","to":["d@e.f"]}"#).unwrap();
        assert_eq!((read.security, read.tls.verify), (Security::Starttls, true));
    }

    /// Whatever a page may be called or a target may answer.
    fn text() -> impl Strategy<Value = String> {
        let nasty = prop::sample::select(vec![
            "\r\nBcc: victim@example.net\r\n\r\n",
            "\n",
            "\r",
            "\0",
            "=?utf-8?q?x?=",
            "\r\n.\r\n",
            "<script>",
            "𝔸",
            "👩‍🚀",
            "é",
            " ",
            "\t",
            "<!channel>",
            "a\"b\\",
            "--",
            "x",
        ]);
        prop::collection::vec(prop_oneof![nasty.prop_map(str::to_owned), any::<String>()], 0..12)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_can_add_a_header_or_lose_one(name in text(), reason in text(), seen in text(), because in text(), key in text()) {
            let mut message = sample();
            message.monitor.name = name;
            message.reason = reason;
            message.seen = vec![(seen.clone(), seen)];
            message.because = because;
            message.key = key;
            let mail = mail(&message);
            let (headers, body) = parse(&mail.render().unwrap().formatted());
            let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
            prop_assert_eq!(
                names,
                ["From", "Subject", "Date", "Message-ID", "Auto-Submitted", "To", "MIME-Version", "Content-Type"]
            );
            prop_assert_eq!(header(&headers, "Subject"), Some(mail.subject.as_str()));
            prop_assert_eq!(header(&headers, "From"), Some("watchbell@example.org"));
            prop_assert_eq!(header(&headers, "To"), Some("ops@example.org"));
            prop_assert_eq!(header(&headers, "Message-ID"), Some(mail.message_id.as_str()));
            prop_assert!(body.len() < 64 * 1024, "the mail is bounded: {}", body.len());
            let boundary = digest(&mail.message_id);
            prop_assert_eq!(body.matches(&boundary).count(), 3, "two parts and an end");
        }
    }
}
