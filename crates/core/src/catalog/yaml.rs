//! Values as YAML that reads back as the same values, wherever it is read: what could be taken for a number,
//! a truth, a range or a reference stands in quotes.

use serde_json::{Map, Value};

/// Lists of plain values up to this width stand on one line.
const WIDEST_LINE: usize = 100;

/// The value as block YAML, ending in a newline.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(&mut out, map, 0),
        Value::Array(list) if !list.is_empty() && on_one_line(list).is_none() => write_list(&mut out, list, 0),
        short => {
            out.push_str(&inline(short));
            out.push('\n');
        }
    }
    out
}

fn write_map(out: &mut String, map: &Map<String, Value>, indent: usize) {
    for (key, value) in map {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(&scalar(key));
        out.push(':');
        write_after_key(out, value, indent);
    }
}

fn write_after_key(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_map(out, map, indent + 2);
        }
        Value::Array(list) if !list.is_empty() && on_one_line(list).is_none() => {
            out.push('\n');
            write_list(out, list, indent + 2);
        }
        Value::String(text) if is_text_block(text) => write_text_block(out, text, indent + 2),
        short => {
            out.push(' ');
            out.push_str(&inline(short));
            out.push('\n');
        }
    }
}

fn write_list(out: &mut String, list: &[Value], indent: usize) {
    for item in list {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push('-');
        let mut inside = String::new();
        match item {
            Value::Object(map) if !map.is_empty() => write_map(&mut inside, map, indent + 2),
            Value::Array(list) if !list.is_empty() && on_one_line(list).is_none() => {
                write_list(&mut inside, list, indent + 2);
            }
            other => {
                write_after_key(out, other, indent);
                continue;
            }
        }
        // The first line of what is inside stands beside the dash.
        out.push(' ');
        out.push_str(inside.trim_start_matches(' '));
    }
}

/// The text itself, indented, one line per line.
fn write_text_block(out: &mut String, text: &str, indent: usize) {
    let body = text.strip_suffix('\n');
    out.push_str(if body.is_some() { " |\n" } else { " |-\n" });
    for line in body.unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// Whether a text of several lines can stand as it is; lines that begin or end in spaces, and odd characters,
/// are safer in quotes.
fn is_text_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && !body.is_empty()
        && !text.contains("${")
        && text.chars().all(|c| c == '\n' || !needs_escape(c))
        && body.split('\n').all(|line| line.trim_end().len() == line.len() && !line.starts_with('\t'))
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => scalar(text),
        Value::Array(list) => on_one_line(list).unwrap_or_else(|| "[]".into()),
        Value::Object(_) => "{}".into(),
    }
}

/// `[a, b]`, if nothing in the list has an inside and all of it is short.
fn on_one_line(list: &[Value]) -> Option<String> {
    let mut parts = Vec::with_capacity(list.len());
    for item in list {
        match item {
            Value::Object(_) | Value::Array(_) => return None,
            Value::String(text) if text.contains('\n') => return None,
            short => parts.push(inline(short)),
        }
    }
    let line = format!("[{}]", parts.join(", "));
    (line.chars().count() <= WIDEST_LINE).then_some(line)
}

fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Whether no reader of YAML, old or new, could take the text for anything but itself.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", "infinity", "none", "undefined"];
    let Some(first) = text.chars().next() else { return false };
    let begins_well = first.is_alphabetic() || first == '/' || first == '_' || is_length_of_time(text);
    begins_well
        && !text.ends_with([' ', ':'])
        && !text.contains("  ")
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(|c| c.is_alphanumeric() || " _-./@+=():~;%?&#".contains(c))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// `30s` and `1h30m`, which people write without quotes.
fn is_length_of_time(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        if digits == 0 {
            return false;
        }
        rest = &rest[digits..];
        let Some(unit) = ["ms", "s", "m", "h", "d", "w"].into_iter().find_map(|unit| rest.strip_prefix(unit)) else {
            return false;
        };
        rest = unit;
    }
    true
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if needs_escape(c) => match u32::from(c) {
                code @ 0..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code @ 0x100..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Characters that YAML does not allow as they are, or that editors do not show.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(yaml: &str) -> Value {
        serde_saphyr::from_str(yaml).unwrap_or_else(|why| panic!("{why}\n{yaml}"))
    }

    #[test]
    fn settings_read_as_people_write_them() {
        let value = json!({
            "shop": {
                "name": "Shop front",
                "tags": ["prod", "web"],
                "probe": { "http": { "url": "https://shop.example.org:8443/health?x=1&y=2#top", "accept": ["200-299"], "headers": {} } },
                "interval": "1h30m",
                "failure_threshold": 3,
                "assertions": [{ "json": "$.status", "equals": "ok" }, { "contains": "ready" }],
                "body": "first line\n\nthird line\n",
            }
        });
        let yaml = to_yaml(&value);
        assert_eq!(
            yaml,
            r##"shop:
  name: Shop front
  tags: [prod, web]
  probe:
    http:
      url: https://shop.example.org:8443/health?x=1&y=2#top
      accept: ["200-299"]
      headers: {}
  interval: 1h30m
  failure_threshold: 3
  assertions:
    - json: "$.status"
      equals: ok
    - contains: ready
  body: |
    first line

    third line
"##
        );
        assert_eq!(read(&yaml), value);
    }

    #[test]
    fn what_could_be_something_else_stands_in_quotes() {
        for text in [
            "",
            " ",
            "1",
            "-1",
            "1.5",
            "1e3",
            "0x1F",
            "0o7",
            "1_000",
            "12:30:45",
            "2026-03-01",
            "200-299",
            "true",
            "No",
            "ON",
            "y",
            "null",
            "~",
            ".inf",
            ".nan",
            "NaN",
            "inf",
            "-",
            "- a",
            "a: b",
            "a:",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "'a'",
            "\"a\"",
            "[a]",
            "{a}",
            "a, b",
            "${HOME}",
            "$5",
            "trailing ",
            " leading",
            "a\tb",
            "?",
            "? a",
            "<<",
            "=",
            "123:abc",
            "---",
            "...",
            "\u{feff}x",
            "\u{7}",
            "\u{85}",
            "\u{2028}",
            "\\",
        ] {
            let yaml = to_yaml(&json!({ text: text, "list": [text, text] }));
            assert!(yaml.contains(&format!(": {}", quoted(text))), "{text:?} stands plain in\n{yaml}");
            assert_eq!(read(&yaml), json!({ text: text, "list": [text, text] }), "{yaml}");
        }
    }

    #[test]
    fn ordinary_words_stand_plain() {
        for text in [
            "shop",
            "Shop front",
            "30s",
            "5m",
            "500ms",
            "ops@example.org",
            "mail.example.org",
            "/health",
            "a/b:80",
            "Größe",
            "it works (mostly)",
        ] {
            assert_eq!(to_yaml(&json!(text)), format!("{text}\n"));
            assert_eq!(read(&to_yaml(&json!({ "x": text })))["x"], text);
        }
    }

    #[test]
    fn texts_of_several_lines_keep_every_line() {
        for text in [
            "a\nb",
            "a\nb\n",
            "a\n\nb\n\n",
            "\na",
            "\n",
            " a\nb",
            "a \nb",
            "a\n  b\n",
            "a\n\tb",
            "a\r\nb",
            "${x}\ny",
            "a\n \nb",
        ] {
            let value = json!({ "body": text, "list": [text, { "deep": text }], "nested": [[text]] });
            let yaml = to_yaml(&value);
            assert_eq!(read(&yaml), value, "{yaml}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            ".{0,12}",
            "[ -~\n]{0,20}",
            "[a-z0-9:#\\-. ]{0,10}",
            "[0-9eEx._+:-]{1,8}",
            Just("yes".to_owned()),
            Just("0755".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_value_reads_back_as_it_was(value in any_value()) {
            let yaml = to_yaml(&value);
            let back: Value = serde_saphyr::from_str(&yaml).map_err(|why| TestCaseError::fail(format!("{why}\n{yaml}")))?;
            prop_assert_eq!(back, value, "{}", yaml);
        }
    }
}
