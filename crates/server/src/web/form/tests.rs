//! A form loses nothing: what is filled from settings, drawn, posted and read again is what it was, for every kind
//! there is and every kind to come.

use watchbell_core::kind::Entry;
use watchbell_notify::Channel;
use watchbell_probe::Probe;

use super::*;
use crate::config::spec::{HeartbeatSpec, MonitorSpec};
use crate::seal::schemas;

fn no_hints(complaints: &[Complaint]) -> Hints<'_> {
    Hints { empty: &|_| None, choices: &|_| None, beside: &|_| None, complaints }
}

/// What a browser would post of this page: every control that has a value.
fn posted(html: &str) -> Filled {
    let mut pairs = Vec::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        rest = &rest[begin..];
        let end = rest.find('>').map_or(rest.len(), |end| end + 1);
        let (tag, after) = rest.split_at(end);
        let attribute = |name: &str| {
            let begin = tag.find(&format!(" {name}=\""))? + name.len() + 3;
            Some(unescaped(&tag[begin..begin + tag[begin..].find('"')?]))
        };
        let name = attribute("name").filter(|name| !name.is_empty());
        if tag.starts_with("<input")
            && let Some(name) = name
        {
            let ticked = tag.contains(" checked");
            match attribute("type").as_deref() {
                Some("checkbox" | "radio") if !ticked => {}
                _ => pairs.push((name, attribute("value").unwrap_or_default())),
            }
        } else if tag.starts_with("<textarea") {
            let text = after.split("</textarea>").next().unwrap();
            // A browser drops the first line break and sends the others as carriage return and line feed.
            let text = unescaped(text.strip_prefix('\n').unwrap_or(text)).replace('\n', "\r\n");
            pairs.push((name.unwrap(), text));
        } else if tag.starts_with("<select") {
            let options = after.split("</select>").next().unwrap();
            let chosen =
                options.split("<option").skip(1).find(|option| option.split('>').next().unwrap().contains(" selected"));
            let first = options.split("<option").nth(1);
            if let Some(option) = chosen.or(first) {
                let value = option.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
                pairs.push((name.unwrap(), unescaped(value)));
            }
        }
        rest = after;
    }
    Filled::new(pairs)
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Fills, draws, posts and reads, with the secrets put back as a server does.
fn round_trip(form: &Form, schema: &Value, settings: &Value) -> Value {
    let html = form.draw(&form.fill(settings), &no_hints(&[])).into_string();
    let mut filled = posted(&html);
    filled.set("posted", "1");
    let (mut back, complaints) = form.read(&filled);
    assert_eq!(complaints, [], "{html}");
    assert_eq!(catalog::keep_secrets(schema, &mut back, settings), Vec::<String>::new());
    back
}

fn each_kind(entries: &'static [Entry]) -> impl Iterator<Item = (&'static str, Value, Value)> {
    entries.iter().map(|entry| (entry.name, catalog::schema(entry), (entry.example)()))
}

#[test]
fn every_probes_example_survives_its_form() {
    for (kind, schema, example) in each_kind(Probe::ALL) {
        let back = round_trip(&Form::default().with(kind, &schema, &[]), &catalog::schema_of::<Probe>(), &example);
        let back: Probe = serde_json::from_value(back).unwrap_or_else(|why| panic!("{kind}: {why}"));
        assert_eq!(back, serde_json::from_value::<Probe>(example).unwrap(), "{kind}");
    }
}

#[test]
fn every_channels_example_survives_its_form() {
    for (kind, schema, example) in each_kind(Channel::ALL) {
        let back = round_trip(&Form::default().with(kind, &schema, &[]), &schemas::CHANNEL, &example);
        let back: Channel = serde_json::from_value(back).unwrap_or_else(|why| panic!("{kind}: {why}"));
        assert_eq!(back, serde_json::from_value::<Channel>(example).unwrap(), "{kind}");
    }
}

