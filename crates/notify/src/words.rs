//! Every sentence people receive, composed once, so that all channels tell the same story in the same words.
//! Text from outside (names, reasons, what was seen) is made one bounded line here; each channel then escapes it for
//! its own format with the functions below.

use std::time::Duration;

use url::Url;
use watchbell_core::decide::NoticeKind;
use watchbell_core::finding::clean;
use watchbell_core::{Message, Slug, Timestamp};

/// Names longer than this are cut: a title has to fit a lock screen.
const LONGEST_NAME: usize = 120;
/// A reason, a phrase, an address.
const LONGEST_PHRASE: usize = 300;
/// The name of something seen.
const LONGEST_LABEL: usize = 40;
/// So many rows of what was seen are told; the rest is on the monitor's page.
const MOST_ROWS: usize = 8;
/// So many tags are told.
const MOST_TAGS: usize = 12;
/// A longer link is no link of ours.
const LONGEST_LINK: usize = 1000;

/// How loud a message is, for colours and marks. The words always say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something is down.
    Bad,
    /// Something needs a look: slow, or ending soon.
    Warning,
    /// It is over.
    Good,
    /// Nobody looks any more.
    Quiet,
}

impl Tone {
    /// The shape before a title, where a channel has no colours of its own.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Bad => "🔴",
            Self::Warning => "🟡",
            Self::Good => "🟢",
            Self::Quiet => "⚪",
        }
    }

    /// The colour of the same state in the console, on light ground.
    pub const fn colour(self) -> &'static str {
        match self {
            Self::Bad => "#d0191f",
            Self::Warning => "#c87e00",
            Self::Good => "#16997f",
            Self::Quiet => "#656c76",
        }
    }
}

/// One message in words. Every text is one line without control characters, and bounded; nothing is escaped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub tone: Tone,
    /// "Shop front is down".
    pub title: String,
    /// Said above all else, for a message about nothing real.
    pub remark: Option<&'static str>,
    /// Name and value, most important first: `Why`, `What`, `Since`, then what was seen.
    pub facts: Vec<(String, String)>,
    /// The monitor's page; `http` or `https`, percent-encoded.
    pub link: Option<String>,
    /// Why this channel hears it, as a sentence.
    pub because: Option<String>,
}

impl Words {
    pub fn of(message: &Message) -> Self {
        Self {
            tone: tone(message.event),
            title: title(message),
            remark: message.test.then_some("This is a test that somebody asked for. It is about nothing real."),
            facts: facts(message),
            link: message.link.as_deref().and_then(link),
            because: because(&message.because),
        }
    }

    /// Everything as plain text, a line each.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.title);
        if let Some(remark) = self.remark {
            text += &format!("{remark}\n\n");
        }
        for (name, value) in &self.facts {
            text += &format!("{name}: {value}\n");
        }
        if let Some(link) = &self.link {
            text += &format!("\n{link}\n");
        }
        if let Some(because) = &self.because {
            text += &format!("\n{because}\n");
        }
        text
    }
}

/// What happened, in a few words: a mail's subject, the first line everywhere.
pub fn title(message: &Message) -> String {
    let name = match one_line(&message.monitor.name, LONGEST_NAME) {
        name if name.is_empty() => message.monitor.slug.to_string(),
        name => name,
    };
    let lasted = message.began.map(|began| duration(message.at.since(began)));
    let title = match message.event {
        NoticeKind::Down => format!("{name} is down"),
        NoticeKind::Reminder => {
            let length = duration(message.at.since(message.since));
            format!("Reminder {}: {name} is down for {length}", message.reminder.unwrap_or(1))
        }
        NoticeKind::Degraded => format!("{name} is slow"),
        NoticeKind::Up => {
            let again = if message.code == "quick" { "answers quickly again" } else { "is up again" };
            match lasted {
                Some(length) => format!("{name} {again} after {length}"),
                None => format!("{name} {again}"),
            }
        }
        NoticeKind::Expiry => match expiry(&message.reason) {
            Some(when) => format!("The certificate of {name} {when}"),
            None => format!("The certificate of {name} ends soon"),
        },
        NoticeKind::Closed => {
            let end = if message.code == "deleted" { "was deleted" } else { "is paused" };
            match lasted {
                Some(length) => format!("{name} {end} after being down for {length}"),
                None => format!("{name} {end}"),
            }
        }
    };
    if message.test { format!("TEST: {title}") } else { title }
}

/// A length of time as people say it: `42 s`, `14 min`, `6 h 20 min`, `3 d 4 h`, `23 d`.
pub fn duration(length: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let pair = |big: u64, big_unit, small: u64, small_unit| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match length.as_secs() {
        secs if secs < MINUTE => format!("{secs} s"),
        secs if secs < HOUR => format!("{} min", secs / MINUTE),
        secs if secs < DAY => pair(secs / HOUR, "h", secs % HOUR / MINUTE, "min"),
        secs if secs < 14 * DAY => pair(secs / DAY, "d", secs % DAY / HOUR, "h"),
        secs => format!("{} d", secs / DAY),
    }
}

