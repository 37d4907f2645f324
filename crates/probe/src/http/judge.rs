//! Judges an answer by what the settings say about its status, headers and body. Pure: an answer in, a verdict out.

use std::borrow::Cow;

use hyper::header::{HeaderMap, HeaderName};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use serde_json_path::JsonPath;
use watchbell_core::Reason;

use super::Http;
use super::plan::Complaints;
use super::settings::{HeaderRule, JsonRule, Method};

/// A compiled expression may take this much memory; ten thousand monitors share one machine.
const LARGEST_EXPRESSION: usize = 256 * 1024;

/// What an expression remembers while it matches, for each thread that uses it.
const LARGEST_CACHE: usize = 256 * 1024;

/// A document of more values than this is not looked into: each costs some thirty bytes.
const MOST_JSON_VALUES: usize = 250_000;

/// How much of an expected or found text a reason repeats.
const LONGEST_QUOTE: usize = 80;

/// The rules of one monitor, compiled.
#[derive(Debug)]
pub(crate) struct Rules {
    contains: Vec<String>,
    not_contains: Vec<String>,
    regex: Option<Regex>,
    not_regex: Option<Regex>,
    json: Vec<JsonTest>,
    header: Vec<HeaderTest>,
}

#[derive(Debug)]
struct JsonTest {
    rule: JsonRule,
    path: JsonPath,
    matches: Option<Regex>,
}

#[derive(Debug)]
struct HeaderTest {
    rule: HeaderRule,
    name: HeaderName,
    matches: Option<Regex>,
}

impl Rules {
    pub(crate) fn new(http: &Http, complaints: &mut Complaints) -> Self {
        let rules = Self {
            contains: http.contains.0.clone(),
            not_contains: http.not_contains.0.clone(),
            regex: http.regex.as_ref().and_then(|it| complaints.take("regex", expression(it))),
            not_regex: http.not_regex.as_ref().and_then(|it| complaints.take("not_regex", expression(it))),
            json: http.json.iter().enumerate().filter_map(|(at, rule)| JsonTest::new(rule, at, complaints)).collect(),
            header: http
                .header
                .iter()
                .enumerate()
                .filter_map(|(at, rule)| HeaderTest::new(rule, at, complaints))
                .collect(),
        };
        for (field, texts) in [("contains", &rules.contains), ("not_contains", &rules.not_contains)] {
            if texts.iter().any(String::is_empty) {
                complaints.add(field, "an empty text is in every body; write what to look for");
            }
        }
        if rules.need_body() && http.method == Method::Head {
            complaints
                .add("method", "the answer to a HEAD request has no body, so nothing can be asked of it; use GET");
        }
        rules
    }

    /// Whether anything is asked of the body.
    pub(crate) fn need_body(&self) -> bool {
        self.json.len() + self.texts() > 0
    }

    /// Whether the body is taken apart as JSON, which takes its time.
    pub(crate) fn need_json(&self) -> bool {
        !self.json.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.json.len() + self.texts() + self.header.len()
    }

    fn texts(&self) -> usize {
        self.contains.len()
            + self.not_contains.len()
            + usize::from(self.regex.is_some())
            + usize::from(self.not_regex.is_some())
    }

    /// What the headers do not keep.
    pub(crate) fn judge_headers(&self, headers: &HeaderMap, broken: &mut Vec<Reason>) {
        broken.extend(
            self.header.iter().filter_map(|test| test.complaint(headers)).map(|text| Reason::new("header", text)),
        );
    }

    /// What the body does not keep. `is_whole` is false if there is more than was read: then what should be absent,
    /// and JSON, cannot be judged.
    pub(crate) fn judge_body(&self, body: &[u8], is_whole: bool, broken: &mut Vec<Reason>) {
        if self.texts() > 0 {
            let text = String::from_utf8_lossy(body);
            broken.extend(self.judge_text(&text, is_whole));
        }
        if !self.json.is_empty() {
            self.judge_json(body, is_whole, broken);
        }
    }

