//! What it means. The ground crate: it decides, and knows neither socket nor clock nor database.
//!
//! Two functions carry the product. [`decide::decide`] says what an event means for one monitor;
//! [`route::route`] says who hears of it. Both are pure: the same arguments give the same answer.

pub mod address;
pub mod catalog;
pub mod decide;
pub mod finding;
pub mod history;
pub mod kind;
pub mod message;
pub mod ping;
pub mod policy;
pub mod route;
pub mod schedule;
pub mod secret;
pub mod slug;
pub mod state;
pub mod time;

pub use finding::{Evidence, Finding, Outcome, Phases, Reason};
pub use message::{IncidentRef, Message, MonitorRef};
pub use ping::RunId;
pub use policy::Policy;
pub use secret::Secret;
pub use slug::Slug;
pub use state::{State, Verdict};
pub use time::{Span, Timestamp};
