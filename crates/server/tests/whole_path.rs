//! The whole way: real servers are stopped and started, and the news arrives, once, everywhere it should.

use std::time::Duration;

use crate::support::browser::{Browser, Scheme};
use crate::support::clock::until;
use crate::support::database::Database;
use crate::support::mail::MailServer;
use crate::support::nginx::Nginx;
use crate::support::orthanc::Orthanc;
use crate::support::sink::Sink;
use crate::support::watchbell::{Home, Watchbell};

/// With the intervals below an outage is confirmed within two seconds; the rest is patience with a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A change is on the page at most so long after it was decided.
const SEEN_WITHIN_MS: f64 = 1000.0;

#[test]
fn an_outage_and_its_end_arrive_once_everywhere_and_the_page_shows_them_at_once() {
    let mut nginx = Nginx::start();
    let mut orthanc = Orthanc::start();
    let mut mail = MailServer::with_starttls();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let everyone = Everyone {
        webhook: Sink::webhook(folder.path()),
        telegram: Sink::telegram(folder.path()),
        slack: Sink::slack(folder.path()),
    };
    let configuration = format!(
        r#"
channels:
  ops: {{ webhook: {{ url: "{webhook}" }} }}
  oncall: {{ telegram: {{ token: "123:abc", chat_id: "-100200300" }} }}
  chat: {{ slack: {{ webhook_url: "{slack}" }} }}
  mail: {{ email: {{ host: localhost, port: {smtp}, from: watchbell@example.org, to: [ops@example.org] }} }}
defaults:
  interval: 500ms
  retry_interval: 250ms
  timeout: 3s
  failure_threshold: 2
  success_threshold: 2
  notify: [ops, oncall, chat, mail]
monitors:
  front:
    name: Shop front
    group: Web
    probe: {{ http: {{ url: "{nginx}", accept: [200-299], contains: "ok" }} }}
  pacs:
    name: Archive
    probe: {{ http: {{ url: "{orthanc}" }} }}
  pacs-dicom:
    name: Archive intake
    probe: {{ tcp: {{ address: "{dicom}" }} }}
"#,
        webhook = everyone.webhook.url("/hook"),
        slack = everyone.slack.url("/services/T0/B0/x"),
        smtp = mail.address().port(),
        nginx = nginx.url(),
        orthanc = orthanc.url(),
        dicom = orthanc.dicom(),
    );
    let home = Home::new(Database::Sqlite, &configuration)
        .set("WATCHBELL_TELEGRAM_API", everyone.telegram.url(""))
        .set("SSL_CERT_FILE", mail.authority().display().to_string());
    let mut watchbell = home.start();
    let browser = Browser::start();
    browser.open(&watchbell.setup_link());
    sign_up(&browser);
    wait_until_all_up(&watchbell, 3);
    browser.open(&home.url("/"));
    browser.wait_for_text("Shop front", SOON);

    for (slug, name) in [("front", "Shop front"), ("pacs", "Archive")] {
        let stop: &mut dyn FnMut() = match slug {
            "front" => &mut || nginx.stop(),
            _ => &mut || orthanc.stop(),
        };
        let seen = Seen::expect(&browser, name, "down");
        stop();
        let down = everyone.hear(slug, "down");
        seen.within(&browser, down);
        if slug == "pacs" {
            everyone.hear("pacs-dicom", "down");
        }
        browser.picture(&format!("overview-{slug}-down"));

        let start: &mut dyn FnMut() = match slug {
            "front" => &mut || nginx.start_again(),
            _ => &mut || orthanc.start_again(),
        };
        let seen = Seen::expect(&browser, name, "up");
        start();
        let up = everyone.hear(slug, "up");
        seen.within(&browser, up);
    }
    wait_until_all_up(&watchbell, 3);
    everyone.hear("pacs-dicom", "up");
    let subject = |mail: &crate::support::mail::Mail| mail.header("subject").unwrap_or_default();
    mail.wait_for("the last mail", SOON, |mail| {
        subject(mail).contains("Archive intake") && subject(mail).contains("up")
    });
    until("nothing more to tell", SOON, || {
        (watchbell.metric("watchbell_deliveries_waiting")? == 0.0 && mail.mails().len() >= 6).then_some(())
    });

    // One down and one up for each of three monitors, everywhere, and nothing else.
    for slug in ["front", "pacs", "pacs-dicom"] {
        let told = everyone.webhook.told();
        let events: Vec<&str> = told
            .iter()
            .map(|told| told.monitor_and_event())
            .filter(|(of, _)| *of == slug)
            .map(|(_, event)| event)
            .collect();
        assert_eq!(events, ["down", "up"], "{slug}");
    }
    for told in everyone.webhook.told() {
        let body = &told.body;
        assert_eq!(told.key.as_deref(), body["key"].as_str(), "header and body name the same key");
        for field in ["reason", "at"] {
            assert!(body[field].is_string(), "{field} is missing in {body}");
        }
        assert!(body["incident"]["id"].is_string() && body["incident"]["since"].is_string(), "{body}");
        assert!(body["monitor"]["name"].is_string(), "{body}");
    }
    assert_eq!(everyone.telegram.told().len(), 6);
    assert_eq!(everyone.slack.told().len(), 6);
    let mails = mail.mails();
    assert_eq!(mails.len(), 6);
    let ids: std::collections::BTreeSet<String> = mails.iter().filter_map(|mail| mail.header("message-id")).collect();
    assert_eq!(ids.len(), 6, "every mail has a Message-ID of its own");
    browser.expect_no_errors();
    watchbell.expect_alive();
    assert_eq!(watchbell.stop().code(), Some(0), "{}", home.log());
}

