//! Slack, by an incoming webhook or by a bot's `chat.postMessage`, and whatever speaks the same (Mattermost, Rocket.Chat).
//! What comes from outside stands in plain text objects, where Slack interprets nothing.
//! <https://docs.slack.dev/reference/methods/chat.postMessage>

use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use watchbell_core::kind::{Complaint, Kind};
use watchbell_core::{Message, Secret};

use crate::call::parse_url;
use crate::tls::proxy_complaint;
use crate::words::{Words, mrkdwn, one_line};
use crate::{Answer, Call, ChannelKind, Refusal, Request, Tls};

const API: &str = "https://slack.com/api";
const METHOD: &str = "chat.postMessage";

/// <https://docs.slack.dev/reference/block-kit/blocks/header-block>
const LONGEST_HEADER: usize = 150;
/// <https://docs.slack.dev/reference/block-kit/blocks/section-block>
const MOST_FIELDS: usize = 10;

/// Sends to a Slack channel, by an incoming webhook or as a bot.
///
/// Set either `webhook_url`, or `token` and `channel`. Services that understand Slack's webhooks, such as Mattermost,
/// work with `webhook_url` too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Slack")]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The address of an incoming webhook. Whoever knows it can write to the channel, so it is kept like a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub webhook_url: Option<Secret>,
    /// A bot's token (`xoxb-…`) with the scope `chat:write`, instead of a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub token: Option<Secret>,
    /// Where the bot writes: a channel's id (`C0123456789`) or `#name`. The bot must be a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub channel: Option<String>,
    /// The name to write under, where the workspace allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Message"))]
    pub username: Option<String>,
    /// The emoji beside the name, such as `:bell:`, where the workspace allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Message"))]
    pub icon_emoji: Option<String>,
    /// The address of the API for a compatible server: what comes before `/chat.postMessage`. Slack's own if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uri", "x-group" = "Network"))]
    pub api_url: Option<String>,
    /// A proxy to go through: `http://proxy.example:3128`, `https://…` or `socks5://…`. It may hold a user and a
    /// password, and is kept like a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Network"))]
    pub proxy: Option<Secret>,
}

impl Kind for Slack {
    fn example() -> Self {
        Self {
            webhook_url: Some(Secret::new("https://hooks.slack.com/services/T0000/B0000/XXXX")),
            token: None,
            channel: None,
            username: None,
            icon_emoji: None,
            api_url: None,
            proxy: None,
        }
    }

    fn validate(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |field: &str, sentence: &str| complaints.push(Complaint::new(field, sentence));
        match (&self.webhook_url, &self.token, &self.channel) {
            (Some(_), Some(_), _) => complain("token", "Set webhook_url or token, not both"),
            (Some(_), None, Some(_)) => {
                complain("channel", "An incoming webhook has its own channel; set token to choose one");
            }
            (Some(url), None, None) => {
                if let Err(sentence) = parse_url(url.expose()) {
                    complain("webhook_url", &sentence);
                }
            }
            (None, Some(token), channel) => {
                if token.expose().is_empty() || !token.expose().chars().all(|c| c.is_ascii_graphic()) {
                    complain("token", "This is no token; a bot's begins with xoxb-");
                }
                if channel.as_deref().is_none_or(|channel| channel.trim().is_empty()) {
                    complain("channel", "A token needs a channel to write to, such as \"#ops\"");
                }
            }
            (None, None, _) => complain("webhook_url", "Set webhook_url, or token and channel"),
        }
        if let Some(url) = &self.api_url {
            if let Err(sentence) = parse_url(url) {
                complain("api_url", &sentence);
            } else if self.webhook_url.is_some() {
                complain("api_url", "A webhook has its own address; api_url goes with token");
            }
        }
        complaints.extend(proxy_complaint(self.proxy.as_ref()));
        complaints
    }
}

