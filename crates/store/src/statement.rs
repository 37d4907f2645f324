//! One text for both databases. Statements are named constants in lists, so that a test can prepare every one of
//! them on either engine. What stands in braces is filled in: lists of columns that several statements share, and
//! what the engines say differently, by `sqlite.rs` and `postgres.rs` under the same names.

use std::sync::OnceLock;

use crate::value::{Row, Value};
use crate::{Engine, postgres, sqlite};

/// A statement with `$1`, `$2`, … for its parameters.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    text: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Statement {
    pub(crate) const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// The text as the engine wants it.
    pub(crate) fn text(&self, engine: Engine) -> &str {
        match engine {
            // `$1` would be a *named* parameter there.
            Engine::Sqlite => self.sqlite.get_or_init(|| self.fill(&sqlite::PHRASES).replace('$', "?")),
            Engine::Postgres => self.postgres.get_or_init(|| self.fill(&postgres::PHRASES)),
        }
    }

    fn fill(&self, phrases: &[(&str, &str)]) -> String {
        let shared = [
            ("{delivery}", crate::outbox::DELIVERY),
            ("{incident}", crate::history::INCIDENT_WITH_SLUG),
            ("{transition}", crate::history::TRANSITION),
        ];
        shared.iter().chain(phrases).fold(self.text.to_owned(), |text, (name, phrase)| text.replace(name, phrase))
    }
}

/// Declares the statements of a module, and `STATEMENTS`, the list of them all.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$doc])* static $name: $crate::statement::Statement = $crate::statement::Statement::new(stringify!($name), $text);)+
        pub(crate) static STATEMENTS: &[&$crate::statement::Statement] = &[$(&$name),+];
    };
}
pub(crate) use statements;

/// Every statement there is.
pub(crate) fn all() -> impl Iterator<Item = &'static Statement> {
    [
        crate::accounts::STATEMENTS,
        crate::commit::STATEMENTS,
        crate::history::STATEMENTS,
        crate::journal::STATEMENTS,
        crate::lease::STATEMENTS,
        crate::monitors::STATEMENTS,
        crate::outbox::STATEMENTS,
        crate::pings::STATEMENTS,
        crate::results::STATEMENTS,
        crate::upkeep::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// One statement of a transaction that writes.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) statement: &'static Statement,
    pub(crate) values: Vec<Value>,
    pub(crate) expect: Expect,
}

/// How many rows a step must change or find. If it does not, the whole transaction is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Any,
    Rows(u64),
}

impl Step {
    pub(crate) const fn any(statement: &'static Statement, values: Vec<Value>) -> Self {
        Self { statement, values, expect: Expect::Any }
    }

    pub(crate) const fn one(statement: &'static Statement, values: Vec<Value>) -> Self {
        Self { statement, values, expect: Expect::Rows(1) }
    }
}

/// What a step gave: the rows it returned, and how many it changed or found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Done {
    pub(crate) rows: Vec<Row>,
    pub(crate) count: u64,
}

impl Done {
    pub(crate) fn meets(&self, expect: Expect) -> bool {
        match expect {
            Expect::Any => true,
            Expect::Rows(rows) => self.count == rows,
        }
    }
}

/// One statement that only reads.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) statement: &'static Statement,
    pub(crate) values: Vec<Value>,
}
