//! YAML as a tree whose every value knows its place, with `${VARIABLES}` filled in.
//!
//! Read from the parser's events rather than straight into our types: so a variable works inside quotes, every
//! mistake of a file is told at once, and complaints that come later, when the meaning is judged, have a place too.

use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag};

use super::complain::{Fault, Place};
use super::variables::{Variables, substitute};

/// Nothing people write is deeper; the decoder descends by recursion.
const DEEPEST: usize = 64;
/// Values that aliases may add to one file. A file of ten thousand monitors sharing one block stays below.
const MOST_ALIASED: usize = 500_000;

/// One value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub at: Place,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    /// Where the key stands.
    pub key_at: Place,
    pub value: Node,
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub text: String,
    /// Written without quotes, so that `5` is a number and `true` a truth.
    pub plain: bool,
    /// The text as it stands in the file, if variables changed it: what messages may show.
    pub written: Option<String>,
    /// Characters it takes in its line, quotes included; zero if it goes over several lines.
    pub width: u32,
}

impl Scalar {
    /// `null`, `~`, or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        self.plain
            && match &self.written {
                Some(_) => self.text.is_empty(),
                None => matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            }
    }
}

impl Node {
    fn empty(at: Place) -> Self {
        Self { at, content: Content::Map(Vec::new()) }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.is_null())
    }

    /// The entries of a map; none if it is something else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

/// Reads one document. `file` is its number in [`Place`]. A tree comes back even where variables are missing, so that
/// the rest can be judged.
pub(super) fn parse(file: usize, text: &str, variables: &Variables<'_>) -> (Option<Node>, Vec<Fault>) {
    let mut builder = Builder { file, variables, faults: Vec::new(), anchors: Vec::new(), aliased: 0 };
    let root = builder.document(text);
    match root {
        Ok(root) => (Some(root), builder.faults),
        Err(fault) => {
            builder.faults.push(fault);
            (None, builder.faults)
        }
    }
}

struct Builder<'a> {
    file: usize,
    variables: &'a Variables<'a>,
    faults: Vec<Fault>,
    anchors: Vec<(usize, Node)>,
    aliased: usize,
}

/// A collection that is still being read.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(String, Place)>,
}

