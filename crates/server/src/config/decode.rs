//! From a [`Node`] to our types, through serde, so that every error has the place of the value it is about.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::complain::{Fault, Place, capital, nearest, one_of};
use super::tree::{Content, Entry, Node, Scalar};

/// Reads `node` as a `T`. `named_at` is where its key stands: what is missing is missing there.
pub(super) fn decode<T: DeserializeOwned>(node: &Node, named_at: Place) -> Result<T, Fault> {
    T::deserialize(Value { node, named_at }).map_err(|misfit| {
        let at = misfit.at.unwrap_or(named_at);
        Fault::new(at, misfit.sentence)
    })
}

/// A value that does not fit; its place is noted by the innermost value that knows one.
#[derive(Debug)]
struct Misfit {
    sentence: String,
    at: Option<Place>,
    /// It is about something that is not there, so about the whole.
    absent: bool,
}

impl Misfit {
    fn at(mut self, place: Place) -> Self {
        self.at.get_or_insert(place);
        self
    }

    /// Takes out what variables put in: a message shows `${TOKEN}`, never its value.
    fn hiding(mut self, scalar: &Scalar) -> Self {
        if let Some(written) = &scalar.written
            && !scalar.text.is_empty()
        {
            self.sentence = self.sentence.replace(&scalar.text, written);
        }
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let mut sentence = capital(&in_our_words(message.to_string()));
        if !sentence.ends_with(['.', '!', '?']) {
            sentence.push('.');
        }
        Self { sentence, at: None, absent: false }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format!("Expected {}, not {}.", expectation(expected), found(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown(variant, expected, "is not known here"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown(field, expected, "is no setting here"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { absent: true, ..Self::custom(format!("`{field}` is missing.")) }
    }
}

/// What libraries say of values that are written wrongly, in words that help.
fn in_our_words(message: String) -> String {
    if message.starts_with("UUID parsing failed") {
        "Expected an id like `5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278`.".into()
    } else if let Some((_, url)) = message.split_once("relative URL without a base: ") {
        format!("Expected an address like `https://example.org/`, not `{}`.", url.trim_matches('"'))
    } else {
        message
    }
}

fn unknown(name: &str, expected: &[&str], how: &str) -> String {
    let name: String = name.chars().take(60).collect();
    // `get` beside `GET` is an alias.
    let first = |(index, name): &(usize, &&str)| !expected[..*index].iter().any(|it| it.eq_ignore_ascii_case(name));
    let possible = one_of(expected.iter().enumerate().filter(first).map(|(_, name)| *name));
    match nearest(&name, expected.iter().copied()) {
        Some(near) => format!("`{name}` {how}; did you mean `{near}`? Possible: {possible}."),
        None => format!("`{name}` {how}. Possible: {possible}."),
    }
}

/// What serde's and the derives' visitors expect, in words for people who write YAML.
fn expectation(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let whole = |least: &str, most: &str| format!("a whole number from {least} to {most}");
    match text.as_str() {
        "u8" => whole("0", "255"),
        "u16" => whole("0", "65535"),
        "u32" | "u64" | "usize" => "a whole number, not negative".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a string" | "a borrowed string" | "str" | "string" => "text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list like `[a, b]`".into(),
        "a map" => "a map like `name: value`".into(),
        _ if text.starts_with("struct ") || text.starts_with("internally tagged") => {
            "settings like `name: value`".into()
        }
        _ if text.starts_with("enum ") || text.ends_with("enum") => "one of the possible names".into(),
        _ => text,
    }
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str("") => "an empty text".into(),
        Unexpected::Str(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map | Unexpected::StructVariant => "a map".into(),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        other => other.to_string(),
    }
}

/// A node as serde sees it.
#[derive(Clone, Copy)]
struct Value<'n> {
    node: &'n Node,
    named_at: Place,
}

/// A plain scalar as YAML's core schema reads it.
enum Plain<'n> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'n str),
}

fn read(scalar: &Scalar) -> Plain<'_> {
    let text = scalar.text.as_str();
    if !scalar.plain {
        return Plain::Text(text);
    }
    if scalar.is_null() {
        return Plain::Null;
    }
    match text {
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    let radix =
        |prefix: &str, radix: u32| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok());
    if let Some(number) = text.parse().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)) {
        return Plain::Unsigned(number);
    }
    if let Ok(number) = text.parse() {
        return Plain::Signed(number);
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Plain::Float(number),
        _ => Plain::Text(text),
    }
}

impl<'n> Value<'n> {
    fn of(entry: &'n Entry) -> Self {
        Self { node: &entry.value, named_at: entry.key_at }
    }

    /// Gives errors of this value its place, and hides what variables put in.
    fn place<T>(self, result: Result<T, Misfit>) -> Result<T, Misfit> {
        result.map_err(|misfit| {
            let misfit = match &self.node.content {
                Content::Scalar(scalar) => misfit.hiding(scalar),
                _ => misfit,
            };
            let place = if misfit.absent || self.node.is_null() { self.named_at } else { self.node.at };
            misfit.at(place)
        })
    }