#[test]
fn a_monitor_survives_its_form_with_everything_set() {
    let settings = serde_json::json!({
        "name": "Shop <front> & \"back\"",
        "group": "Web",
        "tags": ["prod", "site:south"],
        "probe": { "http": { "url": "https://shop.example.org/health?a=1&b=2" } },
        "interval": "30s",
        "notify": [],
        "expiry_days": [30, 7],
        "failure_threshold": 5,
        "note": "First line\nSecond line",
    });
    let form = Form::default()
        .with("probe.http", &catalog::schema(&Probe::ALL[0]), &[])
        .with("", &schemas::MONITOR, &["probe", "heartbeat"])
        .inheriting(&["notify", "expiry_days"]);
    let back = round_trip(&form, &schemas::MONITOR, &settings);
    let read = |value: Value| serde_json::from_value::<MonitorSpec>(value).unwrap();
    assert_eq!(read(back), read(settings));
}

#[test]
fn lists_that_follow_the_defaults_stay_absent() {
    let settings = serde_json::json!({ "heartbeat": { "interval": "5m", "push_token": "abc" } });
    let form = Form::default()
        .with("heartbeat", &catalog::schema_of::<HeartbeatSpec>(), &[])
        .with("", &schemas::MONITOR, &["probe", "heartbeat"])
        .inheriting(&["notify", "expiry_days"]);
    assert_eq!(round_trip(&form, &schemas::MONITOR, &settings), settings);
}

#[test]
fn a_secret_is_never_drawn_and_stays_until_it_is_replaced_or_removed() {
    let channel = serde_json::json!({ "webhook": { "url": "https://hook.example", "headers": { "Authorization": "Bearer canary-1" }, "secret": "canary-secret-16-letters" } });
    let schema = catalog::schema(Channel::ALL.iter().find(|entry| entry.name == "webhook").unwrap());
    let form = Form::default().with("webhook", &schema, &[]);
    let html = form.draw(&form.fill(&channel), &no_hints(&[])).into_string();
    assert!(!html.contains("canary"), "{html}");

    let mut filled = posted(&html);
    filled.set("webhook.secret", "another secret of mine");
    let (mut back, _) = form.read(&filled);
    catalog::keep_secrets(&schemas::CHANNEL, &mut back, &channel);
    assert_eq!(back["webhook"]["secret"], "another secret of mine");
    assert_eq!(back["webhook"]["headers"]["Authorization"], "Bearer canary-1");

    let mut filled = posted(&html);
    filled.set("webhook.secret.remove", "1");
    filled.set("webhook.headers.0.key", "");
    let (mut back, complaints) = form.read(&filled);
    catalog::keep_secrets(&schemas::CHANNEL, &mut back, &channel);
    assert_eq!(
        (complaints, &back["webhook"]["secret"], &back["webhook"]["headers"]),
        (Vec::new(), &Value::Null, &Value::Null)
    );
}

#[test]
fn what_cannot_be_understood_is_told_at_its_field_and_what_was_typed_stays() {
    let form = Form::default().with("", &schemas::MONITOR, &["probe", "heartbeat"]);
    let filled = Filled::new(vec![("failure_threshold".into(), "three".into()), ("name".into(), "Shop".into())]);
    let (_, complaints) = form.read(&filled);
    assert_eq!(complaints, [Complaint::new("failure_threshold", "“three” is no whole number.")]);
    let html = form.draw(&filled, &no_hints(&complaints)).into_string();
    assert!(html.contains(r#"value="three""#) && html.contains(r#"id="f-failure_threshold-error""#), "{html}");
    assert!(html.contains("<details class=\"adv\" open>"), "the group with the mistake is open");
    assert!(form.mistakes(&complaints).into_string().contains("href=\"#f-failure_threshold\""));
}

#[test]
fn everything_typed_stays_text() {
    for payload in super::super::pages::PAYLOADS {
        let form = Form::default().with("", &schemas::MONITOR, &["probe", "heartbeat"]);
        let mut filled = Filled::default();
        for field in ["name", "group", "tags.0", "note", "interval", "notify.0"] {
            filled.set(field, payload);
        }
        let complaints = [Complaint::new("name", *payload), Complaint::new("nowhere", *payload)];
        let html = form.draw(&filled, &no_hints(&complaints)).into_string();
        let all = format!("{html}{}", form.mistakes(&complaints).into_string());
        assert!(!all.contains(payload), "{payload}");
    }
}

#[test]
fn names_and_paths_lead_to_each_other() {
    for (name, path) in [
        ("probe.http.url", "probe.http.url"),
        ("accept.0", "accept[0]"),
        ("assertions.12.regex", "assertions[12].regex"),
    ] {
        assert_eq!(path_of(name), path);
    }
}
