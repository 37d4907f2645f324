//! Every route is open to exactly those it was declared for, and nothing that people write becomes markup.

use axum::http::{Method, StatusCode, header};

use super::PAYLOADS;
use crate::web::auth::Permission;
use crate::web::router;
use crate::web::testing::{Browser, PASSWORD, PERSON, SETUP};

fn filled_in(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn a_stranger_gets_nowhere_but_where_everybody_may() {
    let browser = Browser::signed_in().await;
    let mut stranger = browser.stranger();
    for route in router::routes(&browser.web).table() {
        let path = filled_in(route.path);
        let answer = stranger.ask(route.method.clone(), &path, None, &[("sec-fetch-site", "same-origin")]).await;
        let told = format!("{} {} {}", route.method, route.path, answer.status);
        match route.permission {
            Permission::Machine | Permission::Anyone => assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{told}"),
            _ if path.starts_with("/api/") => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{told}"),
            Permission::Metrics => {
                assert!(answer.status == StatusCode::SEE_OTHER || answer.status == StatusCode::UNAUTHORIZED, "{told}");
            }
            Permission::Viewer | Permission::Editor if path == "/live" => {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{told}");
            }
            Permission::Viewer | Permission::Editor => {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{told}");
                assert!(answer.location().starts_with("/login"), "{told} to {}", answer.location());
            }
        }
    }
}

#[tokio::test]
async fn another_sites_form_changes_nothing() {
    let mut browser = Browser::signed_in().await;
    for route in router::routes(&browser.web).table().to_vec() {
        if route.permission == Permission::Machine || route.method.is_safe() {
            continue;
        }
        let path = filled_in(route.path);
        let answer =
            browser.ask(route.method.clone(), &path, Some(String::new()), &[("sec-fetch-site", "cross-site")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {path}", route.method);
    }
}

#[tokio::test]
async fn a_read_token_reads_and_a_write_token_writes() {
    let browser = Browser::signed_in().await;
    let make = |scope: &'static str| {
        let web = browser.web.clone();
        async move { crate::web::auth::token::make(&web, scope, scope, PERSON, None).await.unwrap().1 }
    };
    let (read, write) = (make("read").await, make("write").await);
    let mut program = browser.stranger();
    for (token, path, expected) in [
        (read.as_str(), "/metrics", StatusCode::OK),
        (read.as_str(), "/", StatusCode::OK),
        (read.as_str(), "/new", StatusCode::FORBIDDEN),
        (write.as_str(), "/new", StatusCode::OK),
        ("wb_nothing", "/metrics", StatusCode::UNAUTHORIZED),
    ] {
        let bearer = format!("Bearer {token}");
        let answer = program.ask(Method::GET, path, None, &[("authorization", &bearer)]).await;
        assert_eq!(answer.status, expected, "{path}");
    }
}

#[tokio::test]
async fn of_many_who_set_up_at_once_one_becomes_the_first_person() {
    let mut first = Browser::new().await;
    assert_eq!(first.get("/").await.location(), "/setup");
    assert!(first.get("/setup").await.body.contains("printed a link"));
    assert!(first.get("/setup?token=wrong").await.body.contains("not the one"));
    assert!(first.get(&format!("/setup?token={SETUP}")).await.body.contains("Begin the watch"));

    let attempts: Vec<_> = (0..8)
        .map(|number| {
            let mut browser = first.stranger();
            tokio::spawn(async move {
                let name = format!("Person {number}");
                let answer = browser.post("/setup", &[("token", SETUP), ("name", &name), ("password", PASSWORD)]).await;
                answer.location().to_owned()
            })
        })
        .collect();
    let mut became = 0;
    for attempt in attempts {
        became += usize::from(attempt.await.unwrap() == "/");
    }
    assert_eq!(became, 1);
    assert_eq!(first.web.app().store.persons().await.unwrap().len(), 1);
    assert_eq!(first.get(&format!("/setup?token={SETUP}")).await.location(), "/login");
}

#[tokio::test]
async fn signing_in_leads_back_and_guessing_is_slowed_down() {
    let browser = Browser::signed_in().await;
    let mut other = browser.stranger();
    let login = other.get("/incidents?show=open").await;
    assert_eq!(login.location(), "/login?next=%2Fincidents%3Fshow%3Dopen");
    let answer = other.post("/login", &[("name", PERSON), ("password", PASSWORD), ("next", "/incidents")]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/incidents"));
    assert_eq!(other.get("/incidents").await.status, StatusCode::OK);

    let mut elsewhere = browser.stranger();
    let answer =
        elsewhere.post("/login", &[("name", PERSON), ("password", PASSWORD), ("next", "//evil.example")]).await;
    assert_eq!(answer.location(), "/");

    let mut guesser = browser.stranger();
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(guesser.post("/login", &[("name", "nobody"), ("password", "wrong wrong wrong")]).await.status);
    }
    assert_eq!(seen[..5], [StatusCode::UNPROCESSABLE_ENTITY; 5]);
    assert_eq!(seen[6], StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_changed_password_ends_all_other_sessions() {
    let mut browser = Browser::signed_in().await;
    let mut other = browser.stranger();
    other.post("/login", &[("name", PERSON), ("password", PASSWORD)]).await;
    assert_eq!(other.get("/settings").await.status, StatusCode::OK);
    let answer = browser.post("/settings/password", &[("old", PASSWORD), ("new", "another good password")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(other.get("/settings").await.location(), "/login?next=%2Fsettings");
    assert_eq!(browser.get("/settings").await.status, StatusCode::OK, "whoever changed it stays");
    let answer = browser.post("/settings/password", &[("old", PASSWORD), ("new", "yet another password")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_its_reader() {
    let mut browser = Browser::signed_in().await;
    for path in ["/", "/new", "/nowhere", "/login", "/settings"] {
        let answer = browser.get(path).await;
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(answer.headers[header::REFERRER_POLICY], "same-origin", "{path}");
        assert!(
            !answer.body.contains(" style=") && !answer.body.contains("<script>"),
            "{path} holds inline style or script"
        );
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so_in_dress() {
    let mut browser = Browser::signed_in().await;
    let answer = browser.get("/monitors/nothing").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("Nothing is here") && answer.body.contains("</html>"));
    assert_eq!(browser.ask(Method::DELETE, "/incidents", None, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(browser.ask(Method::DELETE, "/incidents", None, &[]).await.body.contains("Not like that"));
}

#[tokio::test]
async fn a_monitor_is_added_changed_paused_and_deleted_by_plain_forms() {
    let mut browser = Browser::signed_in().await;
    let form = browser.get("/new?kind=heartbeat").await;
    assert!(form.body.contains("heartbeat.interval"), "{}", form.body);
    let wrong = browser.post("/new", &[("kind", "heartbeat"), ("name", "Nightly backup")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.body.contains("A heartbeat needs an <code>interval</code> or a <code>schedule</code>"),
        "{}",
        wrong.body
    );
    assert!(wrong.body.contains(r#"value="Nightly backup""#));
    let added =
        browser.post("/new", &[("kind", "heartbeat"), ("name", "Nightly backup"), ("heartbeat.interval", "1h")]).await;
    assert_eq!(added.location(), "/monitors/nightly-backup?said=added", "{}", added.body);
    let page = browser.get("/monitors/nightly-backup").await;
    assert!(page.body.contains("/ping/pingkey0pingkey0pingkey0/nightly-backup"), "{}", page.body);

    let edited = [("kind", "heartbeat"), ("name", "Backup"), ("heartbeat.interval", "2h")];
    assert_eq!(
        browser.post("/monitors/nightly-backup/edit", &edited).await.location(),
        "/monitors/nightly-backup?said=saved"
    );
    assert_eq!(
        browser.post("/monitors/nightly-backup/pause", &[]).await.location(),
        "/monitors/nightly-backup?said=paused"
    );
    assert!(browser.get("/").await.body.contains("Everything is paused"));
    assert_eq!(
        browser.post("/monitors/nightly-backup/resume", &[]).await.location(),
        "/monitors/nightly-backup?said=resumed"
    );
    assert!(browser.get("/monitors/nightly-backup/delete").await.body.contains("Delete Backup?"));
    assert_eq!(browser.post("/monitors/nightly-backup/delete", &[]).await.location(), "/?said=deleted");
    assert_eq!(browser.get("/monitors/nightly-backup").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_channel_is_added_and_its_secret_is_never_shown() {
    let mut browser = Browser::signed_in().await;
    let form = [
        ("kind", "telegram"),
        ("slug", "oncall"),
        ("telegram.token", "123456:canary-token"),
        ("telegram.chat_id", "-100200300"),
    ];
    let added = browser.post("/alerting/new", &form).await;
    assert_eq!(added.location(), "/alerting?said=saved", "{}", added.body);
    for path in ["/alerting", "/alerting/channels/oncall", "/new"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("oncall") && !page.body.contains("canary"), "{path}");
    }
    let kept =
        [("kind", "telegram"), ("telegram.token", ""), ("telegram.token.set", "1"), ("telegram.chat_id", "@ops")];
    assert_eq!(browser.post("/alerting/channels/oncall", &kept).await.location(), "/alerting?said=saved");
    let channel = browser.web.app().live.channel("oncall").unwrap().channel;
    let settings = serde_json::to_value(&*channel).unwrap();
    assert_eq!(settings["telegram"], serde_json::json!({ "token": "123456:canary-token", "chat_id": "@ops" }));
}

#[tokio::test]
async fn nothing_that_people_write_becomes_markup() {
    let mut browser = Browser::signed_in().await;
    for (number, payload) in PAYLOADS.iter().enumerate() {
        let slug = format!("m{number}");
        let form = [
            ("kind", "heartbeat"),
            ("slug", slug.as_str()),
            ("name", payload),
            ("group", payload),
            ("tags.0", &payload[..payload.len().min(60)]),
            ("note", payload),
            ("heartbeat.interval", "1h"),
        ];
        let added = browser.post("/new", &form).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
        for path in [
            format!("/monitors/{slug}"),
            format!("/monitors/{slug}/edit"),
            format!("/monitors/{slug}/delete"),
            "/?view=table".into(),
            "/".into(),
        ] {
            let page = browser.get(&path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            assert!(!page.body.contains(payload), "{path} shows {payload} as it is");
        }
        let query = crate::web::links::escaped(payload);
        for path in [
            format!("/?q={query}"),
            format!("/incidents?show={query}"),
            format!("/alerting/deliveries?show={query}"),
            format!("/login?next={query}"),
        ] {
            assert!(!browser.stranger().get(&path).await.body.contains(payload), "{path}");
            assert!(!browser.get(&path).await.body.contains(payload), "{path}");
        }
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_opens_nothing_after_it_was_revoked() {
    let mut browser = Browser::signed_in().await;
    let made = browser.post("/settings/tokens", &[("name", "grafana"), ("scope", "read"), ("days", "30")]).await;
    let begin = made.body.find("wb_").expect("the token is shown");
    let token: String = made.body[begin..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    assert!(!browser.get("/settings/tokens").await.body.contains(&token));
    let bearer = format!("Bearer {token}");
    let mut program = browser.stranger();
    assert_eq!(program.ask(Method::GET, "/metrics", None, &[("authorization", &bearer)]).await.status, StatusCode::OK);
    let id = browser.web.app().store.tokens().await.unwrap()[0].id;
    browser.post(&format!("/settings/tokens/{id}/revoke"), &[]).await;
    assert_eq!(
        program.ask(Method::GET, "/metrics", None, &[("authorization", &bearer)]).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn the_runs_of_a_heartbeat_are_shown_and_can_be_downloaded() {
    let mut browser = Browser::signed_in().await;
    assert!(browser.get("/heartbeats").await.body.contains("No job calls in yet"));
    browser.post("/new", &[("kind", "heartbeat"), ("name", "Nightly"), ("heartbeat.interval", "1h")]).await;
    let page = browser.get("/monitors/nightly").await;
    assert!(page.body.contains("Nothing has called yet"), "{}", page.body);
    let call = "/ping/pingkey0pingkey0pingkey0/nightly";
    let said = format!("one\n{}", PAYLOADS.concat());
    for (path, body) in [("/start", ""), ("/3", said.as_str()), ("", "1,812 studies")] {
        let answer = browser.ask(Method::POST, &format!("{call}{path}"), Some(body.to_owned()), &[]).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "OK"));
    }
    let page = browser.get("/monitors/nightly").await;
    for expected in
        ["Run log", "1 good run, 1 failed", "Success", "Failure", "Start", "1,812 studies", "systemd timer", "runitor"]
    {
        assert!(page.body.contains(expected), "{expected}: {}", page.body);
    }
    for payload in PAYLOADS {
        assert!(!page.body.contains(payload), "{payload}");
    }
    let list = browser.get("/heartbeats").await;
    assert!(list.body.contains("1 job reports here.") && list.body.contains("every 1h"), "{}", list.body);

    let download = browser.get("/monitors/nightly/pings.ndjson").await;
    let lines: Vec<serde_json::Value> =
        download.body.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["kind"], &lines[0]["body"]), (&"success".into(), &"1,812 studies".into()));
    assert_eq!((&lines[1]["exit_status"], &lines[1]["body"]), (&3.into(), &said.as_str().into()));
    let body = browser.get("/monitors/nightly/pings/2").await;
    assert_eq!(body.body, said);
    assert_eq!(body.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(browser.get("/monitors/nightly/pings/9").await.status, StatusCode::NOT_FOUND);

    let api = browser.get("/api/v1/monitors/nightly/pings?limit=1").await;
    let api: serde_json::Value = serde_json::from_str(&api.body).unwrap();
    assert_eq!(
        (&api[0]["n"], &api[0]["last_line"], api.as_array().map(Vec::len)),
        (&3.into(), &"1,812 studies".into(), Some(1))
    );
    let older = browser.get("/api/v1/monitors/nightly/pings?before=3").await;
    assert!(older.body.contains("\"kind\":\"fail\"") && older.body.contains("\"took_ms\""), "{}", older.body);
    assert_eq!(browser.get("/api/v1/monitors/nightly/pings/2/body").await.body, said);
}

#[tokio::test]
async fn a_change_reaches_an_open_page_within_a_second_and_an_ended_session_closes_it() {
    let mut browser = Browser::signed_in().await;
    let form = [("kind", "heartbeat"), ("name", "Backup"), ("heartbeat.interval", "1h")];
    assert_eq!(browser.post("/new", &form).await.status, StatusCode::SEE_OTHER);
    let page = browser.get("/").await.body;
    let revision = page.split("data-rev=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut body = browser.listen(&format!("/live?of=overview&rev={revision}")).await;
    assert!(next_event(&mut body).await.contains("event: tick"), "the page is current");

    browser.post("/monitors/backup/pause", &[]).await;
    let event = next_event_that(&mut body, "event: parts").await;
    assert!(event.contains("Everything is paused") && event.contains("id: "), "{event}");
    assert!(!event.contains("fleet"), "what has not changed is not sent");

    browser.post("/settings/password", &[("old", PASSWORD), ("new", "another good password")]).await;
    next_event_that(&mut body, "event: gone").await;
}

async fn next_event_that(body: &mut axum::body::Body, holds: &str) -> String {
    for _ in 0..10 {
        let event = next_event(body).await;
        if event.contains(holds) {
            return event;
        }
    }
    panic!("there was no {holds}");
}

async fn next_event(body: &mut axum::body::Body) -> String {
    use http_body_util::BodyExt;
    let frame = tokio::time::timeout(std::time::Duration::from_secs(1), body.frame()).await.expect("within a second");
    String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
}
