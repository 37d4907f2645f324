//! Asks real servers on the loopback, good ones and evil ones. Whatever they do, a check ends in time, within its
//! memory, and with words that a person woken by them understands.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use watchbell_core::kind::Kind;
use watchbell_core::{Finding, Outcome, Timestamp};
use watchbell_net::stopwatch::{Stopwatch, deadline_in};
use watchbell_net::{Net, NetSettings};
use watchbell_probe::{Ask, Http, Probe, ProbeKind, Reuse};

// ---- what a good answer gives

#[tokio::test]
async fn a_good_answer_is_seen_phase_by_phase() {
    let server = serve(|mut peer, _| async move {
        peer.request().await;
        sleep(Duration::from_millis(30)).await;
        peer.send(
            "HTTP/1.1 200 OK\r\nServer: shop/2\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 4\r\n\r\n",
        )
        .await;
        sleep(Duration::from_millis(30)).await;
        peer.send("good").await;
    });
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    assert_eq!(row(&finding, "Status"), "200 OK");
    assert_eq!(row(&finding, "Server"), "shop/2");
    assert_eq!(row(&finding, "Body"), "text/html, 4 bytes");
    assert_eq!(row(&finding, "Address"), server.to_string());
    assert_eq!(row(&finding, "Protocol"), "HTTP/1.1");
    assert_eq!((finding.evidence.body.as_deref(), finding.evidence.headers.len()), (None, 0));
    let phases = finding.phases;
    assert!(phases.dns_us.is_none() && phases.tls_us.is_none() && phases.connect_us.is_some(), "{phases:?}");
    assert!((25_000..300_000).contains(&phases.wait_us.unwrap()), "{phases:?}");
    assert!((25_000..300_000).contains(&phases.transfer_us.unwrap()), "{phases:?}");
    assert!(finding.took >= Duration::from_millis(50), "{:?}", finding.took);
}

#[tokio::test]
async fn a_bad_status_is_told_with_what_came_along() {
    let server = answering(
        "HTTP/1.1 502 Bad Gateway\r\nSet-Cookie: session=canary; Path=/\r\nVia: proxy-7\r\nContent-Length: 17\r\n\r\nno shop over here",
    );
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert_eq!(said(&finding), "status: 502 Bad Gateway");
    assert_eq!(finding.evidence.body.as_deref(), Some("no shop over here"));
    let headers: Vec<_> = finding.evidence.headers.iter().map(|row| format!("{}: {}", row.name, row.value)).collect();
    assert!(headers.contains(&"set-cookie: session=•••; Path=/".to_owned()), "{headers:?}");
    assert!(headers.contains(&"via: proxy-7".to_owned()), "{headers:?}");
}

#[tokio::test]
async fn nobody_there_is_told_plainly() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert_eq!(said(&finding), format!("refused: Connection refused by {server}"));
}

// ---- settings

#[test]
fn the_promised_configuration_parses() {
    let yaml = r#"http: { url: "https://shop.example.org/health", accept: [200-299], contains: "ok" }"#;
    let probe: Probe = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(probe, Probe::Http(Http::example()));
    assert_eq!(probe.target(), "https://shop.example.org/health");
}

#[test]
fn everything_parses_from_yaml_as_people_write_it() {
    let yaml = r##"
http:
  url: http://shop.example.org/
  method: post
  headers: { X-Shop: "1" }
  body: { json: { order: 5 } }
  auth: { oauth2: { token_url: "http://auth.example/token", client_id: shop, client_secret: s, scopes: [read], audience: api, in_body: true } }
  accept: [200, 204, 301-302, 4xx]
  redirects: 0
  contains: [ok, ready]
  not_contains: error
  regex: "^v[0-9]+"
  not_regex: fatal
  json: [{ path: "$.status", equals: ok }, { path: "$.load", at_most: 3 }]
  header: [{ name: X-Cache, contains: HIT }]
  max_body: 2048
  decompress: true
  cache_buster: true
  user_agent: shop-check
  tls: { verify: fallback, minimum: 1.3, server_name: shop.example.org }
  http_version: 1.1
  proxy: http://user:pw@proxy.example:3128
  family: v4
  connection: reuse
"##;
    let probe: Probe = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(probe.validate(), []);
    let stored = serde_json::to_value(&probe).unwrap();
    assert_eq!(serde_json::from_value::<Probe>(stored.clone()).unwrap(), probe);
    assert_eq!(stored["http"]["accept"], json!([200, 204, "301-302", "400-499"]));
    let wrong = serde_json::from_value::<Probe>(json!({ "http": { "url": "http://a", "acept": [200] } })).unwrap_err();
    assert!(wrong.to_string().contains("unknown field `acept`"), "{wrong}");
}

#[test]
fn what_is_stored_is_what_was_set() {
    assert_eq!(
        serde_json::to_value(Http::new("http://shop.example/")).unwrap(),
        json!({ "url": "http://shop.example/" })
    );
}

#[test]
fn nothing_prints_a_credential() {
    let probe = http(json!({
        "url": "https://ada:canary@shop.example/?token=canary",
        "auth": { "basic": { "user": "ada", "password": "canary" } },
        "proxy": "http://ada:canary@proxy.example:3128",
        "tls": { "client_certificate": "x", "client_key": "canary" },
    }));
    assert!(!format!("{probe:?}").contains("canary"), "{probe:?}");
    assert!(!probe.target().contains("canary"), "{}", probe.target());
    assert!(!format!("{:?}", probe.validate()).contains("canary"), "{:?}", probe.validate());
    assert_eq!(http(json!({ "url": "http://shop.example/", "method": "HEAD" })).target(), "HEAD http://shop.example/");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (settings, field, words) in [
        (json!({ "url": "shop.example" }), "url", "does not begin with http://"),
        (json!({ "url": "ftp://shop.example" }), "url", "`ftp` is not http or https"),
        (json!({ "headers": { "Content-Length": "5" } }), "headers.Content-Length", "set by Watchbell itself"),
        (
            json!({ "headers": { "transfer-encoding": "chunked" } }),
            "headers.transfer-encoding",
            "set by Watchbell itself",
        ),
        (json!({ "headers": { "TE": "trailers" } }), "headers.TE", "set by Watchbell itself"),
        (json!({ "headers": { "Keep-Alive": "5" } }), "headers.Keep-Alive", "set by Watchbell itself"),
        (json!({ "headers": { "X y": "5" } }), "headers.X y", "no header name"),
        (json!({ "headers": { "X": "a\r\nHost: evil" } }), "headers.X", "one line"),
        (json!({ "headers": { "Host": "a b" } }), "headers.Host", "it is a host"),
        (json!({ "user_agent": "a\nb" }), "user_agent", "one line"),
        (json!({ "auth": { "basic": { "user": "a:b", "password": "c" } } }), "auth.basic.user", "colon"),
        (json!({ "auth": { "bearer": { "token": "a\nb" } } }), "auth.bearer.token", "one line"),
        (
            json!({ "auth": { "header": { "name": "Connection", "value": "b" } } }),
            "auth.header.name",
            "set by Watchbell itself",
        ),
        (
            json!({ "auth": { "oauth2": { "token_url": "auth", "client_id": "a", "client_secret": "b" } } }),
            "auth.oauth2.token_url",
            "does not begin with http://",
        ),
        (json!({ "accept": [] }), "accept", "accepts nothing"),
        (json!({ "redirects": 21 }), "redirects", "at most 20"),
        (json!({ "max_body": 10 }), "max_body", "from 1024 to 16777216"),
        (json!({ "contains": "" }), "contains", "empty text"),
        (json!({ "contains": "ok", "method": "HEAD" }), "method", "use GET"),
        (json!({ "regex": "(" }), "regex", "cannot be read"),
        (json!({ "not_regex": "a{1000}{1000}" }), "not_regex", "too large"),
        (json!({ "json": [{ "path": "status", "equals": 1 }] }), "json[0].path", "no JSONPath"),
        (json!({ "json": [{ "path": "$..a..b..c", "equals": 1 }] }), "json[0].path", "minutes"),
        (json!({ "json": [{ "path": "$.a" }] }), "json[0]", "does not say what to expect"),
        (json!({ "json": [{ "path": "$.a", "matches": "[" }] }), "json[0].matches", "cannot be read"),
        (json!({ "json": [{ "path": "$.a", "equals": 1, "exists": false }] }), "json[0].exists", "cannot be compared"),
        (json!({ "header": [{ "name": "a b", "exists": true }] }), "header[0].name", "no header name"),
        (json!({ "header": [{ "name": "Vary" }] }), "header[0]", "does not say what to expect"),
        (json!({ "body": { "text": "x" }, "method": "TRACE" }), "body", "cannot have a body"),
        (json!({ "body": { "text": "x".repeat(300_000) } }), "body", "at most 262144 bytes"),
        (json!({ "tls": { "ca": "nonsense" } }), "tls.ca", "PEM"),
        (json!({ "tls": { "client_certificate": "x" } }), "tls.client_key", "needs its private key"),
        (json!({ "tls": { "client_key": "x" } }), "tls.client_certificate", "needs its certificate"),
        (json!({ "tls": { "server_name": "a b" } }), "tls.server_name", "neither"),
        (json!({ "proxy": "ftp://proxy" }), "proxy", "not a kind of proxy"),
    ] {
        let mut whole = json!({ "url": "https://shop.example/" });
        whole.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let complaints = http(whole).validate();
        let found = complaints.iter().any(|it| it.field == field && it.sentence.contains(words));
        assert!(found, "{settings}: {complaints:?}");
    }
}