/// A moment as people read it, in UTC: a message is read in many time zones.
pub fn moment(at: Timestamp) -> String {
    at.to_jiff().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Text from outside as one line of at most `longest` characters: no line breaks, no control characters, nothing
/// that turns the direction of what follows.
pub fn one_line(text: &str, longest: usize) -> String {
    let is_gap = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let words: Vec<&str> = text.split(is_gap).filter(|word| !word.is_empty()).take(longest + 1).collect();
    clean(&words.join(" "), longest)
}

/// Escaped for HTML, in text and in quoted attributes.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Escaped for Slack's mrkdwn. `&`, `<` and `>` begin everything that does something there: links, mentions,
/// `<!channel>`; they become entities. What merely changes looks (`*`, `_`, `~`, the backtick) has no escape in
/// mrkdwn; it is set apart with a word joiner, which nobody sees, so that it finds no partner.
pub fn mrkdwn(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '*' | '_' | '~' | '`' => {
                out.push('\u{2060}');
                out.push(c);
                out.push('\u{2060}');
            }
            c => out.push(c),
        }
    }
    out
}

const fn tone(event: NoticeKind) -> Tone {
    match event {
        NoticeKind::Down | NoticeKind::Reminder => Tone::Bad,
        NoticeKind::Degraded | NoticeKind::Expiry => Tone::Warning,
        NoticeKind::Up => Tone::Good,
        NoticeKind::Closed => Tone::Quiet,
    }
}

fn facts(message: &Message) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push((one_line(name, LONGEST_LABEL), value));
        }
    };
    fact("Why", one_line(&message.reason, LONGEST_PHRASE));
    fact("What", what(message));
    for (name, value) in times(message) {
        fact(name, value);
    }
    for (name, value) in message.seen.iter().take(MOST_ROWS) {
        fact(name, one_line(value, LONGEST_PHRASE));
    }
    if let Some(group) = &message.monitor.group {
        fact("Group", one_line(group, LONGEST_NAME));
    }
    let tags: Vec<String> =
        message.monitor.tags.iter().take(MOST_TAGS).map(|tag| one_line(tag, LONGEST_LABEL)).collect();
    fact("Tags", tags.join(", "));
    if let Some(incident) = &message.incident {
        fact("Incident", one_line(&incident.id, LONGEST_LABEL));
    }
    facts
}

fn what(message: &Message) -> String {
    let kind = one_line(&message.monitor.kind, LONGEST_LABEL);
    match &message.monitor.url {
        Some(url) => format!("{} ({kind})", one_line(url, LONGEST_PHRASE)),
        None => kind,
    }
}

fn times(message: &Message) -> Vec<(&'static str, String)> {
    let lasting = |since: Timestamp| match message.at.since(since) {
        length if length < Duration::from_secs(1) => moment(since),
        length => format!("{} ({})", moment(since), duration(length)),
    };
    match (message.event, message.began) {
        (NoticeKind::Down | NoticeKind::Reminder | NoticeKind::Degraded, _) => vec![("Since", lasting(message.since))],
        (NoticeKind::Up, Some(began)) => vec![("Began", lasting(began)), ("Over since", moment(message.since))],
        (NoticeKind::Closed, Some(began)) => vec![("Began", lasting(began))],
        (NoticeKind::Up, None) => vec![("Since", moment(message.since))],
        (NoticeKind::Closed, None) => vec![("Since", moment(message.at))],
        (NoticeKind::Expiry, _) => vec![("Noticed", moment(message.at))],
    }
}

/// "ends in 6 days" out of "The certificate ends in 6 days, on …".
fn expiry(reason: &str) -> Option<String> {
    let rest = reason.strip_prefix("The certificate ")?;
    let when = rest.split(',').next().unwrap_or(rest);
    Some(one_line(when, LONGEST_NAME))
}

/// "oncall: the monitor names it under notify" as a sentence.
fn because(text: &str) -> Option<String> {
    let text = one_line(text, LONGEST_PHRASE);
    let (channel, why) = match text.split_once(": ") {
        Some((channel, why)) if channel.parse::<Slug>().is_ok() => (channel, why),
        _ => ("this channel", text.as_str()),
    };
    (!why.is_empty()).then(|| format!("Sent to {channel} because {}.", why.trim_end_matches('.')))
}

