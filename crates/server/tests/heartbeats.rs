//! Heartbeats as their callers know them: real curl, the words of other products' documentation, floods and kills.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::support::clock::{now, until};
use crate::support::database::Database;
use crate::support::http::{Answer, get, request};
use crate::support::watchbell::Home;

const ID: &str = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";
const KEY: &str = "k3v9qd7w2m5x8c1z4b6n0j";
const TOKEN: &str = "Zr8Yw1bC3dE5fG7hJ9kL2mN4pQ6sT0uV";
const PATIENCE: Duration = Duration::from_secs(20);

fn home(database: Database) -> Home {
    Home::new(
        database,
        &format!(
            "ping_key: {KEY}
monitors:
  backup: {{ heartbeat: {{ interval: 1h, grace: 5m, ping_id: {ID} }} }}
  router: {{ name: Edge router, group: Core, heartbeat: {{ interval: 60s, push_token: {TOKEN} }} }}
  quick: {{ heartbeat: {{ interval: 1h, min_run: 1m, max_run: 1h }} }}
  rsync: {{ heartbeat: {{ interval: 1h, accept_exit: [0, 24], failure_threshold: 2 }} }}
  words: {{ heartbeat: {{ schedule: 'Mon..Fri 03:00', timezone: Europe/Berlin, failure_words: [ERROR], success_words: [done] }} }}
  soon: {{ heartbeat: {{ interval: 1s, grace: 1s }} }}
"
        ),
    )
}

/// What the run log holds of a monitor, oldest first: kind, exit status, size, last line.
#[track_caller]
fn log(home: &Home, slug: &str) -> Vec<(String, String, String, String)> {
    let sql = format!(
        "select p.kind, p.exit_status, p.size, p.last_line from ping p join monitor m on m.id = p.monitor_id
         where m.slug = '{slug}' order by p.n"
    );
    let text = |column: &Option<String>| column.clone().unwrap_or_default();
    home.rows(&sql).iter().map(|row| (text(&row[0]), text(&row[1]), text(&row[2]), text(&row[3]))).collect()
}

fn state(home: &Home, slug: &str) -> String {
    let sql = format!("select s.body from state s join monitor m on m.id = s.monitor_id where m.slug = '{slug}'");
    let body = home.rows(&sql).first().and_then(|row| row[0].clone()).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(&body).expect("a state is JSON");
    body["verdict"].as_str().unwrap_or_default().to_owned()
}

/// A shell line as it stands in somebody's crontab.
#[track_caller]
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).env_remove("http_proxy").output().expect("there is a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn post(address: SocketAddr, path: &str, body: &[u8]) -> Answer {
    request(address, "POST", path, &[], body, Duration::from_secs(10)).expect("it answers")
}

#[test]
fn curl_calls_as_the_documentation_of_healthchecks_says() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    let url = home.url("/ping");
    shell(&format!("curl -fsS -m 10 --retry 5 -o /dev/null {url}/{ID}"));
    shell(&format!("false; curl -fsS -m 10 --retry 5 {url}/{ID}/$?"));
    shell(&format!(
        "m=$(echo 'line one'; echo 'the last line'); curl -fsS -m 10 --retry 5 --data-raw \"$m\" {url}/{ID}/0"
    ));
    shell(&format!("curl -fsS {url}/{ID}/start && curl -fsS {url}/{ID}/log --data-raw 'half way'"));
    shell(&format!("curl -fsS -X PUT {url}/{ID}/fail && curl -fsSI {url}/{ID}/"));
    shell(&format!("curl -fsS {url}/{KEY}/backup && curl -fsS {url}/{}", ID.to_uppercase()));
    let kinds: Vec<_> = log(&home, "backup").into_iter().map(|(kind, exit, _, last)| (kind, exit, last)).collect();
    let line = |kind: &str, exit: &str, last: &str| (kind.to_owned(), exit.to_owned(), last.to_owned());
    assert_eq!(
        kinds,
        [
            line("success", "", ""),
            line("fail", "1", ""),
            line("success", "0", "the last line"),
            line("start", "", ""),
            line("log", "", "half way"),
            line("fail", "", ""),
            line("success", "", ""),
            line("success", "", ""),
            line("success", "", ""),
        ]
    );
    let rows = home.rows("select method, address, agent from ping order by n");
    let methods: Vec<_> = rows.iter().map(|row| row[0].clone().unwrap_or_default()).collect();
    assert_eq!(methods, ["GET", "GET", "POST", "GET", "POST", "PUT", "HEAD", "GET", "GET"]);
    assert_eq!(rows[0][1].as_deref(), Some("127.0.0.1"));
    assert!(rows[0][2].as_deref().is_some_and(|agent| agent.starts_with("curl/")));
}