#[test]
fn every_page_of_the_console_opens_without_an_error_in_both_schemes_and_on_a_phone() {
    let nginx = Nginx::start();
    let configuration = format!(
        "channels:\n  ops: {{ webhook: {{ url: \"http://127.0.0.1:9/hook\" }} }}\nmonitors:\n  \
         front: {{ name: Shop front, probe: {{ http: {{ url: \"{}\" }} }}, interval: 500ms }}\n  \
         gone: {{ name: Nobody there, probe: {{ tcp: {{ address: \"127.0.0.1:9\" }} }}, interval: 500ms, retry_interval: 250ms, \
         failure_threshold: 2, notify: [ops] }}\n  \
         backup: {{ heartbeat: {{ interval: 1h }} }}\n",
        nginx.url()
    );
    let home = Home::new(Database::Sqlite, &configuration);
    let mut watchbell = home.start();
    let browser = Browser::start();
    browser.open(&watchbell.setup_link());
    sign_up(&browser);
    until("one down", SOON, || {
        let page = watchbell.get("/metrics").ok()?.text();
        page.lines()
            .find(|line| line.starts_with("watchbell_monitor_up{monitor=\"gone\"") && line.ends_with(" 0"))
            .map(drop)
    });
    let pages = [
        "/",
        "/monitors/front",
        "/monitors/gone",
        "/monitors/backup",
        "/new",
        "/incidents",
        "/alerting",
        "/alerting/new",
        "/alerting/deliveries",
        "/problems",
        "/settings",
        "/settings/tokens",
        "/settings/about",
    ];
    for (scheme, scheme_name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        browser.prefer(scheme);
        for page in pages {
            browser.open(&home.url(page));
            expect_page(&browser, &home.url(page), page);
            let name = page.trim_matches('/').replace('/', "-");
            browser.picture(&format!("{}-{scheme_name}", if name.is_empty() { "overview" } else { &name }));
        }
    }
    browser.be_a_phone();
    for page in pages {
        browser.open(&home.url(page));
        expect_page(&browser, &home.url(page), page);
        let (inner, content) =
            (browser.script("return innerWidth"), browser.script("return document.documentElement.scrollWidth"));
        assert!(content.as_u64() <= inner.as_u64(), "{page} is {content} points wide on a phone of {inner}");
        let name = page.trim_matches('/').replace('/', "-");
        browser.picture(&format!("{}-phone", if name.is_empty() { "overview" } else { &name }));
    }
    browser.be_a_desktop();
    watchbell.expect_alive();
}

#[track_caller]
fn expect_page(browser: &Browser, url: &str, page: &str) {
    assert_eq!(browser.url(), url, "{page} leads elsewhere");
    let text = browser.text();
    assert!(text.len() > 40, "{page} is nearly empty: {text:?}");
    browser.expect_no_errors();
}

/// Makes the first account on the page that the set-up link leads to.
#[track_caller]
fn sign_up(browser: &Browser) {
    browser.fill("form[action='/setup'] input[name=name]", "Ada");
    browser.fill("form[action='/setup'] input[name=password]", "a long and quiet night watch");
    browser.click("form[action='/setup'] button.primary");
    until("the overview", SOON, || url::Url::parse(&browser.url()).ok().filter(|url| url.path() == "/"));
    browser.expect_no_errors();
}

fn wait_until_all_up(watchbell: &Watchbell<'_>, monitors: usize) {
    until("everything to be up", SOON, || {
        let page = watchbell.get("/metrics").ok()?.text();
        let ups = page.lines().filter(|line| line.starts_with("watchbell_monitor_up{") && line.ends_with(" 1"));
        (ups.count() == monitors).then_some(())
    });
}

/// The receivers that speak over HTTP.
struct Everyone {
    webhook: Sink,
    telegram: Sink,
    slack: Sink,
}

impl Everyone {
    /// Waits until the webhook has heard it; when it was decided, in milliseconds since the epoch.
    #[track_caller]
    fn hear(&self, slug: &str, event: &str) -> i64 {
        let told =
            self.webhook.wait_for(&format!("{slug} {event}"), SOON, |told| told.monitor_and_event() == (slug, event));
        let at = told.body["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        at.expect("a moment in the webhook's body").as_millisecond()
    }
}

/// A page that is being watched for a word beside a monitor's name, without being loaded again.
struct Seen<'a> {
    name: &'a str,
    word: &'a str,
}

impl<'a> Seen<'a> {
    /// From now on the page notes when it first shows `word` for the monitor called `name`.
    fn expect(browser: &Browser, name: &'a str, word: &'a str) -> Self {
        browser.script(&format!(
            r#"
            window.stayed = true;
            window.seenAt = null;
            const shows = () => [...document.querySelectorAll('li.card.{word} a, tr.is-{word} a')].some(
                it => it.textContent.trim() === {name:?});
            const look = () => {{ if (window.seenAt === null && shows()) window.seenAt = Date.now(); }};
            window.looking?.disconnect();
            window.looking = new MutationObserver(look);
            window.looking.observe(document.body, {{ subtree: true, childList: true, attributes: true, characterData: true }});
            look();
            "#
        ));
        Self { name, word }
    }

    #[track_caller]
    fn within(&self, browser: &Browser, decided_ms: i64) {
        let Self { name, word } = self;
        let seen_ms =
            until(&format!("the page to show {name} {word}"), SOON, || browser.script("return window.seenAt").as_f64());
        let after = seen_ms - decided_ms as f64;
        assert!(after < SEEN_WITHIN_MS, "{name} {word}: on the page {after} ms after it was decided");
        assert_eq!(browser.script("return window.stayed"), true, "the page was loaded again");
        println!("{name} {word}: on the page {after} ms after it was decided");
    }
}