#[tokio::test]
async fn unusable_settings_are_our_own_trouble() {
    let finding = ask(json!({ "url": "nowhere" })).await;
    assert!(
        matches!(&finding.outcome, Outcome::Local(reason) if reason.code == "settings" && reason.text.contains("`url`"))
    );
}

#[test]
fn the_settings_describe_themselves() {
    let entry = Probe::ALL.iter().find(|entry| entry.name == "http").unwrap();
    let mut generator = schemars::SchemaGenerator::default();
    (entry.schema)(&mut generator);
    let definitions = Value::Object(generator.take_definitions(true));
    let groups = ["Essentials", "Request", "What counts as good", "TLS and certificate", "Network"];
    for (name, field) in definitions["Http"]["properties"].as_object().unwrap() {
        assert!(groups.contains(&field["x-group"].as_str().unwrap_or_default()), "{name} is in no group");
        assert_eq!(field["x-group"] == "Essentials", ["url", "method"].contains(&name.as_str()), "{name}");
    }
    assert_eq!(definitions["Http"]["title"], "HTTP");
    for name in ["Http", "Tls", "JsonRule", "HeaderRule", "Basic", "Bearer", "HeaderCredential", "OAuth2"] {
        let it = &definitions[name];
        assert_eq!(it["additionalProperties"], false, "{name} accepts unknown fields");
        assert!(it["description"].is_string(), "{name} is not described");
        for (field, about) in it["properties"].as_object().unwrap() {
            assert!(about["description"].is_string(), "{name}.{field} is not described");
        }
    }
    assert_eq!(definitions["Http"]["properties"]["redirects"]["default"], 5);
    let complaints = watchbell_core::catalog::complaints_about(std::slice::from_ref(entry));
    assert_eq!(complaints, Vec::<String>::new());
}

// ---- what is sent

#[tokio::test]
async fn the_request_is_what_the_settings_say() {
    for (settings, expected) in [
        (
            json!({}),
            "GET /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|connection: close|",
        ),
        (
            json!({ "method": "DELETE", "user_agent": "x" }),
            "DELETE /a?b=1 HTTP/1.1|host: {server}|user-agent: x|accept: */*|accept-encoding: identity|connection: close|",
        ),
        (
            json!({ "headers": { "Host": "shop.example", "X-A": "1" } }),
            "GET /a?b=1 HTTP/1.1|host: shop.example|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|x-a: 1|connection: close|",
        ),
        (
            json!({ "method": "POST", "body": { "json": { "a": [1] } } }),
            "POST /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|content-type: application/json|connection: close|content-length: 9|{\"a\":[1]}",
        ),
        (
            json!({ "method": "PUT", "body": { "form": { "a b": "ü&" } } }),
            "PUT /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|content-type: application/x-www-form-urlencoded|connection: close|content-length: 13|a+b=%C3%BC%26",
        ),
        (
            json!({ "method": "PATCH", "body": { "text": "hi" }, "headers": { "Content-Type": "a/b" } }),
            "PATCH /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|content-type: a/b|connection: close|content-length: 2|hi",
        ),
        (
            json!({ "method": "POST" }),
            "POST /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|content-length: 0|connection: close|",
        ),
        (
            json!({ "auth": { "basic": { "user": "ada", "password": "pw" } } }),
            "GET /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|authorization: Basic YWRhOnB3|connection: close|",
        ),
        (
            json!({ "auth": { "bearer": { "token": "t1" } } }),
            "GET /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|authorization: Bearer t1|connection: close|",
        ),
        (
            json!({ "auth": { "header": { "name": "X-Api-Key", "value": "k1" } } }),
            "GET /a?b=1 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: identity|x-api-key: k1|connection: close|",
        ),
        (
            json!({ "decompress": true, "cache_buster": true }),
            "GET /a?b=1&watchbell=1773144000000 HTTP/1.1|host: {server}|user-agent: Watchbell/0.1.0|accept: */*|accept-encoding: gzip, deflate, br|connection: close|",
        ),
    ] {
        let (server, requests) = recording("HTTP/1.1 204 No Content\r\n\r\n");
        let mut whole = json!({ "url": format!("http://{server}/a?b=1#c") });
        whole.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let finding = ask(whole).await;
        assert_eq!(finding.outcome, Outcome::Ok, "{settings}");
        let sent = requests.lock().unwrap().join("").replace("\r\n\r\n", "|").replace("\r\n", "|");
        assert_eq!(sent, expected.replace("{server}", &server.to_string()), "{settings}");
    }
}

#[tokio::test]
async fn every_method_goes_over_the_wire() {
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "SEARCH", "PROPFIND", "REPORT",
        "PURGE",
    ] {
        let (server, requests) = recording("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let finding = ask(json!({ "url": format!("http://{server}/"), "method": method })).await;
        assert_eq!(finding.outcome, Outcome::Ok, "{method}");
        assert!(requests.lock().unwrap()[0].starts_with(&format!("{method} / HTTP/1.1\r\n")));
    }
}

#[tokio::test]
async fn a_large_request_body_arrives_whole() {
    for version in ["1.1", "2"] {
        let server = serve(|peer, _| async move {
            let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
                let body = http_body_util::BodyExt::collect(request.into_body()).await?.to_bytes();
                let told = format!("{} bytes", body.len());
                Ok::<_, hyper::Error>(hyper::Response::new(http_body_util::Full::new(bytes::Bytes::from(told))))
            });
            let io = hyper_util::rt::TokioIo::new(peer.stream);
            let _ = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new())
                .serve_connection(io, service)
                .await;
        });
        let body = json!({ "text": "x".repeat(250_000) });
        let finding = ask(json!({
            "url": format!("http://{server}/"), "method": "POST", "body": body, "http_version": version, "contains": "250000 bytes",
        }))
        .await;
        assert_eq!(said(&finding), "", "{version}");
    }
}

