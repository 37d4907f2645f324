//! What the tests share: the real binary, real servers around it, and servers that misbehave on request.
//!
//! Everything listens on 127.0.0.1 on a free port, lies in a folder of its own and ends with the value that holds it,
//! also when a test fails, so that tests can run side by side.

pub(crate) mod browser;
pub(crate) mod clock;
pub(crate) mod database;
pub(crate) mod http;
pub(crate) mod mail;
pub(crate) mod nginx;
pub(crate) mod orthanc;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod sink;
pub(crate) mod watchbell;

mod check;