impl Builder<'_> {
    fn document(&mut self, text: &str) -> Result<Node, Fault> {
        let mut root: Option<Node> = None;
        let mut open: Vec<Open> = Vec::new();
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let mark = error.marker();
                Fault::new(self.place(mark.line(), mark.col()), malformed(error.kind()))
            })?;
            let at = self.place(span.start.line(), span.start.col());
            if open.len() > DEEPEST {
                return Err(Fault::new(at, format!("Values lie in one another more than {DEEPEST} deep.")));
            }
            let done = match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Fault::new(
                            at,
                            "A second document begins here (`---`); put it into a file of its own, in one folder.",
                        ));
                    }
                    continue;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let in_key =
                        open.last().is_some_and(|o| matches!(o.node.content, Content::Map(_)) && o.key.is_none());
                    let node = self.scalar(at, &span, &text, style, tag.as_deref(), !in_key)?;
                    self.remember(anchor, &node);
                    node
                }
                Event::SequenceStart(_, anchor, tag) => {
                    refuse_tag(at, tag.as_deref(), &["seq"])?;
                    open.push(Open { node: Node { at, content: Content::List(Vec::new()) }, anchor, key: None });
                    continue;
                }
                Event::MappingStart(_, anchor, tag) => {
                    refuse_tag(at, tag.as_deref(), &["map"])?;
                    open.push(Open { node: Node::empty(at), anchor, key: None });
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(closed) = open.pop() else { continue };
                    let node = self.merged(closed.node)?;
                    self.remember(closed.anchor, &node);
                    node
                }
                Event::Alias(anchor) => self.alias(at, anchor)?,
                _ => continue,
            };
            match open.last_mut() {
                None => root = Some(done),
                Some(parent) => put(parent, done)?,
            }
        }
        Ok(root.filter(|node| !node.is_null()).unwrap_or_else(|| Node::empty(self.place(1, 0))))
    }

    fn place(&self, line: usize, column_from_zero: usize) -> Place {
        Place::new(self.file, line, column_from_zero + 1)
    }

    fn scalar(
        &mut self,
        at: Place,
        span: &Span,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        fill_in: bool,
    ) -> Result<Node, Fault> {
        let tag_at = span.tag_start.map_or(at, |mark| self.place(mark.line(), mark.col()));
        refuse_tag(tag_at, tag, &["str", "int", "float", "bool", "null"])?;
        let plain = style == ScalarStyle::Plain && tag.is_none_or(|tag| tag.core_suffix() != Some("str"));
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { u32::try_from(span.end.col() - span.start.col()).unwrap_or(0) } else { 0 };
        // The parser writes `~` for a value that is not there.
        let text = if plain && span.start.index() == span.end.index() { "" } else { text };
        let mut scalar = Scalar { text: text.to_owned(), plain, written: None, width };
        if fill_in && text.contains("${") {
            match substitute(text, self.variables) {
                Ok(filled) => {
                    // A number from a variable is a number inside quotes too: `"${PORT}"`.
                    scalar = Scalar { text: filled, plain: true, written: Some(text.to_owned()), width };
                }
                Err(sentence) => {
                    scalar.written = Some(text.to_owned());
                    self.faults.push(Fault::new(at, sentence));
                }
            }
        }
        Ok(Node { at, content: Content::Scalar(scalar) })
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
    }

    fn alias(&mut self, at: Place, anchor: usize) -> Result<Node, Fault> {
        let Some((_, node)) = self.anchors.iter().rev().find(|(id, _)| *id == anchor) else {
            return Err(Fault::new(at, "This alias stands inside the value that it repeats."));
        };
        self.aliased += node.size();
        if self.aliased > MOST_ALIASED {
            return Err(Fault::new(at, format!("Aliases repeat more than {MOST_ALIASED} values; write them out.")));
        }
        Ok(node.clone())
    }

    /// A map with what its `<<` names: entries it does not have itself.
    fn merged(&mut self, mut node: Node) -> Result<Node, Fault> {
        let Content::Map(entries) = &mut node.content else { return Ok(node) };
        let Some(at) = entries.iter().position(|entry| entry.key == "<<") else { return Ok(node) };
        let merge = entries.remove(at);
        let wrong = || Fault::new(merge.key_at, "`<<` takes a map, or a list of maps, like `<<: *common`.");
        let sources = match merge.value.content {
            Content::List(items) => items,
            _ => vec![merge.value],
        };
        for source in sources {
            let Content::Map(more) = source.content else { return Err(wrong()) };
            for entry in more {
                if !entries.iter().any(|own| own.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
        Ok(node)
    }
}

/// What the parser found, and what is usually the cause.
fn malformed(kind: &ErrorKind) -> String {
    let hint = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => "Indent with spaces.",
        ErrorKind::InvalidColonPlacement
        | ErrorKind::MappingValueNotAllowed
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey => {
            "Put values that hold `: ` into quotes, and see whether the line above is complete."
        }
        ErrorKind::UnclosedQuotedScalar => "A quote is opened and never closed.",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping => "A comma or a closing bracket is missing before this place.",
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedDocumentStart => "Is this line indented like its neighbours?",
        ErrorKind::UnknownAnchor => "No value before this one carries that name with `&`.",
        ErrorKind::UnexpectedCharacter { .. } => "Put the value into quotes.",
        ErrorKind::UnknownQuotedScalarEscape => {
            "Between double quotes a backslash is written `\\\\`; single quotes take it as it is."
        }
        _ => "",
    };
    format!("This is not YAML: {kind}. {hint}").trim_end().to_owned()
}

/// Only the tags of YAML itself are understood: nothing is loaded or run because a file says so.
fn refuse_tag(at: Place, tag: Option<&Tag>, known: &[&str]) -> Result<(), Fault> {
    match tag {
        Some(tag) if !tag.core_suffix().is_some_and(|suffix| known.contains(&suffix)) => {
            Err(Fault::new(at, format!("The tag `{}` is not understood; leave it out.", tag.original())))
        }
        _ => Ok(()),
    }
}

fn put(parent: &mut Open, node: Node) -> Result<(), Fault> {
    match &mut parent.node.content {
        Content::List(items) => items.push(node),
        Content::Map(entries) => match parent.key.take() {
            None => {
                let Content::Scalar(scalar) = node.content else {
                    return Err(Fault::new(node.at, "A key is a word, not a list or a map."));
                };
                if let Some(first) = entries.iter().find(|entry| entry.key == scalar.text) {
                    let line = first.key_at.line;
                    return Err(Fault::new(
                        node.at,
                        format!("`{}` is written twice; first in line {line}.", scalar.text),
                    ));
                }
                parent.key = Some((scalar.text, node.at));
            }
            Some((key, key_at)) => entries.push(Entry { key, key_at, value: node }),
        },
        Content::Scalar(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
        parse(0, text, &|name| (name == "PORT").then(|| "8080".to_owned()))
    }

    /// The tree in one line, to compare.
    fn show(node: &Node) -> String {
        match &node.content {
            Content::Scalar(scalar) if scalar.is_null() => "null".into(),
            Content::Scalar(scalar) if scalar.plain => scalar.text.clone(),
            Content::Scalar(scalar) => format!("{:?}", scalar.text),
            Content::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Content::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|e| format!("{}: {}", e.key, show(&e.value))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn good(text: &str) -> String {
        let (node, faults) = read(text);
        assert!(faults.is_empty(), "{faults:?}");
        show(&node.unwrap())
    }

    fn bad(text: &str) -> String {
        read(text)
            .1
            .iter()
            .map(|f| format!("{}:{} {}", f.at.line, f.at.column, f.sentence))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn values_keep_their_shape() {
        assert_eq!(
            good("a: 1\nb: [x, 'y']\nc:\n  d: |\n    two\n    lines\n"),
            r#"{a: 1, b: [x, "y"], c: {d: "two\nlines\n"}}"#
        );
        assert_eq!(good(""), "{}");
        assert_eq!(good("# only a remark\n"), "{}");
        assert_eq!(good("a:\nb: ~\nc: ''\n"), r#"{a: null, b: null, c: ""}"#);
        assert_eq!(good("a: !!str 5\n"), r#"{a: "5"}"#);
    }

    #[test]
    fn variables_work_bare_and_in_quotes_but_not_in_keys() {
        assert_eq!(
            good("a: ${PORT}\nb: \"${PORT}\"\n'${PORT}': http://h:${PORT}/\n"),
            "{a: 8080, b: 8080, ${PORT}: http://h:8080/}"
        );
        assert_eq!(
            bad("a:\n  - x\n  - ${NOPE}\n"),
            "3:5 The variable `NOPE` is not set; set it, or give a default like `${NOPE:-value}`."
        );
    }

    #[test]
    fn aliases_and_merges_are_filled_in() {
        assert_eq!(
            good("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x\n"),
            "{x: {a: 1, b: 2}, y: {b: 3, a: 1}, z: {a: 1, b: 2}}"
        );
        assert_eq!(bad("y: {<<: 5}\n"), "1:5 `<<` takes a map, or a list of maps, like `<<: *common`.");
    }

    #[test]
    fn a_key_written_twice_is_refused_with_both_places() {
        assert_eq!(bad("shop:\n  a: 1\nother: 2\nshop: 3\n"), "4:1 `shop` is written twice; first in line 1.");
    }

    #[test]
    fn bombs_do_not_go_off() {
        let mut laughs = String::from("a: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..12 {
            let parts = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("b{level}: &a{level} [{parts}]\n"));
        }
        assert!(bad(&laughs).contains("Aliases repeat more than 500000 values"), "{}", bad(&laughs));
        let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
        assert!(bad(&deep).contains("more than 64 deep"), "{}", bad(&deep));
        let deeper = format!("a: {}", "[".repeat(200_000));
        assert!(!bad(&deeper).is_empty());
        assert_eq!(bad("a: &a [*a]\n"), "1:8 This alias stands inside the value that it repeats.");
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        assert_eq!(
            bad("a: [1, 2\nb: 3\n"),
            "2:2 This is not YAML: illegal placement of ':' indicator. Put values that hold `: ` into quotes, and see whether the line above is complete."
        );
        assert_eq!(
            bad("a: b\n---\nc: d\n"),
            "2:1 A second document begins here (`---`); put it into a file of its own, in one folder."
        );
        assert_eq!(bad("a: !include other.yaml\n"), "1:4 The tag `!include` is not understood; leave it out.");
        assert_eq!(bad("? [a, b]\n: c\n"), "1:3 A key is a word, not a list or a map.");
    }
}