fn link(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host() && url.as_str().len() <= LONGEST_LINK;
    usable.then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::sample;

    /// The sample with `change` made to it.
    fn message(change: impl FnOnce(&mut Message)) -> Message {
        let mut message = Message { began: None, reminder: None, ..sample() };
        change(&mut message);
        message
    }

    #[test]
    fn titles_say_what_happened() {
        let minutes = |message: &Message, minutes: i64| message.at.shifted(-minutes * 60_000);
        for (title, message) in [
            ("Shop front is down", message(|_| {})),
            ("TEST: Shop front is down", message(|m| m.test = true)),
            ("shop is down", message(|m| m.monitor.name = " \n ".into())),
            (
                "Reminder 2: Shop front is down for 30 min",
                message(|m| (m.event, m.reminder, m.since) = (NoticeKind::Reminder, Some(2), minutes(m, 30))),
            ),
            (
                "Shop front is up again after 14 min",
                message(|m| (m.event, m.began) = (NoticeKind::Up, Some(minutes(m, 14)))),
            ),
            ("Shop front is up again", message(|m| m.event = NoticeKind::Up)),
            (
                "Shop front answers quickly again after 2 h",
                message(|m| (m.event, m.code, m.began) = (NoticeKind::Up, "quick".into(), Some(minutes(m, 120)))),
            ),
            ("Shop front is slow", message(|m| m.event = NoticeKind::Degraded)),
            (
                "The certificate of Shop front ends in 6 days",
                message(|m| {
                    m.event = NoticeKind::Expiry;
                    m.reason = "The certificate ends in 6 days, on 2026-03-07 02:30:00 UTC".into();
                }),
            ),
            ("The certificate of Shop front ends soon", message(|m| m.event = NoticeKind::Expiry)),
            (
                "Shop front is paused after being down for 14 min",
                message(|m| (m.event, m.code, m.began) = (NoticeKind::Closed, "paused".into(), Some(minutes(m, 14)))),
            ),
            ("Shop front was deleted", message(|m| (m.event, m.code) = (NoticeKind::Closed, "deleted".into()))),
        ] {
            assert_eq!(super::title(&message), title);
        }
    }

    #[test]
    fn the_whole_story_as_plain_text() {
        let text = Words::of(&message(|m| m.test = true)).text();
        assert_eq!(
            text,
            "TEST: Shop front is down\n\
             \n\
             This is a test that somebody asked for. It is about nothing real.\n\
             \n\
             Why: 502 Bad Gateway\n\
             What: https://shop.example.org/health (http)\n\
             Since: 2026-03-01 02:30:00 UTC (1 min)\n\
             Status: 502 Bad Gateway\n\
             Address: 192.0.2.7:443\n\
             Group: Web\n\
             Tags: prod, eu\n\
             Incident: 17-3\n\
             \n\
             https://watch.example.org/monitors/shop\n\
             \n\
             Sent to ops because the monitor names it under notify.\n"
        );
    }

    #[test]
    fn a_recovery_says_how_long_it_lasted() {
        let facts = Words::of(&message(|m| {
            (m.event, m.began, m.since) = (NoticeKind::Up, Some(m.since), m.at.shifted(-10_000));
            m.reason = "It answers again".into();
        }))
        .facts;
        assert_eq!(facts[0], ("Why".into(), "It answers again".into()));
        assert_eq!(facts[2], ("Began".into(), "2026-03-01 02:30:00 UTC (1 min)".into()));
        assert_eq!(facts[3], ("Over since".into(), "2026-03-01 02:31:00 UTC".into()));
    }

    #[test]
    fn lengths_of_time_read_as_in_the_console() {
        for (secs, text) in [
            (0, "0 s"),
            (42, "42 s"),
            (60, "1 min"),
            (14 * 60 + 59, "14 min"),
            (3600, "1 h"),
            (6 * 3600 + 20 * 60, "6 h 20 min"),
            (76 * 3600, "3 d 4 h"),
            (14 * 86_400 - 1, "13 d 23 h"),
            (14 * 86_400, "14 d"),
            (23 * 86_400 + 5000, "23 d"),
        ] {
            assert_eq!(duration(Duration::from_secs(secs)), text);
        }
    }

    #[test]
    fn text_from_outside_becomes_one_bounded_line() {
        assert_eq!(one_line("a\r\nBcc: x\0y\tz", 50), "a Bcc: x y z");
        assert_eq!(one_line("evil \u{202e}gnp.exe\u{2066}", 50), "evil gnp.exe");
        assert_eq!(one_line(&"ä".repeat(10_000), 5), "äääää…");
        assert_eq!(one_line("👩‍🚀 ok", 50), "👩‍🚀 ok");
    }

    #[test]
    fn escapes_leave_nothing_that_means_something() {
        assert_eq!(html("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
        let text = mrkdwn("<!channel> & *a_b* <https://x|y>");
        assert!(text.starts_with("&lt;!channel&gt; &amp; \u{2060}*"), "{text}");
        assert!(!text.contains(['<', '>']), "{text}");
    }

    #[test]
    fn why_a_channel_hears_it_is_a_sentence() {
        for (given, sentence) in [
            ("oncall: it was told of the failure", Some("Sent to oncall because it was told of the failure.")),
            ("shop tells oncall of everything", Some("Sent to this channel because shop tells oncall of everything.")),
            ("Not a slug: why", Some("Sent to this channel because Not a slug: why.")),
            ("  ", None),
        ] {
            assert_eq!(because(given).as_deref(), sentence);
        }
    }

    #[test]
    fn only_links_to_pages_are_links() {
        for (given, link) in [
            ("https://w.example/m/shop", Some("https://w.example/m/shop")),
            ("https://w.example/\"><script>", Some("https://w.example/%22%3E%3Cscript%3E")),
            ("javascript:alert(1)", None),
            ("/monitors/shop", None),
        ] {
            assert_eq!(Words::of(&message(|m| m.link = Some(given.into()))).link.as_deref(), link);
        }
    }
}
