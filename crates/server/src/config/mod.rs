//! The configuration: read from YAML, judged, and watched for changes.
//!
//! One definition in [`spec`] says what can be written. Every mistake is told with its file, line and column, what was
//! expected and the nearest known name; a configuration is applied as a whole or not at all.

mod check;
mod complain;
mod decode;
mod load;
pub(crate) mod reload;
mod secrets;
pub(crate) mod spec;
mod tree;
mod variables;

pub(crate) use complain::nearest;
pub(crate) use load::{Loaded, Unusable, load_or_empty};