impl ChannelKind for Slack {
    fn compose(&self, message: &Message) -> Call {
        let words = Words::of(message);
        let mut body = json!({ "text": fallback(&words), "blocks": blocks(&words) });
        if let Some(name) = &self.username {
            body["username"] = one_line(name, 80).into();
        }
        if let Some(emoji) = &self.icon_emoji {
            body["icon_emoji"] = one_line(emoji, 80).into();
        }
        let mut headers = vec![("Content-Type".into(), Secret::new("application/json; charset=utf-8"))];
        let url = match &self.webhook_url {
            Some(url) => url.clone(),
            None => {
                body["channel"] = self.channel.clone().unwrap_or_default().into();
                body["client_msg_id"] = uuid_of(&message.key).into();
                body["unfurl_links"] = false.into();
                let token = self.token.as_ref().map_or("", Secret::expose);
                headers.push(("Authorization".into(), Secret::new(format!("Bearer {token}"))));
                Secret::new(self.method_url())
            }
        };
        let secrets = self.webhook_url.iter().chain(&self.token).cloned().collect();
        Call::Http(Request {
            method: "POST",
            url,
            headers,
            body: body.to_string(),
            to: self.server(),
            tls: Tls::default(),
            proxy: self.proxy.clone(),
            secrets,
        })
    }

    /// `chat.postMessage` answers 200 whatever happens, and says in the body whether it did. Webhooks answer with
    /// a status, but some servers like them say `{"ok":false}` too.
    fn accepted(&self, answer: &Answer) -> Result<(), Refusal> {
        answer.by_status()?;
        let body = answer.json().unwrap_or_default();
        match body["ok"].as_bool() {
            Some(true) => Ok(()),
            None if self.webhook_url.is_some() => Ok(()),
            None => Err(answer.later(format!("{}; that is not how Slack's API answers", answer.answered()))),
            Some(false) => {
                let error = body["error"].as_str().unwrap_or("no reason given");
                let why = format!("{} refused: {error}{}", answer.to, advice(error));
                Err(if is_passing(error) { answer.later(why) } else { Refusal::never(why) })
            }
        }
    }

    fn reference(&self, answer: &Answer) -> Option<String> {
        answer.json()?["ts"].as_str().map(|ts| one_line(ts, 80))
    }

    fn target(&self) -> String {
        match &self.channel {
            Some(channel) if self.webhook_url.is_none() => format!("{} on {}", one_line(channel, 80), self.server()),
            _ => format!("an incoming webhook of {}", self.server()),
        }
    }
}

impl Slack {
    /// Who is called: "Slack", or the host of a server like it.
    fn server(&self) -> String {
        let host = match (&self.webhook_url, &self.api_url) {
            (Some(url), _) => parse_url(url.expose()).ok().and_then(|url| url.host_str().map(str::to_owned)),
            (None, Some(url)) => parse_url(url).ok().and_then(|url| url.host_str().map(str::to_owned)),
            (None, None) => None,
        };
        host.filter(|host| host != "slack.com" && !host.ends_with(".slack.com")).unwrap_or_else(|| "Slack".into())
    }

    fn method_url(&self) -> String {
        let base = self.api_url.as_deref().unwrap_or(API).trim_end_matches('/');
        if base.ends_with(METHOD) { base.to_owned() } else { format!("{base}/{METHOD}") }
    }
}

/// Errors that pass by themselves: <https://docs.slack.dev/reference/methods/chat.postMessage#errors>
fn is_passing(error: &str) -> bool {
    matches!(
        error,
        "ratelimited"
            | "rate_limited"
            | "message_limit_exceeded"
            | "service_unavailable"
            | "request_timeout"
            | "internal_error"
            | "fatal_error"
    )
}

/// What people can do about it.
fn advice(error: &str) -> &'static str {
    match error {
        "channel_not_found" => ". Check channel; for a private one, invite the bot first",
        "not_in_channel" => ". Invite the bot to the channel",
        "is_archived" => ". The channel is archived; choose another",
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => ". Check the token",
        "missing_scope" => ". The bot needs the scope chat:write",
        _ => "",
    }
}

