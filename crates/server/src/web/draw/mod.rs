//! The drawings, made on the server: the same code for the first view and for every update. Position and size are
//! attributes, colour is a class, so that no style stands in the markup. Each drawing has a label in words.

pub(crate) mod chart;
pub(crate) mod days;
pub(crate) mod fleet;
pub(crate) mod mix;
pub(crate) mod runs;
pub(crate) mod strip;
pub(crate) mod waterfall;

/// At most two decimals, no trailing zeros: short paths are quick pages.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A share of the width, as an attribute.
pub(crate) fn percent(share: f64) -> String {
    format!("{}%", number(share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, said) in
            [(0.0, "0"), (1.5, "1.5"), (2.0, "2"), (0.126, "0.13"), (-0.001, "0"), (100.0, "100"), (10.10, "10.1")]
        {
            assert_eq!(number(value), said);
        }
        assert_eq!(percent(1.0 / 3.0), "33.33%");
    }
}
