//! The pages of the console, a file each.

pub(crate) mod about;
pub(crate) mod alerting;
pub(crate) mod channel;
pub(crate) mod deliveries;
pub(crate) mod edit;
mod evidence;
pub(crate) mod heartbeats;
pub(crate) mod incident;
pub(crate) mod incidents;
pub(crate) mod monitor;
pub(crate) mod overview;
pub(crate) mod problems;
pub(crate) mod profile;
pub(crate) mod tokens;
pub(crate) mod tried;

/// Texts that must never become anything but text.
#[cfg(test)]
pub(crate) const PAYLOADS: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<a href=\"javascript:alert(1)\">",
    "\" autofocus onfocus=\"alert(1)",
    "<!--<script>",
    "</script><script>alert(1)</script>",
];

#[cfg(test)]
mod tests;
