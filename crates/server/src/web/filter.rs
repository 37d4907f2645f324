//! The filter in the address: `?q=state:down tag:prod -test&group=Web`. Words are ANDed; a word matches names,
//! addresses and tags, a word with a colon one thing only, a minus before it turns it round.

use std::time::Duration;

use watchbell_core::Timestamp;

use crate::live::{Shown, Watched};

/// What the address of the overview says.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    pub q: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub tag: String,
    #[serde(default)]
    pub group: String,
    /// `cards` or `table`; what fits the number of monitors if not said.
    #[serde(default)]
    pub view: String,
    /// Beginning with 1.
    #[serde(default, deserialize_with = "number_or_none")]
    pub page: Option<usize>,
}

fn number_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let text: String = serde::Deserialize::deserialize(deserializer)?;
    Ok(text.parse().ok())
}

/// A parsed filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// As it is written, for the chip that takes it away.
    text: String,
    not: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Word(String),
    State(Vec<String>),
    Tag(String),
    Group(String),
    Kind(String),
    Owner(String),
    /// The certificate ends within so long.
    Certificate(Duration),
}

impl Asked {
    pub(crate) fn filter(&self) -> Filter {
        let mut terms: Vec<Term> = words(&self.q).iter().map(|word| term(word)).collect();
        let mut also = |what: What, text: &str| terms.push(Term { text: text.to_owned(), not: false, what });
        if !self.state.is_empty() {
            also(What::State(self.state.split(',').map(str::to_lowercase).collect()), "");
        }
        if !self.tag.is_empty() {
            also(What::Tag(self.tag.to_lowercase()), "");
        }
        if !self.group.is_empty() {
            also(What::Group(self.group.to_lowercase()), "");
        }
        Filter { terms }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.q.trim().is_empty() && self.state.is_empty() && self.tag.is_empty() && self.group.is_empty()
    }

    /// The filter in words, for a place that holds nothing.
    pub(crate) fn said(&self) -> String {
        let parts = [("", &self.q), ("state ", &self.state), ("tag ", &self.tag), ("group ", &self.group)];
        let said: Vec<String> = parts
            .iter()
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(what, text)| format!("{what}“{}”", text.trim()))
            .collect();
        said.join(", ")
    }

    /// The address's query, with one thing changed.
    pub(crate) fn query(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut asked = self.clone();
        change(&mut asked);
        let page = asked.page.filter(|page| *page > 1).map(|page| page.to_string()).unwrap_or_default();
        let parts = [
            ("q", asked.q.trim()),
            ("state", &asked.state),
            ("tag", &asked.tag),
            ("group", &asked.group),
            ("view", &asked.view),
            ("page", &page),
        ];
        let query: Vec<String> = parts
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", super::links::escaped(value)))
            .collect();
        query.join("&")
    }
}

impl Filter {
    /// `person` is who `owner:me` stands for.
    pub(crate) fn matches(&self, watched: &Watched, person: &str, now: Timestamp) -> bool {
        self.terms.iter().all(|term| term.what.matches(watched, person, now) != term.not)
    }
}

impl What {
    fn matches(&self, watched: &Watched, person: &str, now: Timestamp) -> bool {
        let spec = &watched.fixed.spec;
        let holds = |text: &str, word: &str| text.to_lowercase().contains(word);
        match self {
            Self::Word(word) => {
                holds(watched.fixed.title(), word)
                    || holds(watched.fixed.slug.as_str(), word)
                    || holds(spec.group.as_deref().unwrap_or_default(), word)
                    || spec.tags.iter().any(|tag| holds(tag, word))
                    || holds(&spec.target(), word)
            }
            Self::State(states) => states.iter().any(|state| {
                let shown = watched.shown();
                state == shown.name() || state == &shown.word().to_lowercase()
            }),
            Self::Tag(wanted) => spec.tags.iter().any(|tag| tag.to_lowercase() == *wanted),
            Self::Group(wanted) => spec.group.as_deref().unwrap_or_default().to_lowercase() == *wanted,
            Self::Kind(kind) => spec.kind() == kind,
            Self::Owner(owner) => {
                let owner = if owner == "me" { person } else { owner };
                watched.acknowledged.as_ref().is_some_and(|it| holds(&it.by, &owner.to_lowercase()))
            }
            Self::Certificate(within) => watched
                .last
                .as_ref()
                .and_then(|last| last.expires_at)
                .is_some_and(|ends| ends.as_millis() <= (now + *within).as_millis()),
        }
    }
}

fn term(word: &str) -> Term {
    let (not, rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()).map_or((false, word), |rest| (true, rest));
    let lower = rest.to_lowercase();
    let what = match lower.split_once(':') {
        Some(("state", value)) => What::State(value.split(',').map(str::to_owned).collect()),
        Some(("tag", value)) => What::Tag(value.to_owned()),
        Some(("group", value)) => What::Group(value.to_owned()),
        Some(("kind", value)) => What::Kind(value.to_owned()),
        Some(("owner", value)) => What::Owner(value.to_owned()),
        Some(("cert", value)) => match value.trim_start_matches('<').parse::<watchbell_core::Span>() {
            Ok(within) => What::Certificate(within.0),
            Err(_) => What::Word(lower),
        },
        _ => What::Word(lower),
    };
    Term { text: word.to_owned(), not, what }
}

/// Words of a query; quotes keep a word together: `group:"Birch Hill"`.
fn words(query: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in query.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(String::new()),
            c => words.last_mut().expect("there is always one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The order of the overview: trouble first, then names.
pub(crate) fn rank(watched: &Watched) -> (u8, bool) {
    let shown = watched.shown();
    let rank = match shown {
        Shown::Down => 0,
        Shown::Degraded => 1,
        Shown::Unknown => 2,
        Shown::Pending => 3,
        Shown::Up => 4,
        Shown::Paused => 5,
    };
    (rank, watched.acknowledged.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::sample::{Sample, minutes};

    fn check(query: &str, expected: &[&str]) {
        let monitors = [
            Sample::up("Shop front").group("Web").tags(&["prod", "site:south"]).build(),
            Sample::down("Shop database", minutes(5)).group("Birch Hill").owned_by("Ada Lindqvist").build(),
            Sample::up("Mail").tags(&["test"]).paused().build(),
        ];
        let asked = Asked { q: query.to_owned(), ..Asked::default() };
        let found: Vec<&str> = monitors
            .iter()
            .filter(|it| asked.filter().matches(it, "Ada Lindqvist", Sample::NOW))
            .map(|it| it.fixed.title())
            .collect();
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn words_are_anded_and_colons_narrow_them() {
        check("", &["Shop front", "Shop database", "Mail"]);
        check("shop", &["Shop front", "Shop database"]);
        check("shop front", &["Shop front"]);
        check("state:down", &["Shop database"]);
        check("state:down,paused", &["Shop database", "Mail"]);
        check("tag:site:south", &["Shop front"]);
        check("-tag:test -state:down", &["Shop front"]);
        check("group:\"Birch Hill\"", &["Shop database"]);
        check("owner:me", &["Shop database"]);
        check("kind:http", &["Shop front", "Shop database", "Mail"]);
        check("-shop", &["Mail"]);
        check("nothing of the kind", &[]);
    }

    #[test]
    fn the_address_keeps_everything_but_what_changes() {
        let asked = Asked { q: "shop".into(), view: "table".into(), page: Some(3), ..Asked::default() };
        assert_eq!(asked.query(|it| it.page = Some(4)), "q=shop&view=table&page=4");
        assert_eq!(
            asked.query(|it| {
                it.page = None;
                it.q.clear();
            }),
            "view=table"
        );
    }
}