    fn scalar(self) -> Option<&'n Scalar> {
        match &self.node.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }
}

const NOTHING: &Node = &Node { at: Place { file: 0, line: 0, column: 0 }, content: Content::Map(Vec::new()) };

macro_rules! typed_by_the_text {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.deserialize_any(visitor)
        })*
    };
}

macro_rules! texts {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match self.scalar() {
                Some(scalar) if !scalar.is_null() => self.place(visitor.visit_str(&scalar.text)),
                _ => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.place(match &self.node.content {
            Content::Scalar(scalar) => match read(scalar) {
                Plain::Null => visitor.visit_unit(),
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Unsigned(value) => visitor.visit_u64(value),
                Plain::Signed(value) => visitor.visit_i64(value),
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::Text(value) => visitor.visit_str(value),
            },
            Content::List(items) => visitor.visit_seq(Items { items: items.iter() }),
            Content::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        })
    }

    typed_by_the_text! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_bytes deserialize_byte_buf deserialize_unit
    }

    // `5` is a good password and `no` a good word to look for: a text is what is written.
    texts! { deserialize_str deserialize_string deserialize_char deserialize_identifier }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.node.is_null() { visitor.visit_none() } else { self.place(visitor.visit_some(self)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        self.place(visitor.visit_newtype_struct(self))
    }

    // A heading with nothing below it is empty, not wrong: `monitors:`.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.node.is_null() { visitor.visit_seq(Items { items: [].iter() }) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let content = if self.node.is_null() { NOTHING } else { self.node };
        self.place(Value { node: content, named_at: self.named_at }.deserialize_any(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match &self.node.content {
            // serde would take a list for a struct, field by field.
            Content::List(_) => self.place(Err(Misfit::invalid_type(Unexpected::Seq, &visitor))),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let several = || Misfit::custom(format!("Expected one of {}.", one_of(names.iter().copied())));
        self.place(match &self.node.content {
            Content::Scalar(scalar) if !scalar.is_null() => {
                visitor.visit_enum(Variant { name: &scalar.text, name_at: self.node.at, value: None })
            }
            Content::Map(entries) => match entries.as_slice() {
                [only] => visitor.visit_enum(Variant { name: &only.key, name_at: only.key_at, value: Some(only) }),
                [] => Err(several()),
                [first, second, ..] => Err(Misfit::custom(format!(
                    "`{}` stands beside `{}`; only one of them can be here.",
                    second.key, first.key
                ))
                .at(second.key_at)),
            },
            Content::List(_) | Content::Scalar(_) => Err(several()),
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let value = Value { node, named_at: node.at };
        value.place(seed.deserialize(value)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'n> {
    entries: std::slice::Iter<'n, Entry>,
    value: Option<&'n Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'_, Misfit> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|misfit| misfit.at(entry.key_at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let entry = self.value.take().ok_or_else(|| Misfit::custom("A value was asked for before its key."))?;
        let value = Value::of(entry);
        value.place(seed.deserialize(value))
    }
}

struct Variant<'n> {
    name: &'n str,
    name_at: Place,
    value: Option<&'n Entry>,
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        let name: StrDeserializer<'_, Misfit> = self.name.into_deserializer();
        let value = seed.deserialize(name).map_err(|misfit| misfit.at(self.name_at))?;
        Ok((value, self))
    }
}

impl<'n> Variant<'n> {
    /// The settings after the name; a bare name has none.
    fn settings(&self) -> Value<'n> {
        match self.value {
            Some(entry) => Value::of(entry),
            None => Value { node: NOTHING, named_at: self.name_at },
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.value {
            Some(entry) if !entry.value.is_null() && !entry.value.entries().is_empty() => {
                Err(Misfit::custom(format!("`{}` takes no settings.", self.name)).at(entry.value.at))
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        let settings = self.settings();
        seed.deserialize(settings).map_err(|misfit| misfit.at(settings.named_at))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.settings().deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Misfit> {
        self.settings().deserialize_map(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use watchbell_core::{Slug, Span};

    use super::*;
    use crate::config::tree::parse;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Monitor {
        name: String,
        #[serde(default)]
        interval: Option<Span>,
        #[serde(default)]
        port: u16,
        #[serde(default)]
        ratio: f64,
        #[serde(default)]
        on: bool,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        probe: Option<Probe>,
        #[serde(default)]
        family: Family,
        #[serde(default)]
        free: Option<serde_json::Value>,
        #[serde(default)]
        slug: Option<Slug>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Probe {
        Http(Http),
        Tcp { address: String },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Http {
        url: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Family {
        #[default]
        Any,
        V4,
    }

    fn try_read(text: &str) -> Result<Monitor, String> {
        let (node, faults) = parse(0, text, &|name| (name == "SECRET").then(|| "hunter2".to_owned()));
        assert!(faults.is_empty(), "{faults:?}");
        decode(&node.unwrap(), Place::new(0, 1, 1)).map_err(|f| format!("{}:{} {}", f.at.line, f.at.column, f.sentence))
    }

    fn bad(text: &str) -> String {
        try_read(text).unwrap_err()
    }

    #[test]
    fn every_shape_is_read() {
        let monitor = try_read(
            "name: 5\ninterval: 1m30s\nport: '443'\nratio: 1\non: true\ntags: [a, 7, yes]\nheaders: {X: 1.10, Y: null-ish}\n\
             probe: {http: {url: http://x/}}\nfamily: v4\nfree: {a: [1, -2, 0.5, true, null, x]}\nslug: a-b\n"
                .replace("'443'", "443")
                .as_str(),
        )
        .unwrap();
        assert_eq!(monitor.name, "5");
        assert_eq!(monitor.interval, Some(Span::secs(90)));
        assert_eq!((monitor.port, monitor.ratio, monitor.on), (443, 1.0, true));
        assert_eq!(monitor.tags, ["a", "7", "yes"]);
        assert_eq!(monitor.headers["X"], "1.10");
        assert_eq!(monitor.probe, Some(Probe::Http(Http { url: "http://x/".into() })));
        assert_eq!(monitor.family, Family::V4);
        assert_eq!(monitor.free, Some(serde_json::json!({"a": [1, -2, 0.5, true, null, "x"]})));
        assert_eq!(
            try_read("name: x\nprobe: {tcp: {address: a}}\n").unwrap().probe,
            Some(Probe::Tcp { address: "a".into() })
        );
        assert_eq!(try_read("name: x\ninterval: 30\n").unwrap().interval, Some(Span::secs(30)));
        assert_eq!(try_read("name: x\ninterval:\ntags:\nheaders:\nprobe: ~\n").unwrap().tags, Vec::<String>::new());
    }

    #[test]
    fn misfits_say_what_was_expected_and_where() {
        for (text, expected) in [
            ("name: x\nport: 70000\n", "2:7 Expected a whole number from 0 to 65535, not `70000`."),
            ("name: x\nport: many\n", "2:7 Expected a whole number from 0 to 65535, not `many`."),
            ("name: x\nport: '443'\n", "2:7 Expected a whole number from 0 to 65535, not `443`."),
            ("name: x\non: yes\n", "2:5 Expected `true` or `false`, not `yes`."),
            ("name: [x]\n", "1:7 Expected text, not a list."),
            ("name:\n", "1:1 Expected text, not nothing."),
            ("name: x\ntags: prod\n", "2:7 Expected a list like `[a, b]`, not `prod`."),
            ("name: x\nheaders: [a]\n", "2:10 Expected a map like `name: value`, not a list."),
            ("tags: []\n", "1:1 `name` is missing."),
            ("name: x\nprobe:\n  http: {}\n", "3:3 `url` is missing."),
            ("name: x\nprobe: {}\n", "2:8 Expected one of `http` or `tcp`."),
            ("name: x\nprobe: [http]\n", "2:8 Expected one of `http` or `tcp`."),
            (
                "name: x\nprobe: {http: {url: a}, tcp: {address: b}}\n",
                "2:25 `tcp` stands beside `http`; only one of them can be here.",
            ),
            (
                "name: x\nprobe: {htpp: {}}\n",
                "2:9 `htpp` is not known here; did you mean `http`? Possible: `http` or `tcp`.",
            ),
            ("name: x\nprobe: http\n", "2:8 `url` is missing."),
            ("name: x\nprobe: {http: {url: a, prot: 5}}\n", "2:24 `prot` is no setting here. Possible: `url`."),
            ("name: x\nfamily: v5\n", "2:9 `v5` is not known here; did you mean `v4`? Possible: `any` or `v4`."),
            ("- name: x\n", "1:1 Expected settings like `name: value`, not a list."),
        ] {
            assert_eq!(bad(text), expected, "{text}");
        }
        assert!(
            bad("name: x\nintervall: 5s\n")
                .starts_with("2:1 `intervall` is no setting here; did you mean `interval`? Possible: ")
        );
        assert!(
            bad("name: x\ninterval: soon\n").starts_with("2:11 `soon` is not a length of time; write it like"),
            "{}",
            bad("name: x\ninterval: soon\n")
        );
        assert!(bad("name: x\nslug: A B\n").starts_with("2:7 `A B` cannot be a slug"));
    }

    #[test]
    fn values_of_variables_never_stand_in_messages() {
        for text in [
            "name: x\nport: ${SECRET}\n",
            "name: x\ninterval: \"${SECRET}\"\n",
            "name: x\nfamily: ${SECRET}\n",
            "name: x\nslug: ${SECRET} B\n",
        ] {
            let said = bad(text);
            assert!(!said.contains("hunter2") && said.contains("${SECRET}"), "{said}");
        }
    }
}
