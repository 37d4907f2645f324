//! Receivers of notices: a webhook, and servers that speak Telegram's and Slack's language.
//!
//! Each keeps a ledger of every request, synced to disk before the request is answered, and misbehaves as it is told.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::clock::{until, wall_ms};
use super::http::{Manner, Request, Server};
use super::process::log_file;

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Order of arrival over all connections.
    pub(crate) at_ms: i64,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
    /// The sender was told that it arrived.
    pub(crate) accepted: bool,
}

impl Told {
    /// The monitor's slug and the event, of a webhook's body.
    pub(crate) fn monitor_and_event(&self) -> (&str, &str) {
        (self.body["monitor"]["slug"].as_str().unwrap_or(""), self.body["event"].as_str().unwrap_or(""))
    }
}

/// How a sink treats a request that it understood.
type Temper = dyn FnMut(&Told) -> Manner + Send;

/// A receiver with its ledger.
pub(crate) struct Sink {
    server: Server,
    ledger: Arc<Mutex<Ledger>>,
    temper: Arc<Mutex<Box<Temper>>>,
}

struct Ledger {
    file: File,
    told: Vec<Told>,
}

impl Sink {
    /// Takes any POST and answers 200.
    pub(crate) fn webhook(folder: &Path) -> Self {
        Self::start(folder, "webhook", |request, temper, told| {
            let mut told = told(&request, json_body(&request));
            let manner = if request.method == "POST" { temper(&told) } else { Manner::status(405) };
            told.accepted = manner.is_success();
            (told, manner)
        })
    }

    /// `POST /bot<token>/sendMessage` as the Bot API answers it.
    pub(crate) fn telegram(folder: &Path) -> Self {
        let messages = AtomicU64::new(1);
        Self::start(folder, "telegram", move |request, temper, told| {
            let mut told = told(&request, json_or_form_body(&request));
            let known = request.path.starts_with("/bot") && request.path.ends_with("/sendMessage");
            let manner = if !known {
                Manner::json(404, &json!({"ok": false, "error_code": 404, "description": "Not Found"}))
            } else if told.body["chat_id"].is_null() || told.body["text"].is_null() {
                let description = "Bad Request: chat_id or message text is empty";
                Manner::json(400, &json!({"ok": false, "error_code": 400, "description": description}))
            } else {
                match temper(&told) {
                    Manner::Answer { status: 200, .. } => {
                        let id = messages.fetch_add(1, Ordering::Relaxed);
                        let chat = json!({"id": told.body["chat_id"], "type": "group", "title": "Watch"});
                        let result = json!({"message_id": id, "date": wall_ms() / 1000, "chat": chat, "text": told.body["text"]});
                        Manner::json(200, &json!({"ok": true, "result": result}))
                    }
                    Manner::Answer { status: 429, .. } => {
                        let description = "Too Many Requests: retry after 1";
                        let parameters = json!({"retry_after": 1});
                        Manner::json(
                            429,
                            &json!({"ok": false, "error_code": 429, "description": description, "parameters": parameters}),
                        )
                    }
                    other => other,
                }
            };
            told.accepted = manner.is_success();
            (told, manner)
        })
    }

    /// An incoming webhook (`/services/…`, answers `ok`) and the method `chat.postMessage` (`/api/chat.postMessage`).
    pub(crate) fn slack(folder: &Path) -> Self {
        Self::start(folder, "slack", |request, temper, told| {
            let mut told = told(&request, json_or_form_body(&request));
            let has_words =
                !told.body["text"].is_null() || !told.body["blocks"].is_null() || !told.body["attachments"].is_null();
            let manner = if request.path == "/api/chat.postMessage" {
                if request.headers.get("authorization").is_none() {
                    Manner::json(200, &json!({"ok": false, "error": "not_authed"}))
                } else if !has_words {
                    Manner::json(200, &json!({"ok": false, "error": "no_text"}))
                } else {
                    match temper(&told) {
                        Manner::Answer { status: 200, .. } => {
                            let ts = format!("{}.000100", wall_ms() / 1000);
                            Manner::json(200, &json!({"ok": true, "channel": told.body["channel"], "ts": ts}))
                        }
                        other => other,
                    }
                }
            } else if !has_words {
                Manner::Answer { status: 400, headers: Vec::new(), body: "no_text".to_owned() }
            } else {
                match temper(&told) {
                    Manner::Answer { status: 200, .. } => {
                        Manner::Answer { status: 200, headers: Vec::new(), body: "ok".to_owned() }
                    }
                    other => other,
                }
            };
            told.accepted = manner.is_success();
            (told, manner)
        })
    }

    fn start(
        folder: &Path,
        name: &str,
        answer: impl Fn(Request, &mut Temper, &dyn Fn(&Request, Value) -> Told) -> (Told, Manner) + Send + Sync + 'static,
    ) -> Self {
        let file = log_file(&ledger_path(folder, name));
        let ledger = Arc::new(Mutex::new(Ledger { file, told: Vec::new() }));
        let polite: Box<Temper> = Box::new(|_| Manner::status(200));
        let temper = Arc::new(Mutex::new(polite));
        let server = Server::start({
            let (ledger, temper) = (Arc::clone(&ledger), Arc::clone(&temper));
            move |request| {
                // The ledger is locked first: order in the ledger is order of judging.
                let mut ledger = locked(&ledger);
                let (told, manner) = answer(request, &mut **locked(&temper), &|request, body| Told {
                    at_ms: wall_ms(),
                    path: request.path.clone(),
                    key: key_of(request, &body),
                    body,
                    accepted: false,
                });
                ledger.write(told);
                manner
            }
        });
        Self { server, ledger, temper }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// From now on requests are treated so; the sink's own protocol is kept where the answer is 200.
    pub(crate) fn behave(&self, temper: impl FnMut(&Told) -> Manner + Send + 'static) {
        *locked(&self.temper) = Box::new(temper);
    }

    /// Everything so far, in order of arrival.
    pub(crate) fn told(&self) -> Vec<Told> {
        locked(&self.ledger).told.clone()
    }

    /// What the sender was told had arrived.
    pub(crate) fn accepted(&self) -> Vec<Told> {
        self.told().into_iter().filter(|told| told.accepted).collect()
    }

    /// Waits for the first accepted request that `wanted` likes.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, patience: Duration, wanted: impl Fn(&Told) -> bool) -> Told {
        until(what, patience, || self.accepted().into_iter().find(&wanted))
    }
}

impl Ledger {
    fn write(&mut self, told: Told) {
        let line =
            json!({"at": told.at_ms, "path": told.path, "key": told.key, "accepted": told.accepted, "body": told.body});
        writeln!(self.file, "{line}").and_then(|()| self.file.sync_data()).expect("the ledger can be written");
        self.told.push(told);
    }
}

fn ledger_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.ledger"))
}

/// The header, else the body's own field.
fn key_of(request: &Request, body: &Value) -> Option<String> {
    request.headers.get("idempotency-key").or(body["key"].as_str()).map(str::to_owned)
}

fn json_body(request: &Request) -> Value {
    serde_json::from_slice(&request.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&request.body).into_owned()))
}

fn json_or_form_body(request: &Request) -> Value {
    let is_form = request.headers.get("content-type").is_some_and(|value| value.starts_with("application/x-www-form"));
    if !is_form {
        return json_body(request);
    }
    let fields = url::form_urlencoded::parse(&request.body);
    Value::Object(fields.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
