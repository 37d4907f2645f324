//! One suite of questions, asked of SQLite and of PostgreSQL. It fails when either is not there.

mod accounts;
mod both;
mod broken_line;
mod commits;
mod examples;
mod history;
mod leases;
mod opening;
mod outbox;
mod pings;
mod results;
mod statements;
