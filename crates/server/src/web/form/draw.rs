//! The form as people see it: essentials in one panel, the rest in groups that say what they hold.

use maud::{Markup, html};
use watchbell_core::catalog::{Control, Field, HIDDEN};
use watchbell_core::kind::Complaint;

use super::{ESSENTIALS, Filled, Form, Part, is_empty_row, is_on_by_default, is_word, path_of};
use crate::web::parts;

/// Values with what people read beside them.
pub(crate) type Choices = Vec<(String, String)>;

/// What the schema alone does not know.
pub(crate) struct Hints<'a> {
    /// What an empty field means just now, e.g. what all monitors do: `60 s`.
    pub empty: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The values a list may hold, with what people read: the channels there are.
    pub choices: &'a (dyn Fn(&str) -> Option<Choices> + Sync),
    /// What stands below a group of that name, or as `first` and `last` among the essentials.
    pub beside: &'a (dyn Fn(&str) -> Option<Markup> + Sync),
    pub complaints: &'a [Complaint],
}

/// Rows that stand ready below a list, for who has no script to add them.
const SPARE_ROWS: usize = 2;

impl Form {
    /// The whole form but for its `<form>` element.
    pub(crate) fn draw(&self, filled: &Filled, hints: &Hints<'_>) -> Markup {
        let pen = Pen { filled, hints };
        let groups = self.groups();
        let essentials = groups.iter().filter(|(name, _)| *name == ESSENTIALS).flat_map(|(_, parts)| parts);
        let rest: Vec<_> = groups.iter().filter(|(name, _)| *name != ESSENTIALS).collect();
        html! {
            section.panel aria-labelledby="h-essentials" {
                div.panel-h { h2 #h-essentials { "Essentials" } }
                div.panel-b.grid-form {
                    @if let Some(first) = (hints.beside)("first") { (first) }
                    @for part in essentials { (pen.part(part)) }
                    @if let Some(last) = (hints.beside)("last") { (last) }
                }
            }
            @if !rest.is_empty() {
                section.panel aria-labelledby="h-advanced" {
                    div.panel-h { h2 #h-advanced { "Advanced" } span.sub { (pen.overview(&rest)) } }
                    @for (name, parts) in &rest { (pen.group(name, parts)) }
                }
            }
        }
    }

    /// The list of mistakes for the top of the page, each leading to its field.
    pub(crate) fn mistakes(&self, complaints: &[Complaint]) -> Markup {
        html! {
            @if !complaints.is_empty() {
                div.note.down.mistakes #mistakes role="alert" tabindex="-1" autofocus {
                    (parts::glyph("down", 16))
                    div {
                        b {
                            @if complaints.len() == 1 {
                                "One thing to change"
                            } @else {
                                (complaints.len()) " things to change"
                            }
                        }
                        ul { @for complaint in complaints {
                            li {
                                @if let Some(title) = self.title(&complaint.field) { (title) ": " }
                                a.link href={ "#" (id_of(&self.nearest(&complaint.field))) } {
                                    (parts::prose(&complaint.sentence))
                                }
                            }
                        } }
                    }
                }
            }
        }
    }

    /// What people call the field that a complaint is about.
    fn title(&self, field: &str) -> Option<&str> {
        let name = name_of(field);
        let around = |part: &&Part| name == part.name || name.starts_with(&format!("{}.", part.name));
        self.parts.iter().find(around).map(|part| part.field.title.as_str())
    }

    /// The name of the field that a complaint is about, or of the one around it.
    fn nearest(&self, field: &str) -> String {
        let name = name_of(field);
        if self.parts.iter().any(|part| name == part.name || name.starts_with(&format!("{}.", part.name))) {
            return name;
        }
        let below = self.parts.iter().find(|part| part.name.starts_with(&format!("{name}.")));
        below.map_or(name, |part| part.name.clone())
    }
}

struct Pen<'a> {
    filled: &'a Filled,
    hints: &'a Hints<'a>,
}