#[tokio::test]
async fn credentials_in_the_address_are_sent_and_never_shown() {
    let (server, requests) = recording("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let finding = ask(json!({ "url": format!("http://ada:l%C3%B6ve@{server}/") })).await;
    assert_eq!(said(&finding), "status: 401 Unauthorized");
    // `ada:löve`
    assert!(requests.lock().unwrap()[0].contains("authorization: Basic YWRhOmzDtnZl\r\n"));
    assert!(!format!("{finding:?}").contains("ve@"), "{finding:?}");
}

// ---- what counts as good

#[tokio::test]
async fn accepted_codes_decide() {
    for (accept, status, verdict) in [
        (json!([200]), "204 No Content", "status: 204 No Content, expected 200"),
        (json!(["2xx", 418]), "418 I'm a teapot", ""),
        (json!(["200-299"]), "299 Odd", ""),
        (json!([404]), "200 OK", "status: 200 OK, expected 404"),
        (json!(["200-299"]), "599 Overheated", "status: 599 Overheated"),
        (json!([101]), "101 Switching Protocols", ""),
    ] {
        let server = answering_owned(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        let finding = ask(json!({ "url": format!("http://{server}/"), "accept": accept })).await;
        assert_eq!(said(&finding), verdict, "{accept} {status}");
    }
}

#[tokio::test]
async fn rules_are_judged_and_counted() {
    let body = r#"{"status":"degraded","load":0.7}"#;
    let server = answering_owned(with_length("200 OK\r\nX-Cache: MISS", body));
    for (rules, verdict, told) in [
        (json!({ "contains": "degraded", "json": [{ "path": "$.load", "less": 1 }] }), "", "2 of 2 hold"),
        (json!({ "contains": "ok" }), "body: Body does not contain `ok`", "0 of 1 hold; Body does not contain `ok`"),
        (
            json!({ "header": [{ "name": "X-Cache", "equals": "HIT" }], "json": [{ "path": "$.status", "equals": "ok" }], "regex": "load" }),
            "header: Header `X-Cache` is `MISS`, expected `HIT`",
            "1 of 3 hold; Header `X-Cache` is `MISS`, expected `HIT`; `$.status` is \"degraded\", expected \"ok\"",
        ),
    ] {
        let mut whole = json!({ "url": format!("http://{server}/") });
        whole.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
        let finding = ask(whole).await;
        assert_eq!((said(&finding).as_str(), row(&finding, "Rules").as_str()), (verdict, told));
        assert_eq!(finding.evidence.body.is_some(), !verdict.is_empty());
    }
}

#[tokio::test]
async fn large_json_is_judged_beside_the_other_checks() {
    let body = format!("{{\"list\":[{}0],\"status\":\"ok\"}}", "0,".repeat(100_000));
    let server = answering_owned(with_length("200 OK", &body));
    let rules = json!([{ "path": "$.status", "equals": "ok" }, { "path": "$.list[100000]", "equals": 0 }]);
    let finding = ask(json!({ "url": format!("http://{server}/"), "json": rules })).await;
    assert_eq!(said(&finding), "");
    let finding =
        ask(json!({ "url": format!("http://{server}/"), "json": [{ "path": "$.status", "equals": "x" }] })).await;
    assert_eq!(said(&finding), "json: `$.status` is \"ok\", expected \"x\"");
}

#[tokio::test]
async fn a_packed_body_is_unpacked_when_asked_for() {
    let packed = gzip(b"all is ok");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let server = answering_bytes([head.into_bytes(), packed].concat());
    let url = format!("http://{server}/");
    assert_eq!(said(&ask(json!({ "url": url, "contains": "ok", "decompress": true })).await), "");
    assert_eq!(
        said(&ask(json!({ "url": url, "contains": "ok" })).await),
        "body: Body does not contain `ok` (it is packed as gzip; `decompress` unpacks it)"
    );
    let server = answering("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope");
    let finding = ask(json!({ "url": format!("http://{server}/"), "contains": "ok", "decompress": true })).await;
    assert_eq!(said(&finding), "protocol: Body cannot be unpacked: it is not the gzip it is said to be");
}

#[tokio::test]
async fn a_long_body_is_no_failure_unless_a_rule_needs_its_rest() {
    let body = "x".repeat(5000);
    let server = answering_owned(with_length("200 OK", &body));
    let url = format!("http://{server}/");
    let finding = ask(json!({ "url": url, "max_body": 1024 })).await;
    assert_eq!(said(&finding), "");
    assert!(row(&finding, "Body").starts_with("more than "), "{}", row(&finding, "Body"));
    assert_eq!(said(&ask(json!({ "url": url, "max_body": 1024, "contains": "xx" })).await), "");
    assert_eq!(
        said(&ask(json!({ "url": url, "max_body": 1024, "contains": "y" })).await),
        "too_large: Body is larger than `max_body`, and `y` was not found in what was read"
    );
    assert_eq!(said(&ask(json!({ "url": url, "max_body": 5000, "not_contains": "y" })).await), "");
}

// ---- redirects

#[tokio::test]
async fn redirects_are_followed_as_browsers_do() {
    let (server, requests) = serving_paths(&[
        (
            "/a",
            "HTTP/1.1 301 Moved Permanently\r\nLocation: /b\r\nSet-Cookie: step=1; Path=/\r\nContent-Length: 0\r\n\r\n",
        ),
        ("/b", "HTTP/1.1 307 Temporary Redirect\r\nLocation: c?x=1\r\nContent-Length: 0\r\n\r\n"),
        ("/c?x=1", "HTTP/1.1 303 See Other\r\nLocation: /d\r\nContent-Length: 0\r\n\r\n"),
        ("/d", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ]);
    let auth = json!({ "bearer": { "token": "t1" } });
    let finding = ask(json!({ "url": format!("http://{server}/a"), "method": "PUT", "body": { "text": "hi" }, "auth": auth, "contains": "ok" })).await;
    assert_eq!(said(&finding), "");
    assert_eq!(
        row(&finding, "Redirects"),
        format!("301 to http://{server}/b; 307 to http://{server}/c?x=1; 303 to http://{server}/d")
    );
    let requests = requests.lock().unwrap();
    let lines: Vec<_> = requests.iter().map(|it| it.lines().next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["PUT /a HTTP/1.1", "PUT /b HTTP/1.1", "PUT /c?x=1 HTTP/1.1", "GET /d HTTP/1.1"]);
    assert!(
        requests[2].contains("authorization: Bearer t1")
            && requests[2].contains("cookie: step=1")
            && requests[2].ends_with("hi")
    );
    assert!(!requests[3].contains("content-") && requests[3].ends_with("\r\n\r\n"), "{}", requests[3]);
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let (server, requests) = serving_paths(&[("/", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")]);
    let url = format!("http://{server}/");
    let finding = ask(json!({ "url": url })).await;
    assert_eq!(said(&finding), format!("redirects: More than 5 redirects, the last to {url}"));
    assert_eq!(requests.lock().unwrap().len(), 6);
    let finding = ask(json!({ "url": url, "redirects": 1 })).await;
    assert_eq!(said(&finding), format!("redirects: More than 1 redirect, the last to {url}"));
}

#[tokio::test]
async fn a_redirect_may_be_the_answer() {
    let server = answering(
        "HTTP/1.1 302 Found\r\nLocation: https://ada:canary@login.example/?token=canary\r\nContent-Length: 0\r\n\r\n",
    );
    let url = format!("http://{server}/");
    let finding = ask(json!({ "url": url, "redirects": 0 })).await;
    assert_eq!(said(&finding), "status: 302 Found, leads to https://login.example/?token=•••");
    assert!(!format!("{finding:?}").contains("canary"), "{finding:?}");
    assert_eq!(said(&ask(json!({ "url": url, "redirects": 0, "accept": [302] })).await), "");
}

#[tokio::test]
async fn redirects_out_of_the_web_are_refused() {
    for (location, words) in [
        ("ftp://shop.example/", "`ftp` is not http or https"),
        ("file:///etc/passwd", "`file` is not http or https"),
        ("http://[::1", "invalid IPv6 address"),
    ] {
        let server =
            answering_owned(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"));
        let finding = ask(json!({ "url": format!("http://{server}/") })).await;
        assert!(
            said(&finding).starts_with("redirects: Redirect to ") && said(&finding).contains(words),
            "{}",
            said(&finding)
        );
    }
}

#[tokio::test]
async fn the_egress_rule_holds_for_every_step() {
    let server = answering(
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n",
    );
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert!(said(&finding).starts_with("egress: Watchbell may not connect to 169.254.169.254"), "{}", said(&finding));
    assert_eq!(row(&finding, "Redirects"), "302 to http://169.254.169.254/latest/meta-data/");
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let (other, requests) = recording("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server =
        answering_owned(format!("HTTP/1.1 302 Found\r\nLocation: http://{other}/\r\nContent-Length: 0\r\n\r\n"));
    let headers = json!({ "Cookie": "canary=1", "Host": "shop.example", "Accept": "text/html" });
    let auth = json!({ "basic": { "user": "ada", "password": "canary" } });
    let finding = ask(json!({ "url": format!("http://{server}/"), "headers": headers, "auth": auth })).await;
    assert_eq!(said(&finding), "");
    let sent = requests.lock().unwrap().join("");
    assert!(sent.contains(&format!("host: {other}")) && sent.contains("accept: text/html"), "{sent}");
    assert!(!sent.contains("authorization") && !sent.contains("cookie"), "{sent}");
}

// ---- the zoo: every one ends in time, in words

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let server = serve(move |mut peer, _| {
        let counter = counter.clone();
        async move {
            peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
            while peer.try_send(&[b'x'; 16_384]).await {
                counter.fetch_add(16_384, Ordering::Relaxed);
            }
        }
    });
    let url = format!("http://{server}/");
    let finding = ask(json!({ "url": url, "contains": "ok" })).await;
    assert_eq!(said(&finding), "too_large: Body is larger than `max_body`, and `ok` was not found in what was read");
    let finding = ask(json!({ "url": url })).await;
    assert_eq!(said(&finding), "");
    assert!(sent.load(Ordering::Relaxed) < 32 << 20, "{} bytes were taken", sent.load(Ordering::Relaxed));
}

#[tokio::test]
async fn ten_declared_gigabytes_are_not_waited_for() {
    let server = serve(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").await;
        while peer.try_send(&[b'x'; 16_384]).await {}
    });
    let finding = ask(json!({ "url": format!("http://{server}/"), "json": [{ "path": "$", "exists": true }] })).await;
    assert_eq!(said(&finding), "too_large: Body is larger than `max_body`, and its JSON is incomplete");
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert_eq!(said(&finding), "");
    assert!(row(&finding, "Body").starts_with("more than 1."), "{}", row(&finding, "Body"));
}

#[tokio::test]
async fn endless_headers_are_cut() {
    for line in ["X-Line: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"] {
        let server = serve(move |mut peer, _| async move {
            peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\nX-First: 1").await;
            if line.ends_with('\n') {
                peer.send("\r\n").await;
            }
            while peer.try_send(line.repeat(100).as_bytes()).await {}
        });
        let finding = ask(json!({ "url": format!("http://{server}/") })).await;
        assert_eq!(said(&finding), "too_large: Headers of the answer are larger than 64 kB or more than 100 lines");
    }
}

#[tokio::test]
async fn a_flood_of_headers_is_cut() {
    let server = answering_owned(format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "A: b\r\n".repeat(5000)));
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert_eq!(said(&finding), "too_large: Headers of the answer are larger than 64 kB or more than 100 lines");
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let packed = gzip(&vec![0; 20_000_000]);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let server = answering_bytes([head.into_bytes(), packed].concat());
    let finding = ask(
        json!({ "url": format!("http://{server}/"), "decompress": true, "contains": "ok", "max_body": 16_777_216 }),
    )
    .await;
    assert_eq!(said(&finding), "too_large: Body unpacks to more than 100 times its size; it was not read further");
}

#[tokio::test]
async fn silence_at_every_step_ends_in_time() {
    let before_head = serve(|mut peer, _| async move {
        peer.request().await;
        sleep(FOREVER).await;
    });
    let in_head = serve(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-").await;
        sleep(FOREVER).await;
    });
    let in_body = serve(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        sleep(FOREVER).await;
    });
    let never_reads = serve(|peer, _| async move {
        let _open = peer;
        sleep(FOREVER).await;
    });
    let (full, _held) = full_backlog();
    for (url, words) in [
        (format!("http://{before_head}/"), "waiting for the first byte".to_owned()),
        (format!("http://{in_head}/"), "reading the headers".to_owned()),
        (format!("http://{in_body}/"), "reading the body, 5 bytes of 10 bytes so far".to_owned()),
        (format!("http://{never_reads}/"), "waiting for the first byte".to_owned()),
        (format!("https://{never_reads}/"), format!("no TLS handshake with {never_reads}")),
        (format!("http://{full}/"), format!("no connection to {full}")),
    ] {
        let finding = ask_within(json!({ "url": url }), Duration::from_millis(400)).await;
        let said = said(&finding);
        assert!(said.starts_with("timeout: Timed out after ") && said.ends_with(&words), "{url}: {said}");
    }
    let finding =
        ask_within(json!({ "url": format!("http://{never_reads}/"), "http_version": 2 }), Duration::from_millis(300))
            .await;
    assert!(said(&finding).ends_with("waiting for the first byte"), "{}", said(&finding));
}

#[tokio::test]
async fn a_drip_does_not_outlast_the_deadline() {
    let server = serve(|mut peer, _| async move {
        peer.request().await;
        for byte in "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".bytes() {
            peer.try_send(&[byte]).await;
            sleep(Duration::from_millis(5)).await;
        }
        while peer.try_send(b"x").await {
            sleep(Duration::from_millis(100)).await;
        }
    });
    let finding = ask_within(json!({ "url": format!("http://{server}/") }), Duration::from_secs(1)).await;
    let said = said(&finding);
    assert!(
        said.starts_with("timeout: Timed out after 1")
            && said.contains(" s reading the body, ")
            && said.ends_with("of 100 bytes so far"),
        "{said}"
    );
    assert_eq!(finding.evidence.body.as_deref().map(|body| body.starts_with('x')), Some(true));
}

#[tokio::test]
async fn a_hundred_provisional_answers_are_too_many() {
    let server = answering_owned(format!(
        "{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(100)
    ));
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert_eq!(said(&finding), "protocol: More than 8 provisional answers (1xx) and no real one");
    let server = answering_owned(format!(
        "{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(8)
    ));
    assert_eq!(said(&ask(json!({ "url": format!("http://{server}/") })).await), "");
}

#[tokio::test]
async fn provisional_answers_without_end_are_cut() {
    let server = serve(|mut peer, _| async move {
        peer.request().await;
        while peer.try_send(b"HTTP/1.1 102 Processing\r\n\r\n").await {}
    });
    let finding = ask(json!({ "url": format!("http://{server}/") })).await;
    assert_eq!(said(&finding), "protocol: More than 8 provisional answers (1xx) and no real one");
}

#[tokio::test]
async fn broken_connections_are_told_by_where_they_broke() {
    let closes_at_once = serve(|mut peer, _| async move {
        peer.request().await;
    });
    let closes_in_head = answering("HTTP/1.1 200 OK\r\nContent-");
    let resets = serve(|mut peer, _| async move {
        peer.request().await;
        peer.reset();
    });
    let resets_in_body = serve(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        sleep(Duration::from_millis(50)).await;
        peer.reset();
    });
    let short = answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    let cut_chunks = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    for (server, words) in [
        (closes_at_once, format!("reset: Connection closed by {closes_at_once} before the first byte of an answer")),
        (closes_in_head, format!("reset: Connection closed by {closes_in_head} in the middle of the headers")),
        (resets, format!("reset: Connection reset by {resets} before the answer was complete")),
        (
            resets_in_body,
            format!("reset: Connection reset by {resets_in_body} in the middle of the body, after 5 bytes of 10 bytes"),
        ),
        (short, format!("reset: Connection closed by {short} in the middle of the body, after 5 bytes of 10 bytes")),
        (cut_chunks, format!("reset: Connection closed by {cut_chunks} in the middle of the body, after 5 bytes")),
    ] {
        assert_eq!(said(&ask(json!({ "url": format!("http://{server}/") })).await), words);
    }
}

#[tokio::test]
async fn what_is_not_http_is_quoted() {
    for (answer, words) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", "protocol: Answer is not HTTP, it begins with `SSH-2.0-OpenSSH_9.6`"),
        ("<html>hello, 1991</html>", "protocol: Answer is not HTTP, it begins with `<html>hello, 1991</html>`"),
        ("\x15\x03\x01\x00\x02\x02\x28", "protocol: Server speaks TLS on this port; use https"),
        (
            "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
            "protocol: Answer breaks the rules of HTTP: invalid HTTP header parsed",
        ),
        ("HTTP/1.1 abc OK\r\n\r\n", "protocol: Answer breaks the rules of HTTP: invalid HTTP status-code parsed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "protocol: Answer breaks the rules of HTTP: invalid content-length parsed",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
            "protocol: Answer breaks the rules of HTTP: Invalid chunk size line: missing size digit",
        ),
    ] {
        let server = answering(answer);
        assert_eq!(said(&ask(json!({ "url": format!("http://{server}/") })).await), words);
    }
}

#[tokio::test]
async fn more_than_declared_is_not_read() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more that nobody asked for");
    let finding = ask(json!({ "url": format!("http://{server}/"), "regex": "^ok$" })).await;
    assert_eq!((said(&finding).as_str(), row(&finding, "Body").as_str()), ("", "2 bytes"));
}

