//! The only file that makes randomness.

use data_encoding::{BASE32_NOPAD, Specification};

/// A number from 0 up to, not including, 1.
#[expect(clippy::disallowed_methods, reason = "the one place that makes randomness")]
pub(crate) fn fraction() -> f64 {
    rand::random::<f64>()
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes randomness")]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    rand::random::<[u8; N]>()
}

/// A token of 160 bits in lower-case letters and digits, for links, sessions and keys.
pub(crate) fn token() -> String {
    BASE32_NOPAD.encode(&bytes::<20>()).to_lowercase()
}

/// A token of `letters` characters from `a-z0-9`, as Healthchecks' ping keys are.
pub(crate) fn letters(letters: usize) -> String {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    let encoding = spec.encoding().expect("32 symbols are an encoding");
    let mut text = encoding.encode(&bytes::<64>());
    text.truncate(letters);
    text
}