impl Pen<'_> {
    fn overview(&self, groups: &[&(&str, Vec<&Part>)]) -> String {
        let fields: usize = groups.iter().map(|(_, parts)| parts.len()).sum();
        let set: usize = groups.iter().map(|(_, parts)| self.set(parts)).sum();
        match set {
            0 => format!("{fields} fields, all as usual"),
            1 => format!("{fields} fields, 1 differs from the default"),
            set => format!("{fields} fields, {set} differ from the default"),
        }
    }

    fn set(&self, parts: &[&Part]) -> usize {
        parts.iter().filter(|part| self.is_set(part)).count()
    }

    fn is_set(&self, part: &Part) -> bool {
        if part.inherits {
            return self.filled.get(&format!("{}.own", part.name)) == Some("1");
        }
        match (&part.field.control, &part.field.default) {
            (Control::Switch, _) => self.is_on(&part.field, &part.name) != is_on_by_default(&part.field),
            (_, Some(serde_json::Value::String(default))) => {
                self.filled.get(&part.name).is_some_and(|text| !text.is_empty() && text != default)
            }
            _ => !self.filled.is_blank(&part.name),
        }
    }

    /// A browser posts nothing for a switch that is off, so that a form which was posted says so once for all.
    fn is_on(&self, field: &Field, name: &str) -> bool {
        match self.filled.get(name) {
            Some(text) => text == "true",
            None => is_on_by_default(field) && self.filled.get("posted").is_none(),
        }
    }

    fn group(&self, name: &str, parts: &[&Part]) -> Markup {
        let set = self.set(parts);
        let said: Vec<String> = parts.iter().filter_map(|part| self.said(part)).take(3).collect();
        let wrong = parts.iter().any(|part| !self.complaints(&part.name, true).is_empty());
        html! {
            details.adv open[wrong] {
                summary {
                    (parts::icon("right")) (name)
                    span.sub.clip { @if said.is_empty() { "as usual" } @else { (said.join(", ")) } }
                    @if set > 0 { span.end { span.changed { (set) " set" } } }
                }
                div.in {
                    div.grid-form { @for part in parts { (self.part(part)) } }
                    @if let Some(below) = (self.hints.beside)(name) { (below) }
                }
            }
        }
    }

    /// A field's value as a phrase for the closed group.
    fn said(&self, part: &Part) -> Option<String> {
        let title = part.field.title.to_lowercase();
        let value = self.filled.get(&part.name).map(str::trim).unwrap_or_default();
        match &part.field.control {
            _ if !self.is_set(part) => None,
            Control::Switch => Some(title),
            Control::Secret => Some(format!("{title} set")),
            Control::List(_) | Control::Map(_) => {
                let rows = self
                    .filled
                    .rows(&part.name)
                    .into_iter()
                    .filter(|row| !self.filled.is_blank(&format!("{}.{row}", part.name)));
                Some(format!("{} {title}", rows.count()))
            }
            Control::Object(_) => Some(title),
            _ if value.chars().count() <= 24 && !value.contains('\n') => Some(format!("{title} {value}")),
            _ => Some(title),
        }
    }

    fn part(&self, part: &Part) -> Markup {
        if part.inherits { self.inheriting(part) } else { self.field(&part.field, &part.name) }
    }

    /// A list that follows the defaults until somebody says otherwise.
    fn inheriting(&self, part: &Part) -> Markup {
        let (name, field) = (&part.name, &part.field);
        let own = self.filled.get(&format!("{name}.own")) == Some("1");
        let usual = (self.hints.empty)(name).unwrap_or_else(|| "as usual".into());
        let choice = |value: &str, checked: bool, label: &str| {
            html! {
                label.opt-row {
                    input.check type="radio" name={ (name) ".own" } value=(value) checked[checked];
                    span { (label) }
                }
            }
        };
        html! {
            fieldset.field.wide #(id_of(name)) {
                legend.lbl { (field.title) }
                div.stack-8 {
                    (choice("", !own, &usual))
                    div.branch {
                        (choice("1", own, "Only these:"))
                        div.branch-in { (self.control(field, name)) }
                    }
                }
                (self.below(field, name))
            }
        }
    }

    fn field(&self, field: &Field, name: &str) -> Markup {
        let id = id_of(name);
        match &field.control {
            Control::Switch => html! {
                div.field.check-field #{ (id) "-field" } {
                    label.opt-row {
                        input.check #(id) type="checkbox" name=(name) value="true" checked[self.is_on(field, name)]
                            aria-describedby=[self.described(field, name)];
                        span.b { (field.title) }
                    }
                    (self.below(field, name))
                }
            },
            Control::List(_) | Control::Map(_) | Control::Object(_) | Control::OneOf(_) => html! {
                fieldset.field.wide #(id) aria-describedby=[self.described(field, name)] {
                    legend.lbl { (field.title) (self.optional(field)) }
                    (self.control(field, name))
                    (self.below(field, name))
                }
            },
            control => html! {
                div.field.wide[is_wide(control, name)] {
                    label for=(id) { (field.title) (self.optional(field)) }
                    (self.control(field, name))
                    (self.below(field, name))
                }
            },
        }
    }

    fn optional(&self, field: &Field) -> Markup {
        html! { @if field.required { span.opt { "needed" } } }
    }

    /// Help and mistakes, below the control.
    fn below(&self, field: &Field, name: &str) -> Markup {
        let complaints = self.complaints(name, false);
        html! {
            @if !field.help.is_empty() {
                @if field.more.is_empty() {
                    p.hint #{ (id_of(name)) "-help" } { (parts::prose(&field.help)) }
                } @else {
                    details.more-help {
                        summary.hint #{ (id_of(name)) "-help" } { (parts::prose(&field.help)) " " span.link { "More" } }
                        p.hint { (parts::prose(&field.more)) }
                    }
                }
            }
            @for (index, sentence) in complaints.iter().enumerate() {
                p.err id=[(index == 0).then(|| format!("{}-error", id_of(name)))] {
                    (parts::small_glyph("down")) span { (parts::prose(sentence)) }
                }
            }
        }
    }

    /// What is wrong with this field; with `below`, also with what lies inside it.
    fn complaints(&self, name: &str, below: bool) -> Vec<&str> {
        let path = path_of(name);
        let is_about = |field: &str| {
            field == path
                || field == name
                || (below && field.strip_prefix(&path).is_some_and(|rest| rest.starts_with(['.', '['])))
        };
        self.hints.complaints.iter().filter(|it| is_about(&it.field)).map(|it| it.sentence.as_str()).collect()
    }

    fn described(&self, field: &Field, name: &str) -> Option<String> {
        let id = id_of(name);
        let help = (!field.help.is_empty()).then(|| format!("{id}-help"));
        let error = (!self.complaints(name, false).is_empty()).then(|| format!("{id}-error"));
        let ids: Vec<String> = [error, help].into_iter().flatten().collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    fn control(&self, field: &Field, name: &str) -> Markup {
        let value = self.filled.get(name).unwrap_or_default();
        match &field.control {
            Control::Switch => html! {
                label.opt-row {
                    input.check type="checkbox" name=(name) value="true" checked[self.is_on(field, name)];
                    span { (field.title) }
                }
            },
            Control::Choice(words) => self.select(field, name, words),
            Control::Secret => self.secret(field, name),
            Control::List(item) => self.list(item, name),
            Control::Map(inner) => self.map(inner, name),
            Control::Object(fields) => html! { div.grid-form.nested { @for inner in fields {
                (self.field(inner, &format!("{name}.{}", inner.name)))
            } } },
            Control::OneOf(branches) => self.one_of(field, branches, name),
            Control::Yaml => self.area(field, name, value, "mono"),
            Control::Text { .. } if is_long(name) || value.contains('\n') => self.area(field, name, value, ""),
            _ => self.line(field, name, value),
        }
    }

    fn line(&self, field: &Field, name: &str, value: &str) -> Markup {
        let (kind, mode, class) = match &field.control {
            // Not type=url or number: browsers would refuse `${VARIABLE}` and say so in their own words.
            Control::Url => ("text", Some("url"), "inp mono"),
            Control::Integer { .. } | Control::Number => ("text", Some("numeric"), "inp"),
            _ => ("text", None, "inp"),
        };
        let unit = match &field.control {
            Control::Duration => Some("30s, 5m, 1h"),
            _ => None,
        };
        let input = html! {
            input #(id_of(name)) class=(class) type=(kind) name=(name) value=(value) inputmode=[mode] autocomplete="off"
                spellcheck=[matches!(field.control, Control::Url).then_some("false")]
                placeholder=[self.placeholder(field, name)] list=[(name == "group").then_some("groups")]
                aria-invalid=[(!self.complaints(name, false).is_empty()).then_some("true")]
                aria-describedby=[self.described(field, name)];
        };
        match unit {
            Some(unit) => html! { div.affix { (input) span { (unit) } } },
            None => input,
        }
    }

    fn area(&self, field: &Field, name: &str, value: &str, class: &str) -> Markup {
        html! {
            textarea #(id_of(name)) class={ "inp " (class) } name=(name) rows=(value.lines().count().clamp(3, 16))
                placeholder=[self.placeholder(field, name)]
                aria-invalid=[(!self.complaints(name, false).is_empty()).then_some("true")]
                aria-describedby=[self.described(field, name)] {
                // A browser drops the first line break inside a text area.
                "\n" (value)
            }
        }
    }

    fn placeholder(&self, field: &Field, name: &str) -> Option<String> {
        let default = || field.default.as_ref().map(plain);
        let example = || field.example.as_ref().map(|example| format!("e.g. {}", plain(example)));
        (self.hints.empty)(name).or_else(default).or_else(example)
    }

    fn secret(&self, field: &Field, name: &str) -> Markup {
        let value = self.filled.get(name).unwrap_or_default();
        let is_set = value == HIDDEN || self.filled.get(&format!("{name}.set")).is_some();
        let typed = if value == HIDDEN { "" } else { value };
        let removed = self.filled.get(&format!("{name}.remove")).is_some();
        html! {
            div.affix {
                input.inp #(id_of(name)) type="password" name=(name) value=(typed) autocomplete="new-password"
                    placeholder=[is_set.then_some("••••••••  type to replace")]
                    aria-invalid=[(!self.complaints(name, false).is_empty()).then_some("true")]
                    aria-describedby=[self.described(field, name)];
                @if is_set { span { "set" } }
            }
            @if is_set {
                input type="hidden" name={ (name) ".set" } value="1";
                label.opt-row.small {
                    input.check type="checkbox" name={ (name) ".remove" } value="1" checked[removed];
                    span { "Remove it" }
                }
            }
        }
    }

    fn select(&self, field: &Field, name: &str, words: &[(String, String)]) -> Markup {
        let default = field.default.as_ref().and_then(|it| it.as_str());
        let value = self.filled.get(name).filter(|value| !value.is_empty()).or(default).unwrap_or_default();
        let open = !field.required && default.is_none();
        html! {
            select.inp #(id_of(name)) name=(name) aria-describedby=[self.described(field, name)]
                aria-invalid=[(!self.complaints(name, false).is_empty()).then_some("true")] {
                @if open {
                    option value="" selected[value.is_empty()] {
                        ((self.hints.empty)(name).unwrap_or_else(|| "Not set".into()))
                    }
                }
                @for (word, label) in words {
                    option value=(word) selected[value == word] { (label) }
                }
            }
        }
    }

    fn list(&self, item: &Field, name: &str) -> Markup {
        if let Some(choices) = (self.hints.choices)(name) {
            return self.ticks(&choices, name);
        }
        let inline = !matches!(item.control, Control::Object(_) | Control::OneOf(_) | Control::Map(_) | Control::Yaml);
        let is_blank = |row: &str| is_empty_row(item, row, self.filled);
        let spare = if inline { SPARE_ROWS } else { 1 };
        let rows = self.rows(name, spare, is_blank);
        html! {
            div.rows.inline[inline] data-rows=(name) {
                @for row in rows {
                    @let below = format!("{name}.{row}");
                    @if inline {
                        div.list-row { (self.control(item, &below)) (self.row_errors(&below)) }
                    } @else if is_blank(&below) {
                        // What is large and empty opens when it is wanted, with or without a script.
                        details.list-row.spare {
                            summary.btn.ghost.sm { (parts::icon("plus")) "Add" } (self.boxed(item, &below))
                        }
                    } @else {
                        div.list-row { (self.boxed(item, &below)) (self.row_errors(&below)) }
                    }
                }
                (add_row(name))
            }
        }
    }

    fn row_errors(&self, name: &str) -> Markup {
        html! {
            @for sentence in self.complaints(name, false) {
                p.err { (parts::small_glyph("down")) span { (parts::prose(sentence)) } }
            }
        }
    }

    /// The fields of one item of a list, without a heading of their own.
    fn boxed(&self, item: &Field, name: &str) -> Markup {
        html! { div.boxed { (self.control(item, name)) } }
    }

    /// A list of known values, one tick each. Values that are no longer known stay visible.
    fn ticks(&self, choices: &[(String, String)], name: &str) -> Markup {
        let chosen: Vec<&str> = self
            .filled
            .rows(name)
            .into_iter()
            .filter_map(|row| self.filled.get(&format!("{name}.{row}")))
            .filter(|it| !it.is_empty())
            .collect();
        let gone = chosen.iter().filter(|value| !choices.iter().any(|(known, _)| known == **value));
        let all: Vec<(&str, &str)> = choices
            .iter()
            .map(|(value, label)| (value.as_str(), label.as_str()))
            .chain(gone.map(|value| (*value, "no longer there")))
            .collect();
        html! {
            div.ticks {
                @for (row, (value, label)) in all.iter().enumerate() {
                    label.opt-row {
                        input.check type="checkbox" name={ (name) "." (row) } value=(value) checked[chosen.contains(value)];
                        span { span.b { (value) } " " span.i3 { (label) } }
                    }
                }
                @if all.is_empty() { p.hint { "There is nothing to choose from yet." } }
            }
        }
    }

    fn map(&self, inner: &Field, name: &str) -> Markup {
        let rows = self.rows(name, SPARE_ROWS, |row| self.filled.is_blank(row));
        html! {
            div.rows data-rows=(name) {
                @for row in rows {
                    @let (key, value) = (format!("{name}.{row}.key"), format!("{name}.{row}.value"));
                    div.list-row.pair {
                        input.inp type="text" name=(key) value=(self.filled.get(&key).unwrap_or_default()) placeholder="Name"
                            aria-label="Name" autocomplete="off";
                        div { (self.control(inner, &value)) }
                    }
                }
                (add_row(name))
            }
        }
    }

    /// The rows to draw: those filled in, and some to spare.
    fn rows(&self, name: &str, spare: usize, is_blank: impl Fn(&str) -> bool) -> Vec<usize> {
        let rows = self.filled.rows(name);
        let used = rows.iter().rev().find(|row| !is_blank(&format!("{name}.{row}"))).map_or(0, |row| row + 1);
        let wished = self.filled.get("more").filter(|more| *more == name).map_or(0, |_| spare);
        (0..used + spare + wished).collect()
    }

    fn one_of(&self, field: &Field, branches: &[(String, Field)], name: &str) -> Markup {
        let default = field.default.as_ref().and_then(|it| it.as_str());
        let chosen = self.filled.get(name).or(default).unwrap_or_default();
        let open = !field.required && default.is_none();
        let radio = |value: &str, label: &str, help: &str| {
            html! {
                label.opt-row {
                    input.check type="radio" name=(name) value=(value) checked[chosen == value];
                    span { span.b { (label) } @if !help.is_empty() { " " span.i3 { (parts::prose(help)) } } }
                }
            }
        };
        html! {
            div.stack-8 {
                @if open { (radio("", "None", "")) }
                @for (key, branch) in branches {
                    div.branch {
                        (radio(key, &branch.title, &branch.help))
                        @if !is_word(key, branch) {
                            div.branch-in { (self.control(branch, &format!("{name}.{key}"))) }
                        }
                    }
                }
            }
        }
    }
}

/// Without script this posts the form as it is, and it comes back with more rows.
fn add_row(name: &str) -> Markup {
    html! { button.btn.ghost.sm.add-row type="submit" name="more" value=(name) formnovalidate { (parts::icon("plus")) "Add" } }
}

/// A control that wants the whole width.
fn is_wide(control: &Control, name: &str) -> bool {
    match control {
        Control::Url | Control::Yaml => true,
        Control::Text { .. } => is_long(name),
        _ => false,
    }
}

/// Texts of several lines, by what they are called.
fn is_long(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    matches!(last, "body" | "note" | "text" | "template" | "query" | "send") || last.ends_with("_pem")
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The id of the control posted as `name`.
pub(super) fn id_of(name: &str) -> String {
    format!("f-{}", name.replace('.', "-"))
}

/// A complaint's path as the name of a posted field: `accept[0]` is `accept.0`.
fn name_of(path: &str) -> String {
    path.replace('[', ".").replace(']', "")
}
