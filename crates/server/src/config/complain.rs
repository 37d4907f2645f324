//! What is wrong with a configuration, where, and what was probably meant.

use std::fmt;
use std::path::PathBuf;

use watchbell_core::{Slug, Timestamp};

use crate::app::Problem;

/// A place in one of the files that make up a configuration; lines and columns count from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub file: u32,
    pub line: u32,
    pub column: u32,
}

impl Place {
    pub(super) fn new(file: usize, line: usize, column: usize) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { file: narrow(file), line: narrow(line), column: narrow(column) }
    }
}

/// Something wrong at a place, before files have names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: Place,
    pub sentence: String,
    pub about: Option<Slug>,
}

impl Fault {
    pub(super) fn new(at: Place, sentence: impl Into<String>) -> Self {
        let mut sentence = capital(&sentence.into());
        if !sentence.ends_with(['.', '!', '?', ':']) {
            sentence.push('.');
        }
        Self { at, sentence, about: None }
    }

    pub(super) fn about(mut self, slug: &Slug) -> Self {
        self.about = Some(slug.clone());
        self
    }
}

/// One file that was read.
pub(super) struct Source {
    pub path: PathBuf,
    pub text: String,
    /// Where secrets stand, and how many characters wide: they are not printed.
    pub secrets: Vec<(Place, u32)>,
}

/// Something wrong with a configuration. It prints as `file:line:column: sentence`, then the line with a caret;
/// secrets in that line are blotted out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub path: PathBuf,
    /// From one; zero if it is about the file as a whole.
    pub line: u32,
    /// From one, in characters.
    pub column: u32,
    /// What is wrong and what would work.
    pub sentence: String,
    /// The monitor or channel it is about.
    pub about: Option<Slug>,
    excerpt: Option<String>,
}

impl ConfigError {
    pub(super) fn of_file(path: impl Into<PathBuf>, sentence: impl Into<String>) -> Self {
        Self { path: path.into(), line: 0, column: 0, sentence: sentence.into(), about: None, excerpt: None }
    }

    pub(super) fn at(fault: Fault, sources: &[Source]) -> Self {
        let source = &sources[fault.at.file as usize];
        Self {
            path: source.path.clone(),
            line: fault.at.line,
            column: fault.at.column,
            sentence: fault.sentence,
            about: fault.about,
            excerpt: excerpt(source, fault.at),
        }
    }

    /// `watchbell.yaml:12:7`
    pub(crate) fn place(&self) -> String {
        match self.line {
            0 => self.path.display().to_string(),
            line => format!("{}:{line}:{}", self.path.display(), self.column),
        }
    }

