//! A message as JSON: what the webhook posts, and what its body template may name.
//! Names here are for ever; new ones may be added.

use serde_json::{Map, Value, json};
use watchbell_core::decide::NoticeKind;
use watchbell_core::{IncidentRef, Message, MonitorRef, Timestamp};

use crate::words::{self, one_line};

/// Longer texts are cut: they come from targets.
const LONGEST_TEXT: usize = 500;
const LONGEST_URL: usize = 2000;
const MOST_ROWS: usize = 20;
const MOST_TAGS: usize = 50;

/// The message, every field present: what is not known is `null`.
pub(crate) fn of(message: &Message) -> Value {
    let text = |text: &str| one_line(text, LONGEST_TEXT);
    let url = |url: &Option<String>| url.as_deref().map(|url| one_line(url, LONGEST_URL));
    let monitor = &message.monitor;
    let seen: Vec<Value> = message
        .seen
        .iter()
        .take(MOST_ROWS)
        .map(|(name, value)| json!({ "name": text(name), "value": text(value) }))
        .collect();
    let tags: Vec<String> = monitor.tags.iter().take(MOST_TAGS).map(|tag| text(tag)).collect();
    let began = message.began.unwrap_or(message.since);
    json!({
        "event": message.event.name(),
        "title": words::title(message),
        "monitor": {
            "slug": monitor.slug,
            "name": text(&monitor.name),
            "group": monitor.group.as_deref().map(text),
            "tags": tags,
            "kind": text(&monitor.kind),
            "url": url(&monitor.url),
        },
        "incident": message.incident.as_ref().map(|incident| json!({ "id": incident.id, "since": incident.since })),
        "reason": text(&message.reason),
        "code": text(&message.code),
        "since": message.since,
        "at": message.at,
        "began": message.began,
        "duration_ms": u64::try_from(message.at.since(began).as_millis()).unwrap_or(u64::MAX),
        "reminder": message.reminder,
        "seen": seen,
        "link": url(&message.link),
        "because": text(&message.because),
        "key": message.key,
        "test": message.test,
    })
}

/// The value at a dotted path: `monitor.name`, `seen.0.value`.
pub(crate) fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Every dotted path there is, for hints.
pub(crate) fn paths(value: &Value) -> Vec<String> {
    fn walk(map: &Map<String, Value>, before: &str, paths: &mut Vec<String>) {
        for (name, value) in map {
            let path = format!("{before}{name}");
            if let Value::Object(inner) = value {
                walk(inner, &format!("{path}."), paths);
            }
            paths.push(path);
        }
    }
    let mut paths = Vec::new();
    if let Value::Object(map) = value {
        walk(map, "", &mut paths);
    }
    paths
}

/// A message with every field set: templates are tried on it before they are accepted.
pub(crate) fn sample() -> Message {
    let since = Timestamp::from_secs(1_772_332_200);
    Message {
        event: NoticeKind::Down,
        monitor: MonitorRef {
            slug: "shop".parse().expect("a slug"),
            name: "Shop front".into(),
            group: Some("Web".into()),
            tags: vec!["prod".into(), "eu".into()],
            kind: "http".into(),
            url: Some("https://shop.example.org/health".into()),
        },
        incident: Some(IncidentRef { id: "17-3".into(), since }),
        reason: "502 Bad Gateway".into(),
        code: "status".into(),
        since,
        at: since.shifted(70_000),
        began: Some(since),
        reminder: Some(1),
        seen: vec![("Status".into(), "502 Bad Gateway".into()), ("Address".into(), "192.0.2.7:443".into())],
        because: "ops: the monitor names it under notify".into(),
        link: Some("https://watch.example.org/monitors/shop".into()),
        key: "c1/17/3/ops/down".into(),
        test: false,
    }
}