#[tokio::test]
async fn old_servers_are_understood() {
    let server = answering("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    let finding = ask(json!({ "url": format!("http://{server}/"), "contains": "end" })).await;
    assert_eq!((said(&finding).as_str(), row(&finding, "Protocol").as_str()), ("", "HTTP/1.0"));
}

#[tokio::test]
async fn a_check_that_is_given_up_closes_its_connection() {
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = closed.clone();
    let server = serve(move |mut peer, _| {
        let counter = counter.clone();
        async move {
            peer.request().await;
            // Reads on until the other side is gone.
            while !peer.request().await.is_empty() {}
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    for version in ["1.1", "2"] {
        let probe = http(json!({ "url": format!("http://{server}/"), "http_version": version }));
        let world = World::new();
        let ctx = world.ctx(Duration::from_secs(30));
        assert!(tokio::time::timeout(Duration::from_millis(200), probe.ask(&ctx)).await.is_err());
    }
    eventually(|| closed.load(Ordering::Relaxed) == 2).await;
}

#[tokio::test]
async fn whatever_is_answered_a_check_ends_with_a_finding() {
    const ANSWERS: [&str; 4] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: a/b\r\n\r\n{\"a\":[1,2]}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nLocation: /next\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 9\r\n\r\n\x0b\x02\x70hello\x03",
    ];
    // A fixed seed: what fails once fails again.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let probe = |url: String| {
        http(json!({ "url": url, "decompress": true, "contains": "a", "json": [{ "path": "$.a", "exists": true }] }))
    };
    let world = World::new();
    for round in 0..400 {
        let mut answer = ANSWERS[round % ANSWERS.len()].as_bytes().to_vec();
        for _ in 0..1 + random(4) {
            let at = random(answer.len());
            match random(4) {
                0 => answer[at] = random(256) as u8,
                1 => answer.truncate(at + 1),
                2 => answer.insert(at, b"\r\n:0 \xff"[random(6)]),
                _ => drop(answer.remove(at.min(answer.len() - 1))),
            }
            if answer.is_empty() {
                answer.push(b'H');
            }
        }
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let server = answering_bytes(answer);
        let finding = world.ask(&probe(format!("http://{server}/")), Duration::from_millis(500)).await;
        assert!(!matches!(finding.outcome, Outcome::Local(_)), "{shown:?}: {finding:?}");
    }
}

// ---- HTTP/2

#[tokio::test]
async fn http_2_is_spoken_from_the_first_byte_or_by_agreement() {
    let clear = serve(|peer, _| async move { two(peer.stream, "two").await });
    let finding = ask(json!({ "url": format!("http://{clear}/"), "http_version": "2", "contains": "two" })).await;
    assert_eq!((said(&finding).as_str(), row(&finding, "Protocol").as_str()), ("", "HTTP/2"));

    let authority = Authority::new();
    let server = serve_tls(authority.server("localhost", &["h2", "http/1.1"]), |stream, alpn| async move {
        if alpn == "h2" { two(stream, "two").await } else { one(stream, "one").await }
    });
    let url = format!("https://localhost:{}/", server.port());
    for (version, protocol, body) in
        [("auto", "HTTP/2, TLS 1.3", "two"), ("2", "HTTP/2, TLS 1.3", "two"), ("1.1", "HTTP/1.1, TLS 1.3", "one")]
    {
        let finding =
            ask(json!({ "url": url, "http_version": version, "contains": body, "tls": { "ca": authority.pem } })).await;
        assert_eq!((said(&finding).as_str(), row(&finding, "Protocol").as_str()), ("", protocol));
    }
    let plain = serve_tls(authority.server("localhost", &[]), |stream, _| async move { one(stream, "one").await });
    let url = format!("https://localhost:{}/", plain.port());
    let finding = ask(json!({ "url": url, "http_version": "2", "tls": { "ca": authority.pem } })).await;
    assert_eq!(said(&finding), "protocol: localhost does not offer HTTP/2");
}

#[tokio::test]
async fn http_2_requests_say_where_they_go_once() {
    let server = serve(|peer, _| async move {
        let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
            let mut names: Vec<_> = request.headers().keys().map(ToString::to_string).collect();
            names.sort();
            let told = format!("{} {} {}", request.method(), request.uri(), names.join(","));
            Ok::<_, hyper::Error>(hyper::Response::new(http_body_util::Full::new(bytes::Bytes::from(told))))
        });
        let io = hyper_util::rt::TokioIo::new(peer.stream);
        let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        let _ = server.serve_connection(io, service).await;
    });
    for (headers, host) in
        [(json!({}), server.to_string()), (json!({ "Host": "shop.example" }), "shop.example".to_owned())]
    {
        // A status that is never good brings the body along as evidence.
        let finding = ask(json!({
            "url": format!("http://{server}/a?b=1"), "http_version": "2", "headers": headers, "accept": [599],
        }))
        .await;
        let sent = format!("GET http://{host}/a?b=1 accept,accept-encoding,user-agent");
        assert_eq!(finding.evidence.body, Some(sent));
    }
}

#[tokio::test]
async fn http_2_going_away_is_told() {
    // SETTINGS, then GOAWAY with ENHANCE_YOUR_CALM (RFC 9113, sections 6.5 and 6.8).
    let goaway: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    let server = serve(move |mut peer, _| async move {
        peer.request().await;
        peer.try_send(goaway).await;
        sleep(Duration::from_millis(200)).await;
    });
    let finding = ask(json!({ "url": format!("http://{server}/"), "http_version": "2" })).await;
    let text = said(&finding);
    assert!(text.starts_with("protocol: HTTP/2 failed: ") && text.contains("excessive load"), "{text}");
    let server = answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let finding = ask(json!({ "url": format!("http://{server}/"), "http_version": "2" })).await;
    assert!(said(&finding).starts_with("protocol: "), "{}", said(&finding));
}

#[tokio::test]
async fn http_2_bodies_and_headers_have_their_limits_too() {
    let server = serve(|peer, _| async move { two_with(peer.stream, "y".repeat(100_000), String::new()).await });
    let finding = ask(json!({ "url": format!("http://{server}/"), "http_version": "2" })).await;
    let text = said(&finding);
    assert!(text.starts_with("protocol: ") || text.starts_with("too_large: "), "{text}");
    let server = serve(|peer, _| async move { two_with(peer.stream, "y".to_owned(), "x".repeat(5_000_000)).await });
    let finding = ask(json!({ "url": format!("http://{server}/"), "http_version": "2", "contains": "ok" })).await;
    assert_eq!(said(&finding), "too_large: Body is larger than `max_body`, and `ok` was not found in what was read");
}

// ---- TLS

#[tokio::test]
async fn a_certificate_is_shown_with_its_days() {
    let authority = Authority::new();
    let server = serve_tls(authority.server("localhost", &[]), |stream, _| async move { one(stream, "ok").await });
    let url = format!("https://localhost:{}/", server.port());
    let finding = ask(json!({ "url": url, "tls": { "ca": authority.pem } })).await;
    assert_eq!(said(&finding), "");
    assert_eq!(finding.expires_at, Some("2099-05-20T00:00:00Z".parse().unwrap()));
    assert_eq!(row(&finding, "Certificate"), "CN localhost, 26733 days left until 2099-05-20");
    assert_eq!(row(&finding, "Protocol"), "HTTP/1.1, TLS 1.3");
    assert!(finding.phases.tls_us.is_some() && finding.phases.dns_us.is_some(), "{:?}", finding.phases);
}

#[tokio::test]
async fn bad_certificates_fail_are_noted_or_are_let_pass() {
    let authority = Authority::new();
    let expired = serve_tls(authority.expired("localhost"), |stream, _| async move { one(stream, "ok").await });
    let stranger =
        serve_tls(authority.server("other.example", &[]), |stream, _| async move { one(stream, "ok").await });
    let unknown =
        serve_tls(Authority::new().server("localhost", &[]), |stream, _| async move { one(stream, "ok").await });
    for (server, code) in [(expired, "tls_expired"), (stranger, "tls_name"), (unknown, "tls_untrusted")] {
        let url = format!("https://localhost:{}/", server.port());
        let strict = ask(json!({ "url": url, "tls": { "ca": authority.pem } })).await;
        assert!(said(&strict).starts_with(&format!("{code}: ")), "{}", said(&strict));
        assert!(strict.expires_at.is_some() && !row(&strict, "Certificate").is_empty(), "{strict:?}");
        let fallback = ask(json!({ "url": url, "tls": { "ca": authority.pem, "verify": "fallback" } })).await;
        assert_eq!(said(&fallback), "", "{code}");
        assert!(!row(&fallback, "Complaint").is_empty(), "{fallback:?}");
        let off = ask(json!({ "url": url, "tls": { "verify": "off" } })).await;
        assert_eq!(said(&off), "", "{code}");
        assert!(off.expires_at.is_some());
    }
    let url = format!("https://localhost:{}/", stranger.port());
    let named = ask(json!({ "url": url, "tls": { "ca": authority.pem, "server_name": "other.example" } })).await;
    assert_eq!(said(&named), "");
}

#[tokio::test]
async fn an_old_version_of_tls_is_refused_if_a_newer_one_is_asked_for() {
    let authority = Authority::new();
    let old = authority.with(&authority.leaf("localhost", 2099), &[&rustls::version::TLS12], None, &[]);
    let server = serve_tls(old, |stream, _| async move { one(stream, "ok").await });
    let url = format!("https://localhost:{}/", server.port());
    let finding = ask(json!({ "url": url, "tls": { "ca": authority.pem, "minimum": "1.3" } })).await;
    assert!(said(&finding).starts_with("tls: "), "{}", said(&finding));
    let finding = ask(json!({ "url": url, "tls": { "ca": authority.pem, "minimum": "1.2" } })).await;
    assert_eq!((said(&finding).as_str(), row(&finding, "Protocol").as_str()), ("", "HTTP/1.1, TLS 1.2"));
}

#[tokio::test]
async fn a_client_certificate_opens_the_door() {
    let authority = Authority::new();
    let (certificate, key) = authority.leaf("watchbell", 2099);
    let strict = authority.with(&authority.leaf("localhost", 2099), rustls::ALL_VERSIONS, Some(&authority), &[]);
    let server = serve_tls(strict, |stream, _| async move { one(stream, "ok").await });
    let url = format!("https://localhost:{}/", server.port());
    let finding = ask(
        json!({ "url": url, "tls": { "ca": authority.pem, "client_certificate": certificate, "client_key": key } }),
    )
    .await;
    assert_eq!(said(&finding), "");
    let finding = ask(json!({ "url": url, "tls": { "ca": authority.pem } })).await;
    assert!(said(&finding).contains("client certificate"), "{}", said(&finding));
}

#[tokio::test]
async fn leaving_https_is_noted() {
    let authority = Authority::new();
    let plain = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server = serve_tls(authority.server("localhost", &[]), move |mut stream, _| async move {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{plain}/\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    });
    let finding =
        ask(json!({ "url": format!("https://localhost:{}/", server.port()), "tls": { "ca": authority.pem } })).await;
    assert_eq!(said(&finding), "");
    assert_eq!(row(&finding, "Redirects"), format!("302 to http://{plain}/ (from https to http)"));
    assert!(finding.expires_at.is_some(), "the certificate on the way counts");
}

// ---- OAuth 2.0

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_it_ends() {
    let granted = r#"{"access_token":"t1","token_type":"Bearer","expires_in":60}"#;
    let (provider, asked) = recording_owned(with_length("200 OK", granted));
    let (server, requests) = recording("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let oauth2 = json!({ "token_url": format!("http://{provider}/token"), "client_id": "shop a", "client_secret": "se:cret", "scopes": ["a", "b"], "audience": "api" });
    let probe = http(json!({ "url": format!("http://{server}/"), "auth": { "oauth2": oauth2 } }));
    let mut world = World::new();
    for (second, fetched) in [(0, 1), (30, 1), (53, 1), (55, 2)] {
        world.now = Timestamp::from_secs(1_773_144_000 + second);
        let finding = world.ask(&probe, USUAL).await;
        assert_eq!(said(&finding), "");
        assert_eq!(asked.lock().unwrap().len(), fetched, "after {second} s");
    }
    assert!(requests.lock().unwrap().iter().all(|it| it.contains("authorization: Bearer t1\r\n")));
    let asked = asked.lock().unwrap()[0].clone();
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    // `shop+a:se%3Acret`
    assert!(asked.contains("authorization: Basic c2hvcCthOnNlJTNBY3JldA=="), "{asked}");
    assert!(asked.ends_with("grant_type=client_credentials&scope=a+b&audience=api"), "{asked}");
}

#[tokio::test]
async fn credentials_may_go_into_the_body() {
    let (provider, asked) = recording_owned(with_length("200 OK", r#"{"access_token":"t1"}"#));
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let oauth2 = json!({ "token_url": format!("http://{provider}/"), "client_id": "shop", "client_secret": "s&", "in_body": true });
    assert_eq!(said(&ask(json!({ "url": format!("http://{server}/"), "auth": { "oauth2": oauth2 } })).await), "");
    let asked = asked.lock().unwrap()[0].clone();
    assert!(asked.ends_with("grant_type=client_credentials&client_id=shop&client_secret=s%26"), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");
}

#[tokio::test]
async fn no_token_is_a_failure_of_its_own() {
    let refusing = answering_owned(with_length(
        "401 Unauthorized",
        r#"{"error":"invalid_client","error_description":"no such client"}"#,
    ));
    let silent = serve(|mut peer, _| async move {
        peer.request().await;
        sleep(FOREVER).await;
    });
    let babbling = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let mac = answering_owned(with_length("200 OK", r#"{"access_token":"t1","token_type":"mac"}"#));
    let endless = serve(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
        while peer.try_send(&[b'x'; 16_384]).await {}
    });
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (provider, words) in [
        (refusing, "401 Unauthorized: invalid_client (no such client)"),
        (silent, "Timed out after "),
        (babbling, "the answer holds no token (expected value"),
        (mac, "the token is of the type `mac`, expected Bearer"),
        (endless, "the answer is larger than 64 kB"),
        (gone, "Connection refused by"),
    ] {
        let oauth2 =
            json!({ "token_url": format!("http://{provider}/"), "client_id": "shop", "client_secret": "canary" });
        let finding = ask_within(
            json!({ "url": "http://127.0.0.1:9/", "auth": { "oauth2": oauth2 } }),
            Duration::from_millis(400),
        )
        .await;
        let text = said(&finding);
        assert!(text.starts_with(&format!("oauth2: No token from {provider}: {words}")), "{text}");
        assert!(!format!("{finding:?}").contains("canary"), "{finding:?}");
    }
}

#[tokio::test]
async fn a_withdrawn_token_is_renewed_at_once() {
    let count = Arc::new(AtomicUsize::new(0));
    let provider = serve(move |mut peer, _| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            peer.request().await;
            let granted = format!(r#"{{"access_token":"t{number}","expires_in":900}}"#);
            peer.send(&with_length("200 OK", &granted)).await;
        }
    });
    let server = serve(|mut peer, connection| async move {
        let request = peer.request().await;
        // The first token is good once.
        let good = connection == 0 || request.contains("Bearer t1");
        let status = if good { "200 OK" } else { "401 Unauthorized" };
        peer.send(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
    });
    let oauth2 = json!({ "token_url": format!("http://{provider}/"), "client_id": "shop", "client_secret": "s" });
    let probe = http(json!({ "url": format!("http://{server}/"), "auth": { "oauth2": oauth2 } }));
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(said(&world.ask(&probe, USUAL).await), "");
    }
}

#[tokio::test]
async fn a_token_is_not_renewed_for_a_stranger() {
    let provider = answering_owned(with_length("200 OK", r#"{"access_token":"canary","expires_in":900}"#));
    let (stranger, requests) = recording("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let server =
        answering_owned(format!("HTTP/1.1 302 Found\r\nLocation: http://{stranger}/\r\nContent-Length: 0\r\n\r\n"));
    let oauth2 = json!({ "token_url": format!("http://{provider}/"), "client_id": "shop", "client_secret": "s" });
    let probe = http(json!({ "url": format!("http://{server}/"), "auth": { "oauth2": oauth2 } }));
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(said(&world.ask(&probe, USUAL).await), "status: 401 Unauthorized");
    }
    let sent = requests.lock().unwrap().join("");
    assert!(!sent.contains("canary") && !sent.contains("authorization"), "{sent}");
}

// ---- network

#[tokio::test]
async fn a_proxy_is_gone_through() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let proxy = serve(move |mut peer, _| {
        let record = record.clone();
        async move {
            let request = peer.request().await;
            record.lock().unwrap().push(request);
            peer.send("HTTP/1.1 200 Connection established\r\n\r\n").await;
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            let mut onward = socket.connect(server).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut peer.stream, &mut onward).await;
        }
    });
    let finding =
        ask(json!({ "url": format!("http://{server}/"), "proxy": format!("http://ada:pw@{proxy}"), "contains": "ok" }))
            .await;
    assert_eq!((said(&finding).as_str(), row(&finding, "Proxy").as_str()), ("", proxy.to_string().as_str()));
    let seen = seen.lock().unwrap().join("");
    assert!(seen.starts_with(&format!("CONNECT {server} HTTP/1.1\r\n")), "{seen}");
    assert!(seen.to_lowercase().contains("proxy-authorization: basic ywrhonb3"), "{seen}");
    let refusing = answering("HTTP/1.1 403 Forbidden\r\n\r\n");
    let finding = ask(json!({ "url": format!("http://{server}/"), "proxy": format!("http://{refusing}") })).await;
    assert!(said(&finding).starts_with("proxy: ") && said(&finding).contains("403"), "{}", said(&finding));
}

#[tokio::test]
async fn the_family_is_kept_to() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://localhost:{}/", server.port());
    let finding = ask(json!({ "url": url, "family": "v4" })).await;
    assert_eq!(said(&finding), "");
    let finding = ask(json!({ "url": url, "family": "v6" })).await;
    assert_ne!(finding.outcome, Outcome::Ok);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_check_and_replaced_when_it_dies() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let server = serve(move |mut peer, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            for _ in 0..3 {
                if peer.request().await.is_empty() {
                    return;
                }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
            // The end comes between two checks, not with an answer.
            sleep(Duration::from_millis(10)).await;
        }
    });
    let probe = http(json!({ "url": format!("http://{server}/"), "connection": "reuse" }));
    let world = World::new();
    let mut told = Vec::new();
    for _ in 0..5 {
        let finding = world.ask(&probe, USUAL).await;
        assert_eq!(said(&finding), "");
        told.push(row(&finding, "Connection"));
        assert_eq!(row(&finding, "Address"), server.to_string());
        sleep(Duration::from_millis(30)).await;
    }
    let (new, kept, died) = ("new, none was kept", "kept from the check before", "new, the kept one had died");
    assert_eq!(told, [new, kept, kept, died, kept]);
    assert_eq!(connections.load(Ordering::Relaxed), 2);

    // Other settings never get a connection that was made for these.
    let changed = http(json!({ "url": format!("http://{server}/other"), "connection": "reuse" }));
    assert_eq!(row(&world.ask(&changed, USUAL).await, "Connection"), new);
}

#[tokio::test]
async fn http_2_connections_are_kept_too() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let server = serve(move |peer, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move { two(peer.stream, "ok").await }
    });
    let probe = http(
        json!({ "url": format!("http://{server}/"), "http_version": "2", "connection": "reuse", "contains": "ok" }),
    );
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(said(&world.ask(&probe, USUAL).await), "");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

// ---- helpers: asking

const USUAL: Duration = Duration::from_secs(5);
const FOREVER: Duration = Duration::from_secs(60);

/// 2026-03-10T12:00:00Z
const NOW: Timestamp = Timestamp::from_secs(1_773_144_000);

struct World {
    net: Net,
    reuse: Reuse,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self { net: Net::new(NetSettings::default()).unwrap(), reuse: Reuse::default(), now: NOW }
    }

    fn ctx(&self, limit: Duration) -> Ask<'_> {
        Ask { net: &self.net, deadline: deadline_in(limit), now: self.now, reuse: &self.reuse, monitor: 7 }
    }

    /// Asks, and sees to it that the deadline holds.
    async fn ask(&self, probe: &Http, limit: Duration) -> Finding {
        let watch = Stopwatch::start();
        let finding = probe.ask(&self.ctx(limit)).await;
        let took = watch.elapsed();
        assert!(took <= limit + Duration::from_millis(250), "it took {took:?}, the limit was {limit:?}: {finding:?}");
        assert!(finding.took <= took);
        finding
    }
}