#[test]
fn the_answers_are_those_of_healthchecks_word_for_word() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    let ask = |path: &str| {
        let answer = get(home.address(), path).expect("it answers");
        (answer.status, answer.text())
    };
    let said = |status: u16, text: &str| (status, text.to_owned());
    let answer = get(home.address(), &format!("/ping/{ID}")).expect("it answers");
    assert_eq!((answer.status, answer.text()), said(200, "OK"));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("ping-body-limit", "10000"),
        ("access-control-allow-origin", "*"),
        ("cache-control", "max-age=0, no-cache, no-store, must-revalidate, private"),
    ] {
        assert_eq!(answer.headers.get(name), Some(value));
    }
    assert_eq!(ask(&format!("/ping/{ID}/255")), said(200, "OK"));
    assert_eq!(ask(&format!("/ping/{ID}/256")), said(400, "invalid url format"));
    assert_eq!(ask(&format!("/ping/{ID}/nonsense")), said(400, "invalid url format"));
    assert_eq!(ask(&format!("/ping/{KEY}/Backup")), said(400, "invalid url format"));
    assert_eq!(ask(&format!("/ping/{ID}?rid=not-a-uuid")), said(400, "invalid uuid format"));
    let missing = said(404, "not found");
    assert_eq!(ask("/ping/00000000-0000-4000-8000-000000000000"), missing);
    assert_eq!(ask("/ping/00000000-0000-4000-8000-000000000000/start"), missing);
    assert_eq!(ask("/ping/nobody"), missing);
    assert_eq!(ask(&format!("/ping/{KEY}/nobody")), missing);
    assert_eq!(ask("/ping/wrongkeywrongkeywrongk/backup"), missing);
    assert_eq!(ask("/ping/wrongkeywrongkeywrongk/nobody?create=1"), missing);

    assert_eq!(ask(&format!("/ping/{KEY}/made-by-runitor?create=1")), said(201, "Created"));
    assert_eq!(ask(&format!("/ping/{KEY}/made-by-runitor?create=1")), said(200, "OK"));
    let rows = home.rows("select spec from monitor where slug = 'made-by-runitor'");
    assert!(rows[0][0].as_deref().is_some_and(|spec| spec.contains("\"1d\"") && spec.contains("\"1h\"")), "{rows:?}");
    assert_eq!(log(&home, "made-by-runitor").len(), 2);
}

#[test]
fn runs_are_paired_with_their_starts_by_name() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    let call = |path: &str, run: u32| {
        let path = format!("/ping/{ID}{path}?rid=728b3763-ee80-4113-9fc0-{run:012}");
        assert_eq!(get(home.address(), &path).expect("it answers").status, 200);
    };
    call("/start", 1);
    sleep(Duration::from_millis(300));
    call("/start", 2);
    call("", 2);
    sleep(Duration::from_millis(100));
    call("", 1);
    // Overtaken: its finish has come already.
    call("/start", 1);
    call("", 3);
    let rows = home.rows("select took_ms from ping order by n");
    let took: Vec<Option<u64>> =
        rows.iter().map(|row| row[0].as_deref().map(|ms| ms.parse().expect("a number"))).collect();
    assert_eq!((took[0], took[1], took[4], took[5]), (None, None, None, None));
    assert!(took[2].is_some_and(|ms| ms < 250), "{took:?}");
    assert!(took[3].is_some_and(|ms| (400..5000).contains(&ms)), "{took:?}");
}

