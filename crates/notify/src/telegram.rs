//! Telegram: a bot's `sendMessage`, in Telegram's HTML, everything from outside escaped.
//! <https://core.telegram.org/bots/api#sendmessage>

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::json;
use watchbell_core::kind::{Complaint, Kind};
use watchbell_core::{Message, Secret};

use crate::tls::proxy_complaint;
use crate::words::{Words, html};
use crate::{Answer, Call, ChannelKind, Refusal, Request, Tls};

/// Where bots are served; `Sender` may be told of another place.
pub(crate) const API: &str = "https://api.telegram.org";

/// Telegram counts a message's length in UTF-16 units, after its markup is taken away.
const LONGEST_MESSAGE: usize = 4096;

/// Sends to a person, group or channel on Telegram, by a bot of yours.
///
/// Make a bot with @BotFather, which gives its token; add the bot to the group, or write to it first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Telegram")]
#[serde(deny_unknown_fields)]
pub struct Telegram {
    /// The bot's token, as @BotFather gave it: digits, a colon, letters.
    #[schemars(extend("x-group" = "Essentials"))]
    pub token: Secret,
    /// Where to write: a chat's number (groups begin with `-`), or the `@name` of a public channel.
    #[serde(deserialize_with = "text_or_number")]
    #[schemars(schema_with = "chat_id_schema", extend("x-group" = "Essentials"))]
    pub chat_id: String,
    /// The topic of a group that has topics: the number in the topic's link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Message"))]
    pub topic_id: Option<i64>,
    /// Deliver without a sound.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("x-group" = "Message"))]
    pub silent: bool,
    /// A proxy to go through: `http://proxy.example:3128`, `https://…` or `socks5://…`. It may hold a user and a
    /// password, and is kept like a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Network"))]
    pub proxy: Option<Secret>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Kind for Telegram {
    fn example() -> Self {
        Self { token: Secret::new("123:abc"), chat_id: "-100200300".into(), topic_id: None, silent: false, proxy: None }
    }

    fn validate(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let well_formed = |token: &str| {
            token.split_once(':').is_some_and(|(bot, rest)| {
                let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                !bot.is_empty()
                    && bot.chars().all(|c| c.is_ascii_digit())
                    && !rest.is_empty()
                    && rest.chars().all(letters)
            })
        };
        if !well_formed(self.token.expose()) {
            complaints.push(Complaint::new(
                "token",
                "This is no bot token; it looks like 123456789:AAE…, and @BotFather shows it",
            ));
        }
        let number = self.chat_id.strip_prefix('-').unwrap_or(&self.chat_id);
        let is_number = !number.is_empty() && number.len() <= 18 && number.chars().all(|c| c.is_ascii_digit());
        let is_name = self.chat_id.strip_prefix('@').is_some_and(|name| {
            !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        if !is_number && !is_name {
            complaints.push(Complaint::new(
                "chat_id",
                "This is no chat; it is a number like \"-1001234567890\", or the @name of a public channel",
            ));
        }
        complaints.extend(proxy_complaint(self.proxy.as_ref()));
        complaints
    }
}

impl ChannelKind for Telegram {
    fn compose(&self, message: &Message) -> Call {
        let mut body = json!({
            "chat_id": self.chat_id,
            "text": text(&Words::of(message)),
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        });
        if let Some(topic) = self.topic_id {
            body["message_thread_id"] = topic.into();
        }
        if self.silent {
            body["disable_notification"] = true.into();
        }
        let token = self.token.expose();
        Call::Http(Request {
            method: "POST",
            url: Secret::new(format!("{API}/bot{token}/sendMessage")),
            headers: vec![("Content-Type".into(), Secret::new("application/json"))],
            body: body.to_string(),
            to: "Telegram".into(),
            tls: Tls::default(),
            proxy: self.proxy.clone(),
            secrets: vec![self.token.clone()],
        })
    }

    /// Telegram says what it thinks in the body: `{"ok":true}`, or `error_code`, `description` and `parameters`.
    /// <https://core.telegram.org/bots/api#making-requests>
    fn accepted(&self, answer: &Answer) -> Result<(), Refusal> {
        let Some(body) = answer.json().filter(|body| body["ok"].is_boolean()) else {
            answer.by_status()?;
            return Err(answer.later(format!("{}; that is not how Telegram answers", answer.answered())));
        };
        if body["ok"] == true {
            return Ok(());
        }
        let code = body["error_code"].as_u64().unwrap_or(u64::from(answer.status));
        let description = body["description"].as_str().unwrap_or("no description");
        let said = format!("Telegram refused ({code}): {description}");
        if let Some(chat) = body["parameters"]["migrate_to_chat_id"].as_i64() {
            return Err(Refusal::never(format!("{said}. The group has a new number: set chat_id to \"{chat}\"")));
        }
        match code {
            429 => {
                let after = body["parameters"]["retry_after"].as_u64().map(Duration::from_secs).or(answer.retry_after);
                Err(Refusal::Later { after, why: said })
            }
            400..=499 => Err(Refusal::never(format!("{said}{}", advice(code)))),
            _ => Err(answer.later(said)),
        }
    }

    fn reference(&self, answer: &Answer) -> Option<String> {
        answer.json()?["result"]["message_id"].as_i64().map(|id| id.to_string())
    }

    fn target(&self) -> String {
        format!("{} on Telegram", self.chat_id)
    }
}

/// What people can do about it.
fn advice(code: u64) -> &'static str {
    match code {
        400 => ". Check chat_id, and that the bot is in the chat",
        401 | 404 => ". Check the token; @BotFather shows the valid one",
        403 => ". The bot may not write there: start it, or add it to the group again",
        _ => "",
    }
}

/// Title, facts, link and reason as Telegram's HTML. What would not fit is left out, never cut through markup.
fn text(words: &Words) -> String {
    let mut out = format!("{} <b>{}</b>\n", words.tone.mark(), html(&words.title));
    let mut end = String::new();
    let mut length = units(words.tone.mark()) + units(&words.title) + 3;
    if let Some(remark) = words.remark {
        out += &format!("<i>{}</i>\n", html(remark));
        length += units(remark) + 1;
    }
    if let Some(link) = &words.link {
        end += &format!("\n<a href=\"{}\">Open the monitor</a>", html(link));
        length += units("\nOpen the monitor");
    }
    if let Some(because) = &words.because {
        end += &format!("\n<i>{}</i>", html(because));
        length += units(because) + 1;
    }
    for (name, value) in &words.facts {
        length += units(name) + units(value) + 3;
        if length > LONGEST_MESSAGE {
            break;
        }
        out += &format!("\n<b>{}</b>: {}", html(name), html(value));
    }
    if !end.is_empty() {
        out += "\n";
    }
    out + &end
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A chat's number is written with and without quotes.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Chat;
    impl de::Visitor<'_> for Chat {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a chat's number or @name")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Chat)
}

fn chat_id_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer"], "examples": ["-1001234567890", "@status_of_shop"] })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::json::sample;

    fn request(channel: &Telegram, message: &Message) -> (Request, Value) {
        let Call::Http(request) = channel.compose(message) else { panic!("Telegram is called over HTTP") };
        let body = serde_json::from_str(&request.body).expect("the body is JSON");
        (request, body)
    }

    #[test]
    fn a_notice_in_telegrams_html() {
        let mut message = sample();
        message.monitor.name = "Tom & <Jerry>".into();
        let channel = Telegram { topic_id: Some(7), silent: true, ..Telegram::example() };
        let (request, body) = request(&channel, &message);
        assert_eq!(request.url.expose(), "https://api.telegram.org/bot123:abc/sendMessage");
        assert_eq!((body["chat_id"].as_str(), body["parse_mode"].as_str()), (Some("-100200300"), Some("HTML")));
        assert_eq!((&body["message_thread_id"], &body["disable_notification"]), (&json!(7), &json!(true)));
        assert_eq!(body["link_preview_options"]["is_disabled"], true);
        assert_eq!(
            body["text"],
            "🔴 <b>Tom &amp; &lt;Jerry&gt; is down</b>\n\
             \n<b>Why</b>: 502 Bad Gateway\
             \n<b>What</b>: https://shop.example.org/health (http)\
             \n<b>Since</b>: 2026-03-01 02:30:00 UTC (1 min)\
             \n<b>Status</b>: 502 Bad Gateway\
             \n<b>Address</b>: 192.0.2.7:443\
             \n<b>Group</b>: Web\
             \n<b>Tags</b>: prod, eu\
             \n<b>Incident</b>: 17-3\
             \n\n<a href=\"https://watch.example.org/monitors/shop\">Open the monitor</a>\
             \n<i>Sent to ops because the monitor names it under notify.</i>"
        );
    }

    #[test]
    fn a_message_is_never_too_long_for_telegram() {
        let mut message = sample();
        let long = "𝔸<&>".repeat(2500);
        message.monitor.name = long.clone();
        message.monitor.tags = vec![long.clone(); 100];
        message.reason = long.clone();
        message.because = long.clone();
        message.seen = vec![(long.clone(), long); 100];
        let (_, body) = request(&Telegram::example(), &message);
        let text = body["text"].as_str().unwrap();
        let shown = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        assert!(units(&shown) <= LONGEST_MESSAGE + 200, "{}", units(&shown));
        let tags = ["<b>", "</b>", "<i>", "</i>"].map(|tag| text.matches(tag).count());
        assert_eq!((tags[0], tags[2]), (tags[1], tags[3]), "markup is balanced");
        let without_markup =
            ["<b>", "</b>", "<i>", "</i>", "</a>"].iter().fold(text.to_owned(), |text, tag| text.replace(tag, ""));
        assert_eq!(without_markup.matches('<').count(), 1, "only the link's beginning is left: {without_markup}");
    }

    fn judge(status: u16, body: &str) -> Result<(), Refusal> {
        let retry_after = Some(Duration::from_secs(3));
        let answer = Answer { to: "Telegram".into(), status, retry_after, location: None, body: body.into() };
        Telegram::example().accepted(&answer)
    }

    #[test]
    fn telegram_says_what_it_thinks_in_the_body() {
        assert_eq!(judge(200, r#"{"ok":true,"result":{"message_id":42}}"#), Ok(()));
        for (status, body, why) in [
            (
                401,
                r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#,
                "Telegram refused (401): Unauthorized. Check the token; @BotFather shows the valid one",
            ),
            (
                200,
                r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was kicked"}"#,
                "Telegram refused (403): Forbidden: bot was kicked. The bot may not write there: start it, or add it to the group again",
            ),
            (
                400,
                r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
                "Telegram refused (400): Bad Request: chat not found. Check chat_id, and that the bot is in the chat",
            ),
            (
                400,
                r#"{"ok":false,"error_code":400,"description":"group upgraded","parameters":{"migrate_to_chat_id":-1001}}"#,
                "Telegram refused (400): group upgraded. The group has a new number: set chat_id to \"-1001\"",
            ),
            (404, "<html>not here", "Telegram answered 404 Not Found: <html>not here"),
        ] {
            assert_eq!(judge(status, body), Err(Refusal::Never { why: why.into() }));
        }
        for (status, body, secs) in [
            (
                429,
                r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":17}}"#,
                17,
            ),
            (500, r#"{"ok":false,"error_code":500,"description":"Internal"}"#, 3),
            (502, "<html>", 3),
            (200, "<html>log in to the guest network</html>", 3),
            (200, "[]", 3),
        ] {
            let refusal = judge(status, body).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Later { after: Some(after), .. } if after.as_secs() == secs),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn a_chat_is_a_number_with_or_without_quotes_or_a_name() {
        for (given, chat) in
            [(r#""-100200300""#, "-100200300"), ("-100200300", "-100200300"), ("42", "42"), (r#""@shop""#, "@shop")]
        {
            let read: Telegram = serde_json::from_str(&format!(r#"{{"token":"1:a","chat_id":{given}}}"#)).unwrap();
            assert_eq!(read.chat_id, chat);
            assert_eq!(read.validate(), []);
        }
        assert!(serde_json::from_str::<Telegram>(r#"{"token":"1:a","chat_id":true}"#).is_err());
        for (token, chat, field) in
            [("abc", "1", "token"), ("1:a/b", "1", "token"), ("1:a", "shop", "chat_id"), ("1:a", "", "chat_id")]
        {
            let channel = Telegram { token: Secret::new(token), chat_id: chat.into(), ..Telegram::example() };
            assert_eq!(
                channel.validate().iter().map(|it| it.field.as_str()).collect::<Vec<_>>(),
                [field],
                "{token} {chat}"
            );
        }
    }
}