async fn ask(settings: Value) -> Finding {
    ask_within(settings, USUAL).await
}

async fn ask_within(settings: Value, limit: Duration) -> Finding {
    World::new().ask(&http(settings), limit).await
}

fn http(settings: Value) -> Http {
    serde_json::from_value(settings).unwrap()
}

/// `code: text` of a failure; empty if all is well.
fn said(finding: &Finding) -> String {
    match &finding.outcome {
        Outcome::Ok => String::new(),
        Outcome::Fail(reason) => format!("{}: {}", reason.code, reason.text),
        Outcome::Local(reason) => format!("local {}: {}", reason.code, reason.text),
    }
}

fn row(finding: &Finding, name: &str) -> String {
    let row = finding.evidence.rows.iter().find(|row| row.name == name);
    row.map(|row| row.value.clone()).unwrap_or_default()
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come true within two seconds");
}

// ---- helpers: servers

/// The other side of a connection.
struct Peer<S = TcpStream> {
    stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Reads one request with its body; empty if the other side closed.
    async fn request(&mut self) -> String {
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&request);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .to_lowercase()
                    .split_once("content-length: ")
                    .map_or(0, |(_, rest)| rest.lines().next().unwrap_or_default().trim().parse().unwrap_or(0));
                if body.len() >= length {
                    return text.into_owned();
                }
            }
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return String::new(),
                Ok(read) => request.extend_from_slice(&chunk[..read]),
            }
        }
    }

    async fn send(&mut self, text: &str) {
        self.try_send(text.as_bytes()).await;
    }

    /// Whether the other side still takes anything.
    async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }
}