#[test]
fn what_a_job_says_is_understood_by_its_settings() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    let ok =
        |path: &str, body: &[u8]| assert_eq!(post(home.address(), &format!("/ping/{KEY}/{path}"), body).status, 200);
    ok("quick/start", b"");
    ok("quick", b"");
    assert_eq!(state(&home, "quick"), "down", "a run of a moment backed up nothing");
    ok("rsync/24", b"");
    assert_eq!(state(&home, "rsync"), "up");
    ok("rsync/1", b"");
    assert_eq!(state(&home, "rsync"), "up", "one failure is forgiven");
    ok("rsync/1", b"");
    assert_eq!(state(&home, "rsync"), "down");
    ok("words", b"all done");
    assert_eq!(state(&home, "words"), "up");
    ok("words", b"\xff\x00 done, but ERROR \xf0");
    assert_eq!(state(&home, "words"), "down");
    ok("words", b"done");
    ok("words", b"nothing of the sort");
    assert_eq!(state(&home, "words"), "down");
    assert_eq!(
        log(&home, "words").iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(),
        ["success", "fail", "success", "fail"]
    );
}

#[test]
fn a_body_of_any_size_and_any_bytes_is_taken_and_its_ends_are_kept() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).chain(*b"\nthe end\n").collect();
    assert_eq!(post(home.address(), &format!("/ping/{ID}"), &body).status, 200);
    let rows = home.rows("select size, length(head), length(tail), last_line from ping");
    let row: Vec<&str> = rows[0].iter().map(|column| column.as_deref().unwrap_or_default()).collect();
    assert_eq!(row, ["3000009", "5000", "5000", "the end"]);
}