    fn judge_text<'a>(&'a self, text: &'a str, is_whole: bool) -> impl Iterator<Item = Reason> + 'a {
        let missing = self.contains.iter().filter(|it| !text.contains(it.as_str())).map(move |it| match is_whole {
            true => Reason::new("body", format!("Body does not contain `{}`", quote(it))),
            false => unjudged(&format!("`{}` was not found in what was read", quote(it))),
        });
        let unmatched = self.regex.iter().filter(|it| !it.is_match(text)).map(move |it| match is_whole {
            true => Reason::new("body", format!("Body does not match `{}`", quote(it.as_str()))),
            false => unjudged(&format!("nothing in what was read matches `{}`", quote(it.as_str()))),
        });
        let unwanted = self.not_contains.iter().filter_map(move |it| {
            if text.contains(it.as_str()) {
                return Some(Reason::new("body", format!("Body contains `{}`", quote(it))));
            }
            (!is_whole).then(|| unjudged(&format!("`{}` may be in the rest", quote(it))))
        });
        let matched = self.not_regex.iter().filter_map(move |it| {
            if it.is_match(text) {
                return Some(Reason::new("body", format!("Body matches `{}`", quote(it.as_str()))));
            }
            (!is_whole).then(|| unjudged(&format!("the rest may match `{}`", quote(it.as_str()))))
        });
        missing.chain(unmatched).chain(unwanted).chain(matched)
    }

    fn judge_json(&self, body: &[u8], is_whole: bool, broken: &mut Vec<Reason>) {
        if !is_whole {
            broken.push(unjudged("its JSON is incomplete"));
            return;
        }
        if has_too_many_values(body) {
            broken.push(Reason::new("too_large", format!("JSON of the body has more than {MOST_JSON_VALUES} values")));
            return;
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                broken.extend(
                    self.json.iter().filter_map(|test| test.complaint(&value)).map(|text| Reason::new("json", text)),
                );
            }
            Err(_) if body.trim_ascii().is_empty() => broken.push(Reason::new("json", "Body is empty, expected JSON")),
            Err(error) => broken.push(Reason::new("json", format!("Body is not JSON: {error}"))),
        }
    }
}

fn unjudged(why: &str) -> Reason {
    Reason::new("too_large", format!("Body is larger than `max_body`, and {why}"))
}

/// Compiles an expression; matching takes linear time whatever it is.
fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(LARGEST_EXPRESSION).dfa_size_limit(LARGEST_CACHE).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression is too large; use fewer or smaller repetitions".to_owned()
            }
            // The library draws the expression with a pointer below; one line of it says what is wrong.
            other => {
                let text = other.to_string();
                let last = text.lines().next_back().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
                format!("the regular expression cannot be read: {last}")
            }
        }
    })
}

impl JsonTest {
    fn new(rule: &JsonRule, at: usize, complaints: &mut Complaints) -> Option<Self> {
        let field = |name: &str| format!("json[{at}].{name}");
        let path = complaints.take(field("path"), json_path(&rule.path));
        let matches = match &rule.matches {
            Some(it) => Some(complaints.take(field("matches"), expression(it))?),
            None => None,
        };
        let comparisons = [
            rule.equals.is_some(),
            rule.not_equals.is_some(),
            rule.greater.is_some(),
            rule.less.is_some(),
            rule.at_least.is_some(),
            rule.at_most.is_some(),
            rule.contains.is_some(),
            rule.matches.is_some(),
        ];
        let compares = comparisons.contains(&true);
        if !compares && rule.exists.is_none() {
            let all = "equals, not_equals, greater, less, at_least, at_most, contains, matches or exists";
            complaints.add(format!("json[{at}]"), format!("the rule does not say what to expect; add {all}"));
        }
        if compares && rule.exists == Some(false) {
            complaints.add(field("exists"), "what does not exist cannot be compared; leave out the other comparisons");
        }
        Some(Self { rule: rule.clone(), path: path?, matches })
    }

    /// How the document breaks the rule.
    fn complaint(&self, document: &Value) -> Option<String> {
        let found = self.path.query(document);
        let path = quote(&self.rule.path);
        match (found.is_empty(), self.rule.exists) {
            (true, Some(false)) => return None,
            (true, _) => return Some(format!("Nothing at `{path}`")),
            (false, Some(false)) => return Some(format!("`{path}` exists")),
            (false, _) => {}
        }
        found.iter().find_map(|value| self.complaint_about(value)).map(|rest| format!("`{path}` {rest}"))
    }

