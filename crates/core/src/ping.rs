//! What a call of a heartbeat means: the address it called, its exit status, the words in its body. And the names
//! of runs, by which a finish finds its start.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Reason;
use crate::decide::Signal;

/// What the address said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The bare address: the job is done, unless its body says otherwise.
    Success,
    Start,
    Fail,
    Log,
    /// The job is done, with this exit status.
    Exit(u8),
}

/// How the calls of one heartbeat are understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Exit statuses that are a success; 0 alone if empty.
    pub good_exits: Vec<u8>,
    /// A bare call whose body holds one of these is a failure. Looked for first; upper and lower case differ.
    pub failure_words: Vec<String>,
    /// … a success. If there are any, a bare call with none of them is a failure.
    pub success_words: Vec<String>,
    /// … the start of a run.
    pub start_words: Vec<String>,
}

impl Hearing {
    /// What the call means; `body` is what came with it.
    pub fn signal(&self, call: Call, body: &[u8]) -> Signal {
        match call {
            Call::Start => Signal::Start,
            Call::Log => Signal::Log,
            Call::Fail => Signal::Fail(Reason::new("fail", "The job says that it failed")),
            Call::Exit(status) if self.is_good(status) => Signal::Success,
            Call::Exit(status) => Signal::Fail(Reason::new("exit", format!("The job ended with exit status {status}"))),
            Call::Success => self.said(body),
        }
    }

    fn is_good(&self, status: u8) -> bool {
        if self.good_exits.is_empty() { status == 0 } else { self.good_exits.contains(&status) }
    }

    fn said(&self, body: &[u8]) -> Signal {
        if let Some(word) = first_in(&self.failure_words, body) {
            Signal::Fail(Reason::new("words", format!("The job's output says `{word}`")))
        } else if first_in(&self.success_words, body).is_some() {
            Signal::Success
        } else if first_in(&self.start_words, body).is_some() {
            Signal::Start
        } else if self.success_words.is_empty() {
            Signal::Success
        } else {
            Signal::Fail(Reason::new("words", "The job's output says none of the words of a success"))
        }
    }
}

fn first_in<'a>(words: &'a [String], body: &[u8]) -> Option<&'a str> {
    let holds = |word: &&String| !word.is_empty() && body.windows(word.len()).any(|part| part == word.as_bytes());
    words.iter().find(holds).map(String::as_str)
}

/// The name of one run of a job, given by its sender (`rid`): a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u128);

impl RunId {
    pub const fn new(number: u128) -> Self {
        Self(number)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl FromStr for RunId {
    type Err = String;

    /// Only the canonical form, 8-4-4-4-12 digits; upper case will do.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no UUID");
        let lengths = text.split('-').map(str::len);
        if !lengths.eq([8, 4, 4, 4, 12]) || !text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(&text.replace('-', ""), 16).map(Self).map_err(|_| wrong())
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn only_an_expected_exit_status_is_a_success() {
        let usual = Hearing::default();
        assert_eq!(usual.signal(Call::Exit(0), b""), Signal::Success);
        let Signal::Fail(reason) = usual.signal(Call::Exit(24), b"") else { panic!("24 was taken for a success") };
        assert_eq!(reason.text, "The job ended with exit status 24");
        // rsync: some files vanished, which is all right.
        let rsync = Hearing { good_exits: vec![0, 24], ..Hearing::default() };
        assert_eq!(rsync.signal(Call::Exit(24), b""), Signal::Success);
        assert!(matches!(rsync.signal(Call::Exit(1), b""), Signal::Fail(_)));
    }

    #[test]
    fn words_are_looked_for_failure_first_then_success_then_start() {
        let hearing = Hearing {
            failure_words: words(&["ERROR"]),
            success_words: words(&["done"]),
            start_words: words(&["begin"]),
            ..Hearing::default()
        };
        assert!(matches!(hearing.signal(Call::Success, b"done, with 1 ERROR"), Signal::Fail(_)));
        assert_eq!(hearing.signal(Call::Success, b"begin .. done"), Signal::Success);
        assert_eq!(hearing.signal(Call::Success, b"begin"), Signal::Start);
        assert!(matches!(hearing.signal(Call::Success, b"error"), Signal::Fail(_)), "none of the words is a failure");
        assert!(matches!(hearing.signal(Call::Success, b""), Signal::Fail(_)));
        // Whoever calls a special address has said it already.
        assert_eq!(hearing.signal(Call::Start, b"ERROR"), Signal::Start);
        assert_eq!(hearing.signal(Call::Exit(0), b"ERROR"), Signal::Success);
    }

    #[test]
    fn with_words_of_failure_alone_everything_else_is_a_success() {
        let hearing = Hearing { failure_words: words(&["fatal"]), ..Hearing::default() };
        assert_eq!(hearing.signal(Call::Success, b"\xff\x00 all well"), Signal::Success);
        assert!(matches!(hearing.signal(Call::Success, b"\xff fatal \x00"), Signal::Fail(_)));
    }

    #[test]
    fn a_run_is_named_by_a_canonical_uuid() {
        let text = "728b3763-ee80-4113-9fc0-f840b6d4d7a4";
        assert_eq!(text.parse::<RunId>().unwrap().to_string(), text);
        assert_eq!(text.to_uppercase().parse::<RunId>(), text.parse());
        for wrong in [
            "",
            "728b3763ee8041139fc0f840b6d4d7a4",
            "{728b3763-ee80-4113-9fc0-f840b6d4d7a4}",
            "+28b3763-ee80-4113-9fc0-f840b6d4d7a4",
        ] {
            assert!(wrong.parse::<RunId>().is_err(), "{wrong}");
        }
    }
}