impl Peer {
    /// Closes with a reset instead of an end.
    fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A server that runs `script` for each connection, and closes the connection after it. The number counts connections.
fn serve<F, R>(script: F) -> SocketAddr
where
    F: Fn(Peer, usize) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(script(Peer { stream }, number));
        }
    });
    address
}

fn answering(answer: &'static str) -> SocketAddr {
    answering_bytes(answer.as_bytes().to_vec())
}

fn answering_owned(answer: String) -> SocketAddr {
    answering_bytes(answer.into_bytes())
}

fn answering_bytes(answer: Vec<u8>) -> SocketAddr {
    let answer: Arc<[u8]> = answer.into();
    serve(move |mut peer, _| {
        let answer = answer.clone();
        async move {
            peer.request().await;
            peer.try_send(&answer).await;
            let _ = peer.stream.shutdown().await;
            // A socket closed with something unread resets, and the answer may be lost with it.
            while matches!(peer.stream.read(&mut [0; 1024]).await, Ok(1..)) {}
        }
    })
}

fn with_length(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

type Requests = Arc<Mutex<Vec<String>>>;

fn recording(answer: &'static str) -> (SocketAddr, Requests) {
    recording_owned(answer.to_owned())
}

fn recording_owned(answer: String) -> (SocketAddr, Requests) {
    serving(move |_| answer.clone())
}

fn serving_paths(pages: &'static [(&'static str, &'static str)]) -> (SocketAddr, Requests) {
    serving(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let page = pages.iter().find(|(at, _)| *at == path);
        page.map_or("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", |(_, answer)| *answer).to_owned()
    })
}