    /// How one value breaks the rule, as the rest of a sentence.
    fn complaint_about(&self, value: &Value) -> Option<String> {
        let rule = &self.rule;
        let is = |expected: String| Some(format!("is {}, expected {expected}", quote(&value.to_string())));
        if let Some(expected) = rule.equals.as_ref().filter(|expected| !is_same(value, expected)) {
            return is(quote(&expected.to_string()).into_owned());
        }
        if let Some(unwanted) = rule.not_equals.as_ref().filter(|unwanted| is_same(value, unwanted)) {
            return is(format!("anything but {}", quote(&unwanted.to_string())));
        }
        type Comparison = fn(&f64, &f64) -> bool;
        let bounds: [(Option<f64>, Comparison, &str); 4] = [
            (rule.greater, f64::gt, "more than"),
            (rule.less, f64::lt, "less than"),
            (rule.at_least, f64::ge, "at least"),
            (rule.at_most, f64::le, "at most"),
        ];
        for (bound, holds, words) in bounds {
            let Some(bound) = bound else { continue };
            match number(value) {
                Some(number) if holds(&number, &bound) => {}
                Some(_) => return is(format!("{words} {bound}")),
                None => return is(format!("a number {words} {bound}")),
            }
        }
        if let Some(part) = rule.contains.as_ref().filter(|part| !has_part(value, part)) {
            return Some(format!(
                "is {}, which does not contain {}",
                quote(&value.to_string()),
                quote(&part.to_string())
            ));
        }
        if let Some(expression) = self.matches.as_ref().filter(|it| !it.is_match(&as_text(value))) {
            return Some(format!(
                "is {}, which does not match `{}`",
                quote(&value.to_string()),
                quote(expression.as_str())
            ));
        }
        None
    }
}

impl HeaderTest {
    fn new(rule: &HeaderRule, at: usize, complaints: &mut Complaints) -> Option<Self> {
        let field = |name: &str| format!("header[{at}].{name}");
        let name = HeaderName::from_bytes(rule.name.as_bytes());
        let name = complaints.take(field("name"), name.map_err(|_| format!("`{}` is no header name", rule.name)));
        let matches = match &rule.matches {
            Some(it) => Some(complaints.take(field("matches"), expression(it))?),
            None => None,
        };
        let compares = rule.contains.is_some() || rule.equals.is_some() || rule.matches.is_some();
        if !compares && rule.exists.is_none() {
            complaints.add(
                format!("header[{at}]"),
                "the rule does not say what to expect; add contains, equals, matches or exists",
            );
        }
        if compares && rule.exists == Some(false) {
            complaints.add(field("exists"), "what does not exist cannot be compared; leave out the other comparisons");
        }
        Some(Self { rule: rule.clone(), name: name?, matches })
    }

    fn complaint(&self, headers: &HeaderMap) -> Option<String> {
        let name = &self.rule.name;
        let mut lines =
            headers.get_all(&self.name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).peekable();
        let found = match lines.peek() {
            None if self.rule.exists == Some(false) => return None,
            None => return Some(format!("Header `{name}` is missing")),
            Some(_) if self.rule.exists == Some(false) => {
                return Some(format!("Header `{name}` is there, expected none"));
            }
            Some(first) => quote(first).into_owned(),
        };
        if lines.any(|line| self.holds(&line)) {
            return None;
        }
        let rule = &self.rule;
        let expected = match (&rule.equals, &rule.contains, &rule.matches) {
            (Some(text), ..) => format!("expected `{}`", quote(text)),
            (None, Some(text), _) => format!("which does not contain `{}`", quote(text)),
            (None, None, text) => format!("which does not match `{}`", quote(text.as_deref().unwrap_or_default())),
        };
        Some(format!("Header `{name}` is `{found}`, {expected}"))
    }

    fn holds(&self, line: &str) -> bool {
        self.rule.equals.as_ref().is_none_or(|text| line == text)
            && self.rule.contains.as_ref().is_none_or(|text| line.contains(text.as_str()))
            && self.matches.as_ref().is_none_or(|it| it.is_match(line))
    }
}