/// Shown where blocks are not: in a preview, on a watch, by servers that know no blocks.
fn fallback(words: &Words) -> String {
    let mut text = format!("{} *{}*", words.tone.mark(), mrkdwn(&words.title));
    for (name, value) in &words.facts {
        text += &format!("\n{}: {}", mrkdwn(name), mrkdwn(value));
    }
    if let Some(link) = &words.link {
        text += &format!("\n{}", mrkdwn_link(link));
    }
    text
}

fn blocks(words: &Words) -> Vec<Value> {
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let title = one_line(&words.title, LONGEST_HEADER - 4);
    let mut blocks = vec![json!({ "type": "header", "text": plain(&format!("{} {title}", words.tone.mark())) })];
    if let Some(remark) = words.remark {
        blocks.push(json!({ "type": "section", "text": plain(remark) }));
    }
    let fields: Vec<Value> =
        words.facts.iter().take(MOST_FIELDS).map(|(name, value)| plain(&format!("{name}\n{value}"))).collect();
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if let Some(link) = &words.link {
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": mrkdwn_link(link) } }));
    }
    if let Some(because) = &words.because {
        blocks.push(json!({ "type": "context", "elements": [plain(because)] }));
    }
    blocks
}

/// A link; `|` would end its address.
fn mrkdwn_link(link: &str) -> String {
    let address = link.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C");
    format!("<{address}|Open the monitor>")
}