fn serving(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (SocketAddr, Requests) {
    let requests = Requests::default();
    let record = requests.clone();
    let answer = Arc::new(answer);
    let address = serve(move |mut peer, _| {
        let (record, answer) = (record.clone(), answer.clone());
        async move {
            let request = peer.request().await;
            let text = answer(&request);
            record.lock().unwrap().push(request);
            peer.send(&text).await;
        }
    });
    (address, requests)
}

/// A listener that nobody accepts from and whose queue is full, and what fills it: connecting to it gets no answer.
fn full_backlog() -> (SocketAddr, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![listener];
    for _ in 0..8 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        held.push(socket);
    }
    (address.as_socket().unwrap(), held)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

async fn one<S: AsyncRead + AsyncWrite + Unpin>(stream: S, body: &'static str) {
    let mut peer = Peer { stream };
    peer.request().await;
    peer.send(&with_length("200 OK", body)).await;
    let _ = peer.stream.shutdown().await;
}

/// Speaks HTTP/2 until the other side has enough.
async fn two<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, body: &'static str) {
    two_with(stream, "y".to_owned(), body.to_owned()).await;
}

async fn two_with<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, header: String, body: String) {
    let service = hyper::service::service_fn(move |_| {
        let answer = hyper::Response::builder().header("x-y", &header);
        let answer = answer.body(http_body_util::Full::new(bytes::Bytes::from(body.clone())));
        async move { answer }
    });
    let io = hyper_util::rt::TokioIo::new(stream);
    let _ = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
        .serve_connection(io, service)
        .await;
}

