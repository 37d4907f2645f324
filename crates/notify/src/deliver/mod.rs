//! The only place that sends. One try of one delivery: composed by its channel, sent over a connection that the net
//! crate opened under the egress rule, bounded in time and size, its answer judged by the channel again.
//!
//! Every delivery has a connection of its own: notices are rare and far between, a fresh one never fails for having
//! been idle, and nothing of one channel can be seen by another.

mod http;
mod redact;
mod smtp;

use std::time::Duration;

use watchbell_core::Message;
use watchbell_net::{DialError, Net, stopwatch};

use crate::call::LONGEST_TEXT;
use crate::words::one_line;
use crate::{Accepted, Call, Channel, Refusal, Request, telegram};
use redact::Redactor;

/// One try takes no longer, whatever the other side does: less than half of the time a try is claimed for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Sends messages. Cloning it is cheap.
#[derive(Clone)]
pub struct Sender {
    net: Net,
    /// In place of Telegram's own address.
    telegram_api: Option<String>,
    patience: Duration,
}

impl Sender {
    /// `telegram_api` replaces `https://api.telegram.org`, for a Bot API server of one's own.
    pub fn new(net: Net, telegram_api: Option<String>) -> Self {
        Self { net, telegram_api, patience: PATIENCE }
    }

    /// With less patience than [`PATIENCE`], for a person who waits in front of a test button.
    #[must_use]
    pub fn patient_for(self, patience: Duration) -> Self {
        Self { patience: patience.min(PATIENCE), ..self }
    }

    /// One try of one delivery, bounded by [`PATIENCE`] in all.
    pub async fn send(&self, channel: &Channel, message: &Message) -> Result<Accepted, Refusal> {
        let limit = Limit { at: stopwatch::deadline_in(self.patience), length: self.patience };
        match channel.compose(message) {
            Call::Http(mut request) => {
                self.redirect_telegram(channel, &mut request);
                let redactor = Redactor::for_request(&request);
                let outcome = http::send(&self.net, &request, &redactor, limit).await;
                let outcome = outcome.and_then(|answer| {
                    channel.accepted(&answer)?;
                    let provider_ref = channel.reference(&answer);
                    Ok(Accepted { status: Some(answer.status), provider_ref, answer: answer.body })
                });
                tidy(outcome, &redactor)
            }
            Call::Mail(mail) => {
                let redactor = Redactor::for_mail(&mail);
                tidy(smtp::send(&self.net, &mail, limit).await, &redactor)
            }
        }
    }

    fn redirect_telegram(&self, channel: &Channel, request: &mut Request) {
        if let (Channel::Telegram(_), Some(base)) = (channel, &self.telegram_api)
            && let Some(method) = request.url.expose().strip_prefix(telegram::API)
        {
            request.url = watchbell_core::Secret::new(format!("{}{method}", base.trim_end_matches('/')));
        }
    }
}

/// When a delivery ends, and how long that was from its beginning, for sentences.
#[derive(Clone, Copy)]
struct Limit {
    at: tokio::time::Instant,
    length: Duration,
}

impl Limit {
    /// A step that has to end in time; `what` did not happen otherwise.
    async fn bound<T>(self, what: &str, step: impl Future<Output = T>) -> Result<T, Refusal> {
        let waited = watchbell_net::fault::seconds(self.length);
        tokio::time::timeout_at(self.at, step)
            .await
            .map_err(|_| Refusal::later(format!("Timed out after {waited}: {what}")))
    }
}

/// What is kept and shown is one bounded line without secrets.
fn tidy(outcome: Result<Accepted, Refusal>, redactor: &Redactor) -> Result<Accepted, Refusal> {
    let tidied = |text: &str| one_line(&redactor.redact(text), LONGEST_TEXT - 1);
    match outcome {
        Ok(accepted) => Ok(Accepted {
            answer: tidied(&accepted.answer),
            provider_ref: accepted.provider_ref.map(|reference| tidied(&reference)),
            ..accepted
        }),
        Err(Refusal::Later { after, why }) => Err(Refusal::Later { after, why: tidied(&why) }),
        Err(Refusal::Never { why }) => Err(Refusal::Never { why: tidied(&why) }),
    }
}

/// No connection. Only the egress rule is sure to say the same next time; everything else may pass.
fn not_connected(error: &DialError) -> Refusal {
    match error.reason.code.as_ref() {
        "egress" => Refusal::never(&error.reason.text),
        _ => Refusal::later(&error.reason.text),
    }
}
