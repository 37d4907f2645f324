//! The API as a program uses it: a token made in the console, every resource made, read, changed and taken away.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::clock::until;
use crate::support::database::Database;
use crate::support::http::{Answer, Manner, Server, request};
use crate::support::sink::Sink;
use crate::support::watchbell::{Home, Watchbell};

/// A caller with a token.
struct Caller<'a> {
    home: &'a Home,
    token: String,
}

impl<'a> Caller<'a> {
    /// Makes the first person by the printed link, and has them make a token.
    fn new(home: &'a Home, watchbell: &Watchbell<'_>, scope: &str) -> Self {
        let link = watchbell.setup_link();
        let token = link.split_once("token=").expect("the link carries a token").1;
        let body = format!("token={token}&name=Ada&password=a+long+enough+password");
        let answer = form(home, "/setup", "", &body);
        assert_eq!(answer.status, 303, "{}", answer.text());
        let cookie = answer.headers.get("set-cookie").expect("a session").split(';').next().expect("a pair").to_owned();
        let answer = form(home, "/settings/tokens", &cookie, &format!("name=tests&scope={scope}&days=30"));
        let page = answer.text();
        let at = page.find("wb_").unwrap_or_else(|| panic!("no token in {} {page}", answer.status));
        let token = page[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        Self { home, token }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = request(self.home.address(), method, path, &headers, body.as_bytes(), Duration::from_secs(20));
        let answer = answer.expect("an answer");
        let value = if answer.body.is_empty() { Value::Null } else { answer.json() };
        (answer.status, value)
    }

    fn get(&self, path: &str) -> Value {
        let (status, value) = self.call("GET", path, None);
        assert_eq!(status, 200, "{path}: {value}");
        value
    }
}

fn form(home: &Home, path: &str, cookie: &str, body: &str) -> Answer {
    let origin = home.url("");
    let headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin.as_str()), ("Cookie", cookie)];
    request(home.address(), "POST", path, &headers, body.as_bytes(), Duration::from_secs(20)).expect("an answer")
}

