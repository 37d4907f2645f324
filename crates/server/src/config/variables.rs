//! `${VAR}`, `${VAR:-default}` and `${VAR:?hint}` in values, as in compose files.
//!
//! Only the form with braces is a reference: a lone `$` means itself, and `$${` writes `${`.

/// Where variables come from: the environment, or a table in tests.
pub(super) type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Defaults may hold references, so deep.
const DEEPEST: usize = 8;

/// `text` with every reference replaced; the error is a sentence that names the variable, never a value.
pub(super) fn substitute(text: &str, variables: &Variables<'_>) -> Result<String, String> {
    fill(text, variables, DEEPEST)
}

fn fill(text: &str, variables: &Variables<'_>, deeper: usize) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let (reference, after) = reference(&rest[at..])?;
        out.push_str(&value(reference, variables, deeper)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Splits `${…}rest` into what is between the braces, and the rest.
fn reference(text: &str) -> Result<(&str, &str), String> {
    let mut open = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("${") {
            open += 1;
            at += 2;
            continue;
        }
        if text[at..].starts_with('}') {
            open -= 1;
            if open == 0 {
                return Ok((&text[2..at], &text[at + 1..]));
            }
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    Err("A `${` has no closing `}`; for a literal `${` write `$${`.".into())
}

fn value(reference: &str, variables: &Variables<'_>, deeper: usize) -> Result<String, String> {
    let end = reference.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(reference.len());
    let (name, operator) = reference.split_at(end);
    let wrong = || {
        format!(
            "`${{{reference}}}` is not understood; write `${{NAME}}`, `${{NAME:-default}}` or `${{NAME:?hint}}`, and `$${{` for a literal `${{`."
        )
    };
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong());
    }
    let (empty_counts, operator) = match operator.strip_prefix(':') {
        Some(operator) => (false, operator),
        None => (true, operator),
    };
    let found = variables(name).filter(|value| empty_counts || !value.is_empty());
    let mut operator = operator.chars();
    match (operator.next(), found) {
        (None, _) if !empty_counts => Err(wrong()),
        (None | Some('-' | '?'), Some(value)) => Ok(value),
        (None, None) => {
            Err(format!("The variable `{name}` is not set; set it, or give a default like `${{{name}:-value}}`."))
        }
        (Some('-'), None) if deeper == 0 => Err(wrong()),
        (Some('-'), None) => fill(operator.as_str(), variables, deeper - 1),
        (Some('?'), None) => {
            let hint = operator.as_str().trim();
            let why = if empty_counts { "is not set" } else { "is not set or empty" };
            Err(if hint.is_empty() {
                format!("The variable `{name}` {why}.")
            } else {
                format!("The variable `{name}` {why}: {hint}")
            })
        }
        (Some(_), _) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let table = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${A} $$".to_owned()),
            _ => None,
        };
        substitute(text, &table)
    }

    #[test]
    fn references_are_replaced() {
        for (text, expected) in [
            ("${A}", "one"),
            ("x${A}y${A}", "xoneyone"),
            ("${B:-two}", "two"),
            ("${B-two}", "two"),
            ("${EMPTY:-two}", "two"),
            ("${EMPTY-two}", ""),
            ("${A:?needed}", "one"),
            ("${B:-${A}}", "one"),
            ("${B:-${C:-x}y}z", "xyz"),
            ("${B:-}", ""),
            ("ünï ${A} ✓", "ünï one ✓"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_dollar_means_itself_and_values_are_not_read_again() {
        for (text, expected) in
            [("^ok$", "^ok$"), ("pa$$word", "pa$$word"), ("$A", "$A"), ("$${A}", "${A}"), ("${TRICK}", "${A} $$")]
        {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, expected) in [
            ("${B}", "The variable `B` is not set; set it, or give a default like `${B:-value}`."),
            ("${B:?from the vault}", "The variable `B` is not set or empty: from the vault"),
            ("${EMPTY:?}", "The variable `EMPTY` is not set or empty."),
            ("${A", "A `${` has no closing `}`; for a literal `${` write `$${`."),
        ] {
            assert_eq!(filled(text).unwrap_err(), expected, "{text}");
        }
        for text in ["${}", "${1A}", "${A b}", "${A:}", "${A:+x}"] {
            assert!(filled(text).unwrap_err().contains("is not understood"), "{text}");
        }
    }
}
