//! Tells people. One file per channel: its settings, and a pure function that composes the call which delivers a
//! message. Only [`deliver`] sends anything; it knows no channel's format, and the channels know no sockets.

use watchbell_core::Message;
use watchbell_core::kind::Kind;
use watchbell_core::kinds;

pub mod call;
pub mod deliver;
mod email;
mod json;
pub mod retry;
mod slack;
mod telegram;
mod template;
mod tls;
mod webhook;
pub mod words;

pub use call::{Accepted, Answer, Call, Refusal, Request};
pub use deliver::Sender;
pub use email::{Mail, Relay, Security};
pub use tls::Tls;
pub use webhook::Method;

kinds! {
    /// Where people hear of it.
    pub enum Channel {
        webhook::Webhook,
        email::Email,
        telegram::Telegram,
        slack::Slack,
    }
}

/// What every channel can do: turn a message into a call, and judge the answer.
pub trait ChannelKind: Kind {
    /// The call that delivers this message. Pure, and the same on every try: [`deliver`] makes the call, tests compare text.
    fn compose(&self, message: &Message) -> Call;

    /// What an answer means. Most services follow HTTP; the few that say 200 and mean no override this.
    fn accepted(&self, answer: &Answer) -> Result<(), Refusal> {
        answer.by_status()
    }

    /// The name the service gave what it accepted, if it gives one.
    fn reference(&self, _answer: &Answer) -> Option<String> {
        None
    }

    /// Where it goes, for people: no token, no password, no secret address.
    fn target(&self) -> String;
}

impl Channel {
    pub fn compose(&self, message: &Message) -> Call {
        each!(self, it => it.compose(message))
    }

    pub fn accepted(&self, answer: &Answer) -> Result<(), Refusal> {
        each!(self, it => it.accepted(answer))
    }

    pub fn reference(&self, answer: &Answer) -> Option<String> {
        each!(self, it => it.reference(answer))
    }

    /// Where it goes, for people: `-100200300 on Telegram`, `ops@example.org by mail.example.org`.
    pub fn target(&self) -> String {
        each!(self, it => it.target())
    }
}
