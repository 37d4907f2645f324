//! Remembers: SQLite and PostgreSQL, one set of statements.
