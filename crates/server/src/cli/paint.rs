//! Colours and tables on a terminal; plain text elsewhere.

use std::io::IsTerminal;

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(bool);

impl Paint {
    /// For standard output: a terminal, and nobody said NO_COLOR.
    pub(super) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self(std::io::stdout().is_terminal() && !refused)
    }

    #[cfg(test)]
    pub(super) const fn plain() -> Self {
        Self(false)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with("1;32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(super) fn unsure(self, text: &str) -> String {
        self.with("1;33", text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Rows of a name and a value, names in one column. Values keep their lines, indented below one another.
pub(super) fn table<'a>(paint: Paint, rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in rows {
        let gap = " ".repeat(width - name.chars().count());
        let indent = format!("\n{}", " ".repeat(width + 4));
        let value = value.lines().collect::<Vec<_>>().join(&indent);
        out.push_str(&format!("  {}{gap}  {value}\n", paint.faint(name)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [("Status", "200 OK".to_owned()), ("IP", "::1".to_owned()), ("Größe", "one\ntwo".to_owned())];
        assert_eq!(table(Paint::plain(), rows), "  Status  200 OK\n  IP      ::1\n  Größe   one\n          two\n");
    }

    #[test]
    fn colours_surround_only_the_word() {
        assert_eq!(Paint(true).bad("DOWN"), "\x1b[1;31mDOWN\x1b[0m");
        assert_eq!(Paint(false).bad("DOWN"), "DOWN");
    }
}
