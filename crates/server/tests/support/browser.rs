//! A real, headless Chromium, steered through chromedriver (WebDriver over HTTP).

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::clock::until;
use super::http::request;
use super::process::{Process, log_file, program};

/// A browser with one window. Dropping it closes the browser.
pub(crate) struct Browser {
    driver: SocketAddr,
    session: String,
    /// Kept for as long as the browser runs: driver, profile and log.
    _driver: Process,
    _folder: TempDir,
}

#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// The name that WebDriver gives to the key of an element's reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A page may take this long to load, and a script to answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Browser {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("watchbell-browser-").tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        let file = log_file(&log);
        let mut process = Process::start(&program("chromedriver"), |command| {
            // Settings, caches and crash reports of the browser stay in the folder.
            command.arg("--port=0").env("HOME", folder.path()).current_dir(folder.path());
            command.stdout(file.try_clone().expect("a second handle")).stderr(file);
        });
        let port = until("chromedriver to listen", PATIENCE, || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            assert!(process.ended().is_none(), "chromedriver ended: {text}");
            let rest = text.split_once("started successfully on port ")?.1;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
        });
        let driver = SocketAddr::from(([127, 0, 0, 1], port));
        let profile = folder.path().join("profile");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let options = json!({"binary": program("chromium"), "args": arguments});
        let always = json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let body = json!({"capabilities": {"alwaysMatch": always}});
        let answer = ask(driver, "POST", "/session", &body).expect("chromedriver to start a browser");
        let session = answer["sessionId"].as_str().expect("a session has a number").to_owned();
        Self { driver, session, _driver: process, _folder: folder }
    }

    /// Opens a page and waits until it is loaded.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    pub(crate) fn url(&self) -> String {
        self.value("GET", "/url", &Value::Null).as_str().unwrap_or("").to_owned()
    }

    /// The words that a person sees.
    pub(crate) fn text(&self) -> String {
        self.script("return document.body ? document.body.innerText : ''").as_str().unwrap_or("").to_owned()
    }

    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str, patience: Duration) {
        until(&format!("the page to show {text:?}"), patience, || self.text().contains(text).then_some(()));
    }

    /// Runs a function body in the page and gives what it returns.
    #[track_caller]
    pub(crate) fn script(&self, source: &str) -> Value {
        self.command("/execute/sync", &json!({"script": source, "args": []}))
    }

    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into a field as a person does.
    #[track_caller]
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command(&format!("/element/{element}/clear"), &json!({}));
        self.command(&format!("/element/{element}/value"), &json!({"text": text}));
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let found = until(&format!("an element {selector}"), Duration::from_secs(5), || {
            let body = json!({"using": "css selector", "value": selector});
            ask(self.driver, "POST", &self.path("/element"), &body).ok()
        });
        found[ELEMENT].as_str().expect("an element has a reference").to_owned()
    }

    /// What the system of the person prefers.
    pub(crate) fn prefer(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// A telephone, 390 points wide.
    pub(crate) fn be_a_phone(&self) {
        let metrics = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    pub(crate) fn be_a_desktop(&self) {
        self.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
    }

    /// Writes a picture of the window where `WATCHBELL_TEST_SHOTS` says; elsewhere it only has to be possible.
    pub(crate) fn picture(&self, name: &str) -> Vec<u8> {
        let encoded = self.value("GET", "/screenshot", &Value::Null);
        let encoded = encoded.as_str().expect("a picture is text").as_bytes();
        let picture = data_encoding::BASE64.decode(encoded).expect("a picture is base64");
        if let Some(folder) = std::env::var_os("WATCHBELL_TEST_SHOTS") {
            let folder = Path::new(&folder);
            fs::create_dir_all(folder).expect("a folder for pictures");
            fs::write(folder.join(format!("{name}.png")), &picture).expect("a file for a picture");
        }
        picture
    }

    /// Fails if a page has reported an error since the last call: a script, a missing file, the content policy.
    #[track_caller]
    pub(crate) fn expect_no_errors(&self) {
        let log = self.command("/se/log", &json!({"type": "browser"}));
        let errors: Vec<&Value> =
            log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE").collect();
        assert!(errors.is_empty(), "the browser reports errors: {errors:#?}");
    }

    fn devtools(&self, method: &str, parameters: &Value) {
        self.command("/goog/cdp/execute", &json!({"cmd": method, "params": parameters}));
    }

    #[track_caller]
    fn command(&self, path: &str, body: &Value) -> Value {
        self.value("POST", path, body)
    }

    #[track_caller]
    fn value(&self, method: &str, path: &str, body: &Value) -> Value {
        ask(self.driver, method, &self.path(path), body)
            .unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    fn path(&self, rest: &str) -> String {
        format!("/session/{}{rest}", self.session)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Err(error) = ask(self.driver, "DELETE", &self.path(""), &Value::Null) {
            eprintln!("the browser could not be closed: {error}");
        }
    }
}

/// One WebDriver command; its `value`, or the driver's message.
fn ask(driver: SocketAddr, method: &str, path: &str, body: &Value) -> io::Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [("Content-Type", "application/json")];
    let answer = request(driver, method, path, &headers, body.as_bytes(), PATIENCE + Duration::from_secs(30))?;
    let mut answered: Value = serde_json::from_slice(&answer.body)?;
    let value = answered["value"].take();
    if answer.status == 200 {
        return Ok(value);
    }
    let message = value["message"].as_str().unwrap_or("no message").lines().next().unwrap_or("").to_owned();
    Err(io::Error::other(message))
}