    /// For the list of problems of a running server, which keeps its last good configuration.
    pub(crate) fn problem(&self, since: Timestamp) -> Problem {
        Problem {
            place: self.place(),
            about: self.about.clone(),
            sentence: self.sentence.clone(),
            consequence: "The file is not applied; the last good configuration stays in force.".into(),
            since,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.sentence)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Lines up to this many characters are shown whole, of longer ones the part around the caret.
const WIDEST: usize = 130;

/// The line and, below it, a caret.
fn excerpt(source: &Source, at: Place) -> Option<String> {
    let line = source.text.lines().nth(at.line.checked_sub(1)? as usize)?;
    let caret = (at.column.saturating_sub(1)) as usize;
    let mut shown: Vec<char> = line.trim_start_matches('\u{feff}').trim_end().chars().collect();
    blot_out(&mut shown, source.secrets.iter().filter(|(place, _)| place.line == at.line && place.file == at.file));
    let first = if shown.len() <= WIDEST { 0 } else { caret.saturating_sub(WIDEST / 2) };
    let last = shown.len().min(first + WIDEST).max(first);
    let window: String = shown.get(first..last)?.iter().collect();
    let blank: String = shown[first..last]
        .iter()
        .take(caret.saturating_sub(first))
        .map(|&c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let pad = " ".repeat(caret.saturating_sub(first).saturating_sub(blank.chars().count()));
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    Some(format!("  {margin} |\n  {number} | {window}\n  {margin} | {blank}{pad}^"))
}

/// Puts `•` over what is known to be secret, over the values of keys that sound so, and over long runs that look like
/// keys, since a file that does not parse does not tell us where its secrets are.
fn blot_out<'a>(line: &mut [char], known: impl Iterator<Item = &'a (Place, u32)>) {
    for (place, width) in known {
        let from = place.column.saturating_sub(1) as usize;
        for c in line.iter_mut().skip(from).take(*width as usize) {
            *c = '•';
        }
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut at = 0;
    while at < line.len() {
        let end = (at..line.len()).find(|&i| !is_word(line[i])).unwrap_or(line.len());
        let word: String = line[at..end].iter().collect::<String>().to_ascii_lowercase();
        let quoted = line.get(end).is_some_and(|c| matches!(c, '"' | '\''));
        let colon = end + usize::from(quoted);
        if line.get(colon) == Some(&':') && ["token", "password", "secret", "key"].iter().any(|it| word.contains(it)) {
            let from = (colon + 1..line.len()).find(|&i| line[i] != ' ').unwrap_or(line.len());
            let begins: String = line[from..].iter().take(6).collect();
            let begins = begins.trim_start_matches(['"', '\'']);
            // A variable or a file is a name, not a secret; a map has secrets inside, found in their turn.
            let names = begins.starts_with("${") || begins.starts_with("file:") || begins.starts_with('{');
            let to = match line.get(from) {
                _ if names => from,
                Some(&quote @ ('"' | '\'')) => {
                    (from + 1..line.len()).find(|&i| line[i] == quote).map_or(line.len(), |i| i + 1)
                }
                _ => {
                    let end = (from..line.len()).find(|&i| matches!(line[i], ',' | '}')).unwrap_or(line.len());
                    (from..end).rev().find(|&i| line[i] != ' ').map_or(from, |last| last + 1)
                }
            };
            line[from..to].fill('•');
            at = to.max(colon + 1);
            continue;
        }
        at = end + 1;
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut at = 0;
    while at < line.len() {
        let end = (at..line.len()).find(|&i| !is_key(line[i])).unwrap_or(line.len());
        if end - at >= 24 && line[at..end].iter().any(char::is_ascii_digit) {
            line[at..end].fill('•');
        }
        at = end + 1;
    }
}

/// The name that was probably meant, if one is near enough.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| -> Vec<char> {
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(written);
    let most = (wanted.len() / 3).clamp(1, 3);
    known
        .into_iter()
        .filter_map(|name| {
            let other = plain(name);
            let part = wanted.len() >= 4 && (other.starts_with(&wanted) || other.ends_with(&wanted));
            let distance = distance(&wanted, &other);
            (distance <= most || part).then_some((if part { distance.min(most) } else { distance }, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to add, drop, change or swap (Damerau and Levenshtein, neighbours only).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = last;
        last = row;
    }
    last[b.len()]
}

/// `text` with a large first letter.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `a`, `b` or `c`.
pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "nothing".into(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["name", "group", "interval", "retry_interval", "timeout", "failure_threshold", "notify"];
        for (written, meant) in [
            ("intervall", Some("interval")),
            ("itnerval", Some("interval")),
            ("retryInterval", Some("retry_interval")),
            ("retry-interval", Some("retry_interval")),
            ("threshold", Some("failure_threshold")),
            ("nmae", Some("name")),
            ("Timeout", Some("timeout")),
            ("url", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }

    fn shown(text: &str, line: u32, column: u32) -> String {
        let source = Source { path: "w.yaml".into(), text: text.into(), secrets: Vec::new() };
        excerpt(&source, Place { file: 0, line, column }).unwrap()
    }

    #[test]
    fn the_line_is_shown_with_a_caret() {
        assert_eq!(shown("a: 1\n    evry: 30\n", 2, 5), "    |\n  2 |     evry: 30\n    |     ^");
        assert_eq!(shown("ö: [ä, ü\n", 1, 9), "    |\n  1 | ö: [ä, ü\n    |         ^");
        let long = format!("{}here{}", "x ".repeat(200), " y".repeat(200));
        let excerpt = shown(&long, 1, 401);
        assert!(excerpt.lines().all(|line| line.chars().count() < 145) && excerpt.contains("here"), "{excerpt}");
        // A place beyond the end must not break the message.
        assert!(
            excerpt.len() > 10
                && super::excerpt(
                    &Source { path: "w".into(), text: "a".into(), secrets: vec![] },
                    Place { file: 0, line: 9, column: 1 }
                )
                .is_none()
        );
    }

    #[test]
    fn secrets_of_the_line_are_blotted_out() {
        for line in [
            "t: { token: \"hunter2\", chat: 5 }",
            "t: { token: hunter2, chat: 5 }",
            "  smtp_password: hunter2",
            "\"api_key\": 'hunter2'",
            "x: https://h/hunter2hunter2hunter2hunter2/",
        ] {
            let shown = shown(line, 1, 1);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(shown.lines().nth(1).unwrap().chars().count(), line.chars().count() + 6, "{shown}");
        }
        assert!(shown("token: ${TOKEN}", 1, 1).contains("${TOKEN}"));
        assert!(shown("t: { token: \"x\", chat: 5 }", 1, 1).contains("chat: 5"));
    }

    #[test]
    fn a_list_of_names_reads_as_words() {
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
