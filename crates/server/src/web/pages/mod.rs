//! The pages of the console, a file each.

pub(crate) mod about;
pub(crate) mod alerting;
pub(crate) mod channel;
pub(crate) mod deliveries;
pub(crate) mod edit;
pub(crate) mod incident;
pub(crate) mod incidents;
pub(crate) mod monitor;
pub(crate) mod overview;
pub(crate) mod problems;
pub(crate) mod profile;
pub(crate) mod tokens;
pub(crate) mod tried;
