//! A *kind* is one way of doing a family's job: `http` is a kind of probe, `telegram` a kind of channel.
//!
//! A kind is one file and its name in the family's list. Configuration, database value, API body, schema,
//! form, manual and tests all come from that file's one definition.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What every kind of every family says about itself.
pub trait Kind: Serialize + DeserializeOwned + JsonSchema {
    /// A working setting: printed in the manual, offered in the form, parsed by the tests.
    fn example() -> Self;

    /// Refuses what the types cannot: each complaint is the field's path and a sentence.
    fn validate(&self) -> Vec<Complaint> {
        Vec::new()
    }
}

/// A setting that parses but cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Dotted path below the kind, e.g. `url` or `assertions[0].regex`.
    pub field: String,
    /// What is wrong and what would work.
    pub sentence: String,
}

impl Complaint {
    pub fn new(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { field: field.into(), sentence: sentence.into() }
    }
}

/// One kind, as the form, the API reference and the manual see it.
pub struct Entry {
    /// The key in configuration, API and database; also the module's name. Never renamed.
    pub name: &'static str,
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    pub example: fn() -> serde_json::Value,
}

/// Declares a family: an externally tagged enum whose keys are the modules' names, and the list `ALL`.
#[macro_export]
macro_rules! kinds {
    ($(#[$about:meta])* pub enum $Family:ident { $($module:ident::$Variant:ident,)+ }) => {
        $(pub use $module::$Variant;)+

        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $Family { $($Variant($Variant)),+ }

        impl $Family {
            /// Every kind, in the order people see them.
            pub const ALL: &[$crate::kind::Entry] = &[$($crate::kind::Entry {
                name: stringify!($module),
                schema: |generator| generator.subschema_for::<$Variant>(),
                example: || serde_json::to_value($Family::$Variant($crate::kind::Kind::example())).expect("an example serialises"),
            }),+];

            /// The key of this kind.
            pub const fn kind(&self) -> &'static str {
                match self { $($Family::$Variant(_) => stringify!($module)),+ }
            }

            /// What parses but cannot work; see [`watchbell_core::kind::Kind::validate`].
            pub fn validate(&self) -> Vec<$crate::kind::Complaint> {
                match self { $($Family::$Variant(it) => $crate::kind::Kind::validate(it)),+ }
            }
        }

        /// Runs `$body` with the inner kind bound to `$it`.
        macro_rules! each { ($family:expr, $it:ident => $body:expr) => {
            match $family { $($Family::$Variant($it) => $body),+ }
        } }
    };
}