/// Parses a path and refuses what would take more than a moment on a large document.
fn json_path(text: &str) -> Result<JsonPath, String> {
    const LONGEST: usize = 500;
    if text.len() > LONGEST {
        return Err(format!("a path has at most {LONGEST} characters"));
    }
    let path = JsonPath::parse(text)
        .map_err(|error| format!("`{text}` is no JSONPath ({error}); write it like $.status or $.services[*].state"))?;
    let unquoted: String = text.split(['\'', '"']).step_by(2).collect();
    if unquoted.matches("..").count() > 2 || unquoted.matches('$').count() > 1 {
        return Err("a path may use `..` twice and `$` once; more could take minutes on a large answer".into());
    }
    Ok(path)
}

/// Counts what separates values, outside of texts.
fn has_too_many_values(body: &[u8]) -> bool {
    let (mut values, mut in_text, mut escaped) = (0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    values > MOST_JSON_VALUES
}

/// Equal values; `1` equals `1.0`, and a text equals the number or truth value that it spells.
fn is_same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(_), Value::Number(_)) => found == expected || number(found) == number(expected),
        (Value::String(text), Value::Number(_) | Value::Bool(_)) => {
            *text == as_text(expected) || number(found).is_some_and(|it| Some(it) == number(expected))
        }
        (Value::Number(_) | Value::Bool(_), Value::String(text)) => {
            *text == as_text(found) || number(expected).is_some_and(|it| Some(it) == number(found))
        }
        _ => found == expected,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn has_part(value: &Value, part: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(as_text(part).as_ref()),
        Value::Array(list) => list.iter().any(|element| is_same(element, part)),
        Value::Object(members) => members.contains_key(as_text(part).as_ref()),
        Value::Null | Value::Bool(_) | Value::Number(_) => as_text(value).contains(as_text(part).as_ref()),
    }
}

fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// At most [`LONGEST_QUOTE`] characters of a text.
fn quote(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn rules(settings: &Value) -> Rules {
        let mut whole = json!({ "url": "http://shop.example/" });
        whole.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let http: Http = serde_json::from_value(whole).unwrap();
        let mut complaints = Complaints::default();
        let rules = Rules::new(&http, &mut complaints);
        assert!(complaints.take("", Ok::<_, String>(())).is_some());
        rules
    }

    /// The first complaint about the body; empty if there is none.
    fn about(settings: &Value, body: &str) -> String {
        let mut broken = Vec::new();
        rules(settings).judge_body(body.as_bytes(), true, &mut broken);
        broken.into_iter().next().map_or_else(String::new, |reason| format!("{}: {}", reason.code, reason.text))
    }

    #[test]
    fn texts_are_looked_for() {
        assert_eq!(about(&json!({ "contains": "ok" }), "all ok"), "");
        assert_eq!(about(&json!({ "contains": ["ok", "ready"] }), "all ok"), "body: Body does not contain `ready`");
        assert_eq!(about(&json!({ "not_contains": "error" }), "an error"), "body: Body contains `error`");
        assert_eq!(about(&json!({ "regex": "^v\\d+$" }), "v12"), "");
        assert_eq!(about(&json!({ "regex": "^v\\d+$" }), "vx"), "body: Body does not match `^v\\d+$`");
        assert_eq!(about(&json!({ "not_regex": "(?i)fatal" }), "FATAL"), "body: Body matches `(?i)fatal`");
    }

    #[test]
    fn json_is_judged_value_by_value() {
        let body = r#"{"status":"ok","load":0.7,"code":200,"up":true,"none":null,"services":[{"state":"up"},{"state":"down"}],"tags":["a",5]}"#;
        for (rule, complaint) in [
            (json!({ "path": "$.status", "equals": "ok" }), ""),
            (json!({ "path": "$.status", "equals": "bad" }), r#"json: `$.status` is "ok", expected "bad""#),
            (
                json!({ "path": "$.status", "not_equals": "ok" }),
                r#"json: `$.status` is "ok", expected anything but "ok""#,
            ),
            (json!({ "path": "$.code", "equals": "200" }), ""),
            (json!({ "path": "$.code", "equals": 200.0 }), ""),
            (json!({ "path": "$.up", "equals": "true" }), ""),
            (json!({ "path": "$.none", "equals": null }), ""),
            (json!({ "path": "$.status", "equals": null }), r#"json: `$.status` is "ok", expected null"#),
            (json!({ "path": "$.load", "less": 1, "greater": 0.5 }), ""),
            (json!({ "path": "$.load", "less": 0.5 }), "json: `$.load` is 0.7, expected less than 0.5"),
            (json!({ "path": "$.code", "at_least": 200, "at_most": 200 }), ""),
            (json!({ "path": "$.code", "at_most": 199 }), "json: `$.code` is 200, expected at most 199"),
            (json!({ "path": "$.status", "greater": 1 }), r#"json: `$.status` is "ok", expected a number more than 1"#),
            (
                json!({ "path": "$.services[*].state", "equals": "up" }),
                r#"json: `$.services[*].state` is "down", expected "up""#,
            ),
            (json!({ "path": "$.tags", "contains": "5" }), ""),
            (json!({ "path": "$.tags", "contains": "b" }), r#"json: `$.tags` is ["a",5], which does not contain "b""#),
            (json!({ "path": "$", "contains": "load" }), ""),
            (json!({ "path": "$.status", "matches": "^o" }), ""),
            (json!({ "path": "$.code", "matches": "^5" }), "json: `$.code` is 200, which does not match `^5`"),
            (json!({ "path": "$.gone", "equals": 1 }), "json: Nothing at `$.gone`"),
            (json!({ "path": "$.gone", "exists": false }), ""),
            (json!({ "path": "$.status", "exists": false }), "json: `$.status` exists"),
            (json!({ "path": "$.status", "exists": true }), ""),
        ] {
            assert_eq!(about(&json!({ "json": [rule] }), body), complaint, "{rule}");
        }
        let any = json!({ "json": [{ "path": "$.a", "exists": true }] });
        assert_eq!(about(&any, ""), "json: Body is empty, expected JSON");
        assert!(about(&any, "<html>").starts_with("json: Body is not JSON: expected value"));
        assert!(about(&any, &"[".repeat(100_000)).starts_with("json: Body is not JSON: recursion limit"));
        assert!(
            about(&any, &format!("[{}0]", "0,".repeat(MOST_JSON_VALUES))).starts_with("too_large: JSON of the body")
        );
    }

    #[test]
    fn headers_are_judged_by_any_of_their_lines() {
        let mut headers = HeaderMap::new();
        headers.append("vary", HeaderValue::from_static("Origin"));
        headers.append("vary", HeaderValue::from_static("Accept"));
        for (rule, complaint) in [
            (json!({ "name": "Vary", "equals": "Accept" }), None),
            (json!({ "name": "Vary", "contains": "Ori" }), None),
            (json!({ "name": "Vary", "matches": "^A" }), None),
            (json!({ "name": "Vary", "exists": true }), None),
            (json!({ "name": "X-Cache", "exists": false }), None),
            (json!({ "name": "X-Cache", "equals": "HIT" }), Some("Header `X-Cache` is missing")),
            (json!({ "name": "Vary", "exists": false }), Some("Header `Vary` is there, expected none")),
            (json!({ "name": "Vary", "equals": "Cookie" }), Some("Header `Vary` is `Origin`, expected `Cookie`")),
            (json!({ "name": "Vary", "matches": "^C" }), Some("Header `Vary` is `Origin`, which does not match `^C`")),
        ] {
            let mut broken = Vec::new();
            rules(&json!({ "header": [rule] })).judge_headers(&headers, &mut broken);
            assert_eq!(broken.first().map(|reason| reason.text.as_str()), complaint, "{rule}");
        }
    }

    #[test]
    fn what_was_not_read_is_not_guessed() {
        for (settings, verdict) in [
            (json!({ "contains": "begin" }), None),
            (json!({ "contains": "end" }), Some("too_large")),
            (json!({ "not_contains": "end" }), Some("too_large")),
            (json!({ "not_contains": "begin" }), Some("body")),
            (json!({ "not_regex": "end" }), Some("too_large")),
            (json!({ "json": [{ "path": "$", "exists": true }] }), Some("too_large")),
        ] {
            let mut broken = Vec::new();
            rules(&settings).judge_body(b"begin", false, &mut broken);
            assert_eq!(broken.first().map(|reason| reason.code.as_ref()), verdict, "{settings}");
        }
    }
}
