//! Every statement there is can be prepared on either engine, and means the same shape of answer on both.

use std::collections::BTreeMap;

use watchbell_core::Secret;
use watchbell_store::{Engine, OpenSettings, Store};

use crate::both::{Database, runtime};

/// Per statement: how many parameters, and which columns.
type Shapes = BTreeMap<&'static str, (usize, Vec<String>)>;

#[test]
fn every_statement_prepares_on_both_engines_and_answers_in_the_same_columns() {
    let (sqlite, postgres) = (on_sqlite(), on_postgres());
    assert!(sqlite.len() > 60, "only {} statements are listed", sqlite.len());
    for (name, (parameters, columns)) in &sqlite {
        let (others, other_columns) = &postgres[name];
        assert_eq!(parameters, others, "parameters of {name}");
        assert_eq!(columns.len(), other_columns.len(), "columns of {name}");
        for (column, other) in columns.iter().zip(other_columns) {
            // What is computed has no name of its own on either.
            if other != "?column?" && column.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                assert_eq!(column, other, "a column of {name}");
            }
        }
    }
}

#[test]
fn names_of_statements_within_the_error_messages_are_unique_per_text() {
    let texts: BTreeMap<_, _> =
        Store::statements(Engine::Sqlite).into_iter().map(|(name, text)| (text, name)).collect();
    assert_eq!(texts.len(), Store::statements(Engine::Sqlite).len(), "a statement is listed twice");
}

fn on_sqlite() -> Shapes {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        Store::open(OpenSettings::folder(folder.path())).await.unwrap().close().await.unwrap();
    });
    let connection = rusqlite::Connection::open(folder.path().join("watchbell.db")).unwrap();
    numbered(Store::statements(Engine::Sqlite), |name, text| {
        let prepared = connection.prepare(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        let columns = prepared.column_names().map(|name| name.rsplit('.').next().unwrap().to_owned());
        (prepared.parameter_count(), columns.collect())
    })
}

fn on_postgres() -> Shapes {
    let database = Database::create();
    runtime().block_on(async {
        Store::open(OpenSettings::postgres(Secret::new(&*database.url))).await.unwrap().close().await.unwrap();
    });
    let runtime = runtime();
    let (client, connection) = runtime.block_on(tokio_postgres::connect(&database.url, tokio_postgres::NoTls)).unwrap();
    runtime.spawn(connection);
    numbered(Store::statements(Engine::Postgres), |name, text| {
        let prepared =
            runtime.block_on(client.prepare(text)).unwrap_or_else(|error| panic!("{name}: {error:?}\n{text}"));
        (prepared.params().len(), prepared.columns().iter().map(|column| column.name().to_owned()).collect())
    })
}

/// Modules may use one name each for a statement of theirs; both engines list them in the same order.
fn numbered(
    statements: Vec<(&'static str, &'static str)>,
    mut shape: impl FnMut(&str, &str) -> (usize, Vec<String>),
) -> Shapes {
    let mut shapes = Shapes::new();
    for (number, (name, text)) in statements.into_iter().enumerate() {
        let unique: &'static str = Box::leak(format!("{name} ({number})").into_boxed_str());
        shapes.insert(unique, shape(name, text));
    }
    shapes
}

#[test]
fn both_engines_have_the_same_tables_and_columns() {
    let sqlite = {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            Store::open(OpenSettings::folder(folder.path())).await.unwrap().close().await.unwrap();
        });
        let connection = rusqlite::Connection::open(folder.path().join("watchbell.db")).unwrap();
        let mut query = connection
            .prepare(
                "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY 1",
            )
            .unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>().unwrap()
    };
    let database = Database::create();
    let postgres = runtime().block_on(async {
        Store::open(OpenSettings::postgres(Secret::new(&*database.url))).await.unwrap().close().await.unwrap();
        let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let rows = client
            .query(
                "SELECT table_name || '.' || column_name FROM information_schema.columns
                 WHERE table_schema = 'public' AND table_name <> 'schema_version'",
                &[],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    });
    let (mut sqlite, mut postgres) = (sqlite, postgres);
    sqlite.sort();
    postgres.sort();
    assert_eq!(sqlite, postgres);
}

/// Tables that grow for ever. What is asked while people wait must find its rows by an index.
const GROWING: [&str; 7] = ["attempt", "audit", "delivery", "evidence", "incident", "result_block", "transition"];

/// Statements that may read one of them whole.
const WHOLE: [&str; 2] = ["COUNTS", "DROP_AUDIT"];

/// Indexes that hold only what is still open, and so stay small.
const OPEN: [&str; 6] =
    ["incident_open", "delivery_due", "delivery_order", "delivery_claim", "delivery_dead", "delivery_waiting"];

#[test]
fn no_question_reads_a_growing_table_whole() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        Store::open(OpenSettings::folder(folder.path())).await.unwrap().close().await.unwrap();
    });
    let connection = rusqlite::Connection::open(folder.path().join("watchbell.db")).unwrap();
    let mut bad = Vec::new();
    for (name, text) in Store::statements(Engine::Sqlite) {
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let nothing = vec![rusqlite::types::Null; explained.parameter_count()];
        let plan = explained.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
        for line in plan.map(Result::unwrap) {
            eprintln!("{name}: {line}");
            let scanned = line.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            if OPEN.iter().any(|index| line.ends_with(&format!(" INDEX {index}"))) {
                continue;
            }
            if scanned.is_some_and(|table| GROWING.contains(&table) || ["d", "e", "i", "b"].contains(&table))
                && !WHOLE.contains(&name)
            {
                bad.push(format!("{name}: {line}"));
            }
        }
    }
    assert_eq!(bad, Vec::<String>::new());
}