/// The same key gives the same id, so that Slack can tell a second try from a second message.
fn uuid_of(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let mut bytes: [u8; 16] = std::array::from_fn(|i| digest[i]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::sample;

    fn bot() -> Slack {
        let (token, channel) = (Some(Secret::new("xoxb-1")), Some("#ops".into()));
        Slack { webhook_url: None, token, channel, ..Slack::example() }
    }

    fn request(channel: &Slack, message: &Message) -> (Request, Value) {
        let Call::Http(request) = channel.compose(message) else { panic!("Slack is called over HTTP") };
        let body = serde_json::from_str(&request.body).expect("the body is JSON");
        (request, body)
    }

    #[test]
    fn a_notice_in_blocks_with_text_for_previews() {
        let mut message = sample();
        message.monitor.name = "<!channel> & co".into();
        message.seen.truncate(1);
        let (request, body) = request(&Slack::example(), &message);
        assert_eq!(request.url.expose(), "https://hooks.slack.com/services/T0000/B0000/XXXX");
        let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
        assert_eq!(
            body["blocks"],
            json!([
                { "type": "header", "text": plain("🔴 <!channel> & co is down") },
                { "type": "section", "fields": [
                    plain("Why\n502 Bad Gateway"),
                    plain("What\nhttps://shop.example.org/health (http)"),
                    plain("Since\n2026-03-01 02:30:00 UTC (1 min)"),
                    plain("Status\n502 Bad Gateway"),
                    plain("Group\nWeb"),
                    plain("Tags\nprod, eu"),
                    plain("Incident\n17-3"),
                ] },
                { "type": "section", "text": { "type": "mrkdwn", "text": "<https://watch.example.org/monitors/shop|Open the monitor>" } },
                { "type": "context", "elements": [plain("Sent to ops because the monitor names it under notify.")] },
            ])
        );
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with("🔴 *&lt;!channel&gt; &amp; co is down*\nWhy: 502 Bad Gateway\n"), "{text}");
        assert_eq!(body.get("client_msg_id"), None, "webhooks know no such thing");
    }

    #[test]
    fn a_bot_names_channel_and_a_stable_id() {
        let (request, body) = request(&bot(), &sample());
        assert_eq!(request.url.expose(), "https://slack.com/api/chat.postMessage");
        assert_eq!(request.headers[1], ("Authorization".into(), Secret::new("Bearer xoxb-1")));
        assert_eq!(body["channel"], "#ops");
        let id = body["client_msg_id"].as_str().unwrap();
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(id, uuid_of("c1/17/3/ops/down"));
        assert_ne!(id, uuid_of("c1/17/3/ops/up"));
        for (api, url) in [
            ("http://127.0.0.1:9/api/", "http://127.0.0.1:9/api/chat.postMessage"),
            ("https://s.example/api/chat.postMessage", "https://s.example/api/chat.postMessage"),
        ] {
            assert_eq!(Slack { api_url: Some(api.into()), ..bot() }.method_url(), url);
        }
    }

    #[test]
    fn long_names_stay_within_slacks_limits() {
        let mut message = sample();
        let long = "<*_~`&>".repeat(2000);
        message.monitor.name = long.clone();
        message.reason = long.clone();
        message.because = long.clone();
        message.seen = vec![(long.clone(), long); 100];
        let (_, body) = request(&Slack::example(), &message);
        let blocks = body["blocks"].as_array().unwrap();
        let length = |value: &Value| value["text"].as_str().unwrap().chars().count();
        assert!(length(&blocks[0]["text"]) <= LONGEST_HEADER);
        let fields = blocks[1]["fields"].as_array().unwrap();
        assert!(fields.len() <= MOST_FIELDS && fields.iter().all(|field| length(field) <= 2000));
        assert!(body["text"].as_str().unwrap().chars().count() < 40_000);
    }

    fn judge(channel: &Slack, status: u16, body: &str) -> Result<(), Refusal> {
        let answer = Answer { to: "Slack".into(), status, retry_after: None, location: None, body: body.into() };
        channel.accepted(&answer)
    }

    #[test]
    fn a_bots_200_is_only_good_if_the_body_says_so() {
        assert_eq!(judge(&bot(), 200, r#"{"ok":true,"ts":"1503435956.000247"}"#), Ok(()));
        let never = |why: &str| Err(Refusal::Never { why: why.into() });
        assert_eq!(
            judge(&bot(), 200, r#"{"ok":false,"error":"channel_not_found"}"#),
            never("Slack refused: channel_not_found. Check channel; for a private one, invite the bot first")
        );
        assert_eq!(judge(&bot(), 200, r#"{"ok":false,"error":"no_text"}"#), never("Slack refused: no_text"));
        for body in [r#"{"ok":false,"error":"ratelimited"}"#, r#"{"ok":false,"error":"internal_error"}"#, "<html>", ""]
        {
            assert!(matches!(judge(&bot(), 200, body), Err(Refusal::Later { .. })), "{body}");
        }
        assert_eq!(judge(&Slack::example(), 200, "ok"), Ok(()));
        assert!(matches!(judge(&Slack::example(), 200, r#"{"ok":false,"error":"x"}"#), Err(Refusal::Never { .. })));
        assert_eq!(judge(&Slack::example(), 404, "no_service"), never("Slack answered 404 Not Found: no_service"));
    }

    #[test]
    fn either_a_webhook_or_a_bot() {
        let fields = |channel: &Slack| channel.validate().into_iter().map(|it| it.field).collect::<Vec<_>>();
        assert_eq!(fields(&bot()), [""; 0]);
        assert_eq!(fields(&Slack { webhook_url: None, ..Slack::example() }), ["webhook_url"]);
        assert_eq!(fields(&Slack { channel: None, ..bot() }), ["channel"]);
        assert_eq!(fields(&Slack { token: Some(Secret::new("x")), ..Slack::example() }), ["token"]);
        assert_eq!(fields(&Slack { channel: Some("#x".into()), ..Slack::example() }), ["channel"]);
        assert_eq!(fields(&Slack { webhook_url: Some(Secret::new("ftp://x")), ..Slack::example() }), ["webhook_url"]);
        assert_eq!(fields(&Slack { api_url: Some("x".into()), ..bot() }), ["api_url"]);
        assert_eq!(bot().target(), "#ops on Slack");
        assert_eq!(Slack::example().target(), "an incoming webhook of Slack");
        let own = Slack { webhook_url: Some(Secret::new("https://chat.example.org/hooks/xyz")), ..Slack::example() };
        assert_eq!(own.target(), "an incoming webhook of chat.example.org");
    }
}