#[test]
fn a_program_does_everything_a_person_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Sink::webhook(folder.path());
    let target = Server::start(|asked| Manner::status(if asked.path == "/bad" { 503 } else { 200 }));
    let home = Home::new(Database::Sqlite, "monitors:\n  fixed: { probe: { tcp: { address: \"127.0.0.1:1\" } } }\n");
    let watchbell = home.start();
    let api = Caller::new(&home, &watchbell, "write");

    // A channel with a secret: it never comes back, and sending the mask keeps it.
    let settings = json!({ "webhook": { "url": sink.url("/hook"), "secret": "whsec_dGhlc2VjcmV0b2Z0aGVjYW5hcnk=" } });
    let (status, made) = api.call("POST", "/api/v1/channels", Some(&json!({ "slug": "hook", "settings": settings })));
    assert_eq!((status, made["settings"]["webhook"]["secret"].as_str()), (201, Some("•••")), "{made}");
    let (status, kept) = api.call("PUT", "/api/v1/channels/hook", Some(&made["settings"]));
    assert_eq!(status, 200, "{kept}");
    let (status, tested) = api.call("POST", "/api/v1/channels/hook/test", None);
    assert_eq!((status, tested["delivered"].as_bool()), (200, Some(true)), "{tested}");

    // A monitor, changed by a patch until it fails.
    let settings = json!({
        "name": "Shop front", "tags": ["prod"], "interval": "1s", "retry_interval": "300ms", "timeout": "2s",
        "failure_threshold": 2, "success_threshold": 1, "notify": ["hook"],
        "probe": { "http": { "url": target.url("/good") } },
    });
    let (status, made) = api.call("POST", "/api/v1/monitors", Some(&json!({ "settings": settings })));
    assert_eq!(
        (status, made["slug"].as_str(), made["origin"].as_str()),
        (201, Some("shop-front"), Some("console")),
        "{made}"
    );
    let (status, checked) = api.call("POST", "/api/v1/monitors/shop-front/check", None);
    assert_eq!((status, checked["outcome"].as_str()), (200, Some("ok")), "{checked}");
    let state = |wanted: &str| {
        until(wanted, Duration::from_secs(15), || {
            let it = api.get("/api/v1/monitors/shop-front");
            (it["state"] == wanted).then_some(it)
        })
    };
    state("up");
    let bad = json!({ "probe": { "http": { "url": target.url("/bad") } }, "tags": null });
    let (status, changed) = api.call("PATCH", "/api/v1/monitors/shop-front", Some(&bad));
    assert_eq!((status, changed["tags"].as_array().map(Vec::len)), (200, Some(0)), "{changed}");
    let down = state("down");
    assert_eq!(down["incident"]["reason"]["code"], "status", "{down}");
    sink.wait_for("the down notice", Duration::from_secs(10), |told| {
        told.monitor_and_event() == ("shop-front", "down")
    });
    let (status, had) = api.call("POST", "/api/v1/monitors/shop-front/acknowledge", Some(&json!({ "note": "on it" })));
    assert_eq!((status, had["incident"]["acknowledged"]["by"].as_str()), (200, Some("tests")), "{had}");

    // Everything can be read back.
    let incidents = api.get("/api/v1/incidents?open=true&monitor=shop-front");
    let incident = api.get(&format!("/api/v1/incidents/{}", incidents["items"][0]["id"].as_str().expect("an id")));
    assert_eq!(incident["incident"]["note"], "on it");
    let deliveries = until("the delivery to be noted", Duration::from_secs(5), || {
        let list = api.get("/api/v1/deliveries?channel=hook&state=done&monitor=shop-front");
        list["items"].as_array().is_some_and(|items| !items.is_empty()).then_some(list)
    });
    let delivery = api.get(&format!("/api/v1/deliveries/{}", deliveries["items"][0]["id"]));
    assert_eq!(delivery["tries"][0]["outcome"], "done", "{delivery}");
    let results = api.get("/api/v1/monitors/shop-front/results?limit=3");
    assert!(results.as_array().is_some_and(|it| !it.is_empty() && it[0]["outcome"] == "fail"), "{results}");
    let found = api.get("/api/v1/monitors?q=shop&state=down&limit=1");
    assert_eq!(found["items"][0]["slug"], "shop-front");
    assert_eq!(api.get("/api/v1/status")["monitors"]["down"].as_i64(), Some(1 + i64::from(fixed_is_down(&api))));

    // Pausing ends the incident; resuming looks again; deleting leaves nothing.
    let (_, paused) = api.call("POST", "/api/v1/monitors/shop-front/pause", None);
    assert_eq!((paused["state"].as_str(), paused["incident"].is_null()), (Some("paused"), true), "{paused}");
    sink.wait_for("the closing notice", Duration::from_secs(10), |told| {
        told.monitor_and_event() == ("shop-front", "closed")
    });
    assert_eq!(api.call("POST", "/api/v1/monitors/shop-front/resume", None).0, 200);
    state("down");
    assert_eq!(api.call("DELETE", "/api/v1/monitors/shop-front", None).0, 204);
    assert_eq!(api.call("GET", "/api/v1/monitors/shop-front", None).0, 404);
    assert_eq!(api.call("DELETE", "/api/v1/channels/hook", None).0, 204);
}

fn fixed_is_down(api: &Caller<'_>) -> bool {
    api.get("/api/v1/monitors/fixed")["state"] == "down"
}