#[test]
fn uptime_kuma_s_push_and_gatus_external_endpoints_are_spoken() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    let json = |path: &str| {
        let answer = get(home.address(), path).expect("it answers");
        (answer.status, answer.text())
    };
    let push = format!("/api/push/{TOKEN}");
    let well = (200, r#"{"ok":true}"#.to_owned());
    assert_eq!(json(&format!("{push}?status=up&msg=OK&ping=12.5")), well);
    assert_eq!(state(&home, "router"), "up");
    assert_eq!(json(&format!("{push}?status=down&msg=no+carrier&ping=")), well);
    assert_eq!(state(&home, "router"), "down");
    assert_eq!(json(&push), well);
    assert_eq!(json("/api/push/wrong"), (404, r#"{"ok":false,"msg":"Monitor not found or not active."}"#.to_owned()));
    let rows = home.rows("select took_ms, last_line from ping order by n");
    assert_eq!(rows[0], [Some("12".to_owned()), Some("OK".to_owned())]);
    assert_eq!(rows[1], [None, Some("no carrier".to_owned())]);

    let bearer = format!("Bearer {TOKEN}");
    let external = |key: &str, asked: &str, token: &str| {
        let path = format!("/api/v1/endpoints/{key}/external?{asked}");
        let headers = [("Authorization", token)];
        request(home.address(), "POST", &path, &headers, b"", Duration::from_secs(10)).expect("it answers").status
    };
    assert_eq!(external("core_edge-router", "success=false&error=timeout&duration=10s", &bearer), 200);
    assert_eq!(state(&home, "router"), "down");
    assert_eq!(external("router", "success=true&error=&duration=1m2.5s", &bearer), 200);
    assert_eq!(state(&home, "router"), "up");
    assert_eq!(external("core_edge-router", "success=perhaps", &bearer), 400);
    assert_eq!(external("core_edge-router", "success=true&duration=soon", &bearer), 400);
    assert_eq!(external("core_edge-router", "success=true", "Bearer wrong"), 401);
    assert_eq!(external("nobody", "success=true", &bearer), 404);
    let rows = home.rows("select kind, took_ms from ping where n > 3 order by n");
    let text = |kind: &str, took: &str| vec![Some(kind.to_owned()), Some(took.to_owned())];
    assert_eq!(rows, [text("fail", "10000"), text("success", "62500")]);
}

#[test]
fn silence_can_be_asked_for_by_address() {
    let home = home(Database::Sqlite);
    let watchbell = home.start();
    let ask = |method: &str, what: &str| {
        let path = format!("/ping/{KEY}/soon{what}");
        request(home.address(), method, &path, &[], b"", Duration::from_secs(10)).expect("it answers").status
    };
    assert_eq!(ask("GET", "/pause"), 405, "whoever only shows a link silences nobody");
    assert_eq!(ask("POST", "/snooze?for=for+ever"), 400);
    assert_eq!(ask("GET", ""), 200);
    assert_eq!(ask("POST", "/snooze?for=1h"), 200);
    sleep(Duration::from_secs(4));
    assert_eq!(state(&home, "soon"), "up", "it is silent, and may be");
    assert_eq!(ask("POST", "/snooze?for=0s"), 200);
    until("the silence to be noticed", PATIENCE, || (state(&home, "soon") == "down").then_some(()));
    assert_eq!(ask("POST", "/pause"), 200);
    assert_eq!(ask("GET", ""), 200, "a ping of a paused heartbeat is written down");
    assert_eq!(state(&home, "soon"), "unknown");
    assert_eq!(ask("POST", "/resume"), 200);
    assert_eq!(ask("GET", ""), 200);
    assert_eq!(state(&home, "soon"), "up");
    assert_eq!(watchbell.metric("watchbell_pings_total"), Some(3.0));
}

#[test]
fn a_deadline_fires_within_a_second() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    assert_eq!(get(home.address(), &format!("/ping/{KEY}/soon")).expect("it answers").status, 200);
    until("the silence to be noticed", PATIENCE, || (state(&home, "soon") == "down").then_some(()));
    let rows = home.rows("select t.at - t.since from transition t where t.new_verdict = 'down'");
    let late: i64 = rows[0][0].as_deref().and_then(|text| text.parse().ok()).expect("a number");
    assert!((0..1000).contains(&late), "{late} ms late");
}

#[test]
fn silence_while_the_process_was_suspended_is_not_held_against_the_job() {
    let home = home(Database::Sqlite);
    let watchbell = home.start();
    assert_eq!(get(home.address(), &format!("/ping/{KEY}/soon")).expect("it answers").status, 200);
    let id = watchbell.id();
    // Longer than a ping waits for its answer.
    shell(&format!("kill -STOP {id}; sleep 7; kill -CONT {id}"));
    until("the silence to be noticed", PATIENCE, || (state(&home, "soon") == "down").then_some(()));
    let rows = home.rows(
        "select t.new_verdict, t.code from transition t join monitor m on m.id = t.monitor_id
         where m.slug = 'soon' order by t.seq",
    );
    let text = |verdict: &str, code: &str| vec![Some(verdict.to_owned()), Some(code.to_owned())];
    assert_eq!(rows, [text("up", "pinged"), text("unknown", "deaf"), text("down", "silent")]);
    assert_eq!(home.rows("select code from gap where code = 'deaf'").len(), 1);
}

#[test]
fn whoever_guesses_is_slowed_down_and_whoever_knows_is_not() {
    let home = home(Database::Sqlite);
    let _watchbell = home.start();
    let statuses: Vec<u16> =
        (0..150).map(|n| get(home.address(), &format!("/ping/{KEY}/guess-{n}")).expect("it answers").status).collect();
    assert!(statuses[..120].iter().all(|status| *status == 404));
    assert!(statuses[120..].iter().all(|status| *status == 429), "{statuses:?}");
    assert_eq!(get(home.address(), &format!("/ping/{ID}")).expect("it answers").status, 200);
    assert_eq!(get(home.address(), &format!("/api/push/{TOKEN}")).expect("it answers").status, 200);
}

/// Sends the same call again and again over one connection, `at_once` of them before reading the answers. Gives how
/// many were answered with 200.
fn stream(address: SocketAddr, path: &str, count: usize, at_once: usize, on_each: impl Fn()) -> usize {
    #[expect(clippy::disallowed_methods, reason = "a test's own client talks to the product from outside")]
    let Ok(stream) = TcpStream::connect(address) else { return 0 };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_nodelay(true);
    let call = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").repeat(at_once);
    let mut reader = BufReader::new(&stream);
    let mut answered = 0;
    for _ in 0..count / at_once {
        if (&stream).write_all(call.as_bytes()).is_err() {
            return answered;
        }
        for _ in 0..at_once {
            let (mut line, mut length, mut well) = (String::new(), 0, false);
            loop {
                line.clear();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return answered;
                }
                well |= line.starts_with("HTTP/1.1 200");
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap_or(0);
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return answered;
            }
            if well {
                answered += 1;
                on_each();
            }
        }
    }
    answered
}