// ---- helpers: TLS

/// An authority, and the certificates it gives out.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

/// A certificate and its key, in PEM.
type Leaf = (String, String);

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test authority");
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: rcgen::Issuer::new(params, key) }
    }

    fn leaf(&self, name: &str, until_year: i32) -> Leaf {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until_year, 5, 20);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, name: &str, alpn: &[&str]) -> TlsAcceptor {
        self.with(&self.leaf(name, 2099), rustls::ALL_VERSIONS, None, alpn)
    }

    fn expired(&self, name: &str) -> TlsAcceptor {
        self.with(&self.leaf(name, 2021), rustls::ALL_VERSIONS, None, &[])
    }

    fn with(
        &self,
        leaf: &Leaf,
        versions: &[&'static rustls::SupportedProtocolVersion],
        clients: Option<&Self>,
        alpn: &[&str],
    ) -> TlsAcceptor {
        let provider = watchbell_net::provider();
        let builder =
            rustls::ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(rustls_pki_types::CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![rustls_pki_types::CertificateDer::from_pem_slice(leaf.0.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(leaf.1.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// A server behind TLS; `script` gets the connection and the protocol agreed on.
fn serve_tls<F, R>(acceptor: TlsAcceptor, script: F) -> SocketAddr
where
    F: Fn(TlsStream, String) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let script = Arc::new(script);
    serve(move |peer, _| {
        let (acceptor, script) = (acceptor.clone(), script.clone());
        async move {
            let Ok(stream) = acceptor.accept(peer.stream).await else { return };
            let alpn = String::from_utf8_lossy(stream.get_ref().1.alpn_protocol().unwrap_or_default()).into_owned();
            script(stream, alpn).await;
        }
    })
}