#[test]
fn mistakes_are_answered_with_the_field_and_what_would_work() {
    let home = Home::new(Database::Sqlite, "monitors:\n  fixed: { probe: { tcp: { address: \"127.0.0.1:1\" } } }\n");
    let watchbell = home.start();
    let api = Caller::new(&home, &watchbell, "write");
    let monitor =
        |settings: Value| api.call("POST", "/api/v1/monitors", Some(&json!({ "slug": "m", "settings": settings })));

    for (what, (status, answer), expected, field, words) in [
        ("no probe", monitor(json!({})), 422, "probe", "needs a `probe`"),
        (
            "an unknown setting",
            monitor(json!({ "probe": { "tcp": { "adress": "a:1" } } })),
            422,
            "settings.probe.tcp",
            "unknown field `adress`",
        ),
        (
            "an impossible number",
            monitor(json!({ "failure_threshold": 0, "probe": { "tcp": { "address": "a:1" } } })),
            422,
            "failure_threshold",
            "between 1 and 100",
        ),
        (
            "a channel that is not there",
            monitor(json!({ "notify": ["nobody"], "probe": { "tcp": { "address": "a:1" } } })),
            422,
            "notify",
            "no channel `nobody`",
        ),
        (
            "a bad length of time",
            monitor(json!({ "interval": "soon", "probe": { "tcp": { "address": "a:1" } } })),
            422,
            "settings.interval",
            "not a length of time",
        ),
    ] {
        assert_eq!(status, expected, "{what}: {answer}");
        let error = &answer["errors"][0];
        assert!(error["field"].as_str().is_some_and(|it| it.starts_with(field)), "{what}: {answer}");
        assert!(error["detail"].as_str().is_some_and(|it| it.contains(words)), "{what}: {answer}");
    }
    // What a file says is changed in the file.
    let (status, answer) = api.call("DELETE", "/api/v1/monitors/fixed", None);
    assert_eq!(status, 409, "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|it| it.contains("configuration file")), "{answer}");
    assert_eq!(api.call("GET", "/api/v1/monitors/none", None).0, 404);
    assert_eq!(api.call("GET", "/api/v1/incidents/17-x", None).0, 404);
    assert_eq!(api.call("GET", "/api/v1/monitors?stat=up", None).0, 400);
    assert_eq!(api.call("POST", "/api/v1/deliveries/99/retry", None).0, 409);
    // Not JSON, no token, a wrong token.
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        request(home.address(), "POST", "/api/v1/monitors", headers, body, Duration::from_secs(20))
            .expect("an answer")
            .status
    };
    let bearer = format!("Bearer {}", api.token);
    assert_eq!(send(&[("Authorization", &bearer)], b"{"), 400);
    assert_eq!(send(&[], b"{}"), 401);
    assert_eq!(send(&[("Authorization", "Bearer wb_wrong")], b"{}"), 401);
}

#[test]
fn a_token_that_may_only_read_changes_nothing() {
    let home = Home::new(Database::Sqlite, "monitors:\n  fixed: { probe: { tcp: { address: \"127.0.0.1:1\" } } }\n");
    let watchbell = home.start();
    let api = Caller::new(&home, &watchbell, "read");
    assert_eq!(api.get("/api/v1/monitors")["items"][0]["slug"], "fixed");
    assert_eq!(api.call("POST", "/api/v1/monitors/fixed/pause", None).0, 403);
    assert_eq!(api.call("DELETE", "/api/v1/monitors/fixed", None).0, 403);
    assert_eq!(api.get("/api/v1/monitors/fixed")["paused"], false);
}

#[test]
fn the_openapi_document_names_every_call_and_every_shape() {
    let home = Home::new(Database::Sqlite, "monitors: {}\n");
    let watchbell = home.start();
    let document = watchbell.get("/api/v1/openapi.json").expect("an answer").json();
    assert_eq!(document["openapi"], "3.0.3");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 17, "{} paths", paths.len());
    let text = document.to_string();
    let mut names: Vec<&str> =
        text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(document["components"]["schemas"][name].is_object(), "{name} is referred to and not there");
    }
    let takes = &document["paths"]["/api/v1/monitors"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert!(takes["$ref"].is_string(), "{takes}");
}