#[test]
fn ten_thousand_pings_to_one_heartbeat_are_all_heard() {
    let home = home(Database::Sqlite);
    let watchbell = home.start();
    let began = now();
    let answered: usize = scope(|threads| {
        let callers: Vec<_> =
            (0..100).map(|_| threads.spawn(|| stream(home.address(), &format!("/ping/{ID}"), 100, 1, || ()))).collect();
        callers.into_iter().map(|caller| caller.join().expect("no caller panics")).sum()
    });
    let took = began.elapsed();
    println!("10,000 pings to one heartbeat took {took:?}");
    assert_eq!(answered, 10_000);
    assert_eq!(watchbell.metric("watchbell_pings_total"), Some(10_000.0));
    let rows = home.rows("select count(*), max(n) from ping");
    let kept: usize = rows[0][0].as_deref().and_then(|text| text.parse().ok()).expect("a number");
    assert!((1000..1100).contains(&kept), "{kept} are kept");
    assert_eq!(rows[0][1].as_deref(), Some("10000"));
    // In an unoptimised build, beside other tests.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn every_ping_answered_with_200_survives_kills_on_sqlite() {
    survives_kills(Database::Sqlite);
}

#[test]
fn every_ping_answered_with_200_survives_kills_on_postgres() {
    survives_kills(Database::postgres());
}

/// Many callers count their answers, each for a heartbeat of its own, while the server is killed again and again. The
/// numbers of the run log then show whether one is missing.
fn survives_kills(database: Database) {
    const CALLERS: usize = 16;
    let monitors: String =
        (0..CALLERS).map(|n| format!("  beat-{n}: {{ heartbeat: {{ interval: 1h, grace: 1h }} }}\n")).collect();
    let text = format!("ping_key: {KEY}\nretention: {{ pings: 100000 }}\nmonitors:\n{monitors}");
    let home = Home::new(database, &text);
    let answered: Vec<AtomicU64> = (0..CALLERS).map(|_| AtomicU64::new(0)).collect();
    let ending = AtomicBool::new(false);
    scope(|threads| {
        for (n, answered) in answered.iter().enumerate() {
            let (address, ending) = (home.address(), &ending);
            threads.spawn(move || {
                while !ending.load(Ordering::Relaxed) {
                    let path = format!("/ping/{KEY}/beat-{n}");
                    stream(address, &path, 400, 4, || {
                        answered.fetch_add(1, Ordering::Relaxed);
                    });
                    sleep(Duration::from_millis(5));
                }
            });
        }
        for kill in 0..4 {
            let watchbell = home.start();
            sleep(Duration::from_millis(700 + 150 * kill));
            watchbell.kill();
        }
        ending.store(true, Ordering::Relaxed);
    });
    let mut total = 0;
    for (n, answered) in answered.iter().enumerate() {
        let sql = format!(
            "select count(*), max(p.n), count(distinct p.n) from ping p join monitor m on m.id = p.monitor_id where m.slug = 'beat-{n}'"
        );
        let row = home.rows(&sql).remove(0);
        let number = |column: usize| row[column].as_deref().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let answered = answered.load(Ordering::Relaxed);
        total += answered;
        assert!(number(0) >= answered, "beat-{n}: {answered} were answered, {} are stored", number(0));
        assert_eq!((number(1), number(2)), (number(0), number(0)), "beat-{n}: the numbers have holes");
        assert_eq!(state(&home, &format!("beat-{n}")), "up");
    }
    println!("{total} pings were answered with 200 over 4 kills; all are stored");
    assert!(total > 1000, "only {total} pings: too few to prove anything");
}
