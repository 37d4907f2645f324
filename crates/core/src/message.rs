//! What a channel is given to compose from: a notice with everything people may ask about it, frozen when it was decided.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::NoticeKind;
use crate::{Slug, Timestamp};

/// One notice, ready to be told. It is stored with the delivery, so that a restart, a changed name or a
/// deleted monitor cannot change what is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    pub event: NoticeKind,
    pub monitor: MonitorRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentRef>,
    /// Why, in one sentence: "502 Bad Gateway".
    pub reason: String,
    /// The reason's stable name: `status`, `timeout`, `refused`.
    pub code: String,
    /// Since when it has been so: the first failure.
    pub since: Timestamp,
    /// When it was decided.
    pub at: Timestamp,
    /// For `up` and `closed`: when the incident began; `at` minus this is how long it lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// For a reminder: which one, beginning with 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder: Option<u32>,
    /// What was seen: name and value, a few rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<(String, String)>,
    /// Why this channel hears it: "shop tells oncall of everything".
    pub because: String,
    /// The monitor's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The same on every try of one delivery, different for every other.
    pub key: String,
    /// A test that a person asked for, about nothing real.
    #[serde(default, skip_serializing_if = "is_false")]
    pub test: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The monitor a message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MonitorRef {
    pub slug: Slug,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `http`, `tcp`, `heartbeat`, …
    pub kind: String,
    /// What is asked, for people: an address or a URL without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The incident a message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentRef {
    /// The monitor's number and the transition's: `17-3`.
    pub id: String,
    pub since: Timestamp,
}
