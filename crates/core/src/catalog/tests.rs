//! What is derived from a definition, shown on a family made up for it.
#![expect(unreachable_pub, reason = "the family is declared as in a crate of its own, where all of it is public")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::kind::Kind;
use crate::{Secret, Slug, Span};

mod caller {
    use super::*;

    /// Calls a number. It speaks slowly, e.g. for a siren.
    ///
    /// Needs an account.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[schemars(title = "Caller")]
    #[serde(deny_unknown_fields)]
    pub struct Caller {
        /// Where the provider listens.
        #[schemars(url, extend("x-group" = "Provider"))]
        pub url: String,
        /// Proves who calls.
        #[schemars(extend("x-group" = "Provider"))]
        pub token: Secret,
        /// Who is called | in this order.
        pub to: Vec<String>,
        /// How long it rings. Longer annoys.
        #[serde(default = "half_a_minute")]
        pub ring_for: Span,
        /// How loud.
        #[serde(default)]
        pub volume: Volume,
        /// How often it calls again.
        #[serde(default)]
        #[schemars(range(min = 0, max = 9))]
        pub calls: Option<u8>,
        /// How the provider knows us.
        #[serde(default)]
        pub auth: Option<Auth>,
        /// Headers that the provider wants, secret ones too.
        #[serde(default)]
        pub headers: BTreeMap<String, Secret>,
        /// Numbers that are called at the same time.
        #[serde(default)]
        pub groups: Vec<Group>,
        /// What is said, by language.
        #[serde(default)]
        pub texts: BTreeMap<Slug, Text>,
        /// Whether it may call at night.
        #[serde(default)]
        pub at_night: bool,
        /// Kept for the provider.
        #[serde(default)]
        pub extra: Value,
    }

    fn half_a_minute() -> Span {
        Span::secs(30)
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Volume {
        /// As people speak.
        #[default]
        Normal,
        /// As sirens do.
        Loud,
    }

    /// How to say who we are.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    pub enum Auth {
        /// By name and password.
        Basic(Basic),
        /// By a token.
        Bearer(Secret),
        /// Not at all.
        Nobody,
    }

    /// Name and password.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Basic {
        /// The name.
        pub user: String,
        /// The password.
        pub password: Secret,
    }

    /// Several numbers.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Group {
        /// The first number.
        pub number: String,
        /// The pin that is dialled after it: a secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pin: Option<Secret>,
    }

    /// A text to say.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Text {
        /// The words.
        pub words: String,
    }

    impl Kind for Caller {
        fn example() -> Self {
            Self {
                url: "https://call.example/v1".into(),
                token: Secret::new("123:abc"),
                to: vec!["+49 30 1234".into()],
                ring_for: Span::secs(30),
                volume: Volume::Loud,
                calls: Some(2),
                auth: Some(Auth::Basic(Basic { user: "us".into(), password: Secret::new("hush") })),
                headers: BTreeMap::new(),
                groups: vec![Group { number: "1".into(), pin: Some(Secret::new("0000")) }],
                texts: BTreeMap::new(),
                at_night: true,
                extra: Value::Null,
            }
        }
    }
}

mod careless {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Careless {
        pub api_key: String,
        /// A word, not a password.
        pub keyword: String,
        /// What tells us apart.
        #[schemars(extend("x-public" = true))]
        pub public_key: String,
        /// Hidden for no reason.
        pub colour: Secret,
        /// Inside.
        pub inside: Option<Box<Nested>>,
    }

    /// Nested.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Nested {
        pub plain: u8,
        /// Itself.
        pub again: Option<Box<Self>>,
    }

    impl Kind for Careless {
        fn example() -> Self {
            Self {
                api_key: "k".into(),
                keyword: "w".into(),
                public_key: "p".into(),
                colour: Secret::new("red"),
                inside: None,
            }
        }
    }
}

crate::kinds! {
    /// How people are called.
    pub enum Good { caller::Caller, }
}

/// The macro makes one helper per family; a second family in one module is entered by hand.
const BAD: Entry = Entry {
    name: "careless",
    schema: |generator| generator.subschema_for::<careless::Careless>(),
    example: || json!({ "careles": careless::Careless::example() }),
};

fn caller() -> Value {
    schema(&Good::ALL[0])
}

fn settings(json: Value) -> Value {
    let Value::Object(given) = json else { panic!("not settings") };
    let mut all = json!({ "url": "https://call.example", "token": "T", "to": [] });
    all.as_object_mut().unwrap().extend(given);
    all
}

#[test]
fn a_kind_that_obeys_the_rules_is_not_complained_of() {
    assert_eq!(complaints_about(Good::ALL), Vec::<String>::new());
    let example = (Good::ALL[0].example)();
    let back: Good = serde_json::from_value(example).unwrap();
    assert_eq!(each!(&back, kind => kind.clone()), Caller::example());
    assert_eq!((back.kind(), back.validate()), ("caller", vec![]));
}

#[test]
fn a_careless_kind_is_complained_of_by_field() {
    assert_eq!(
        complaints_about(&[BAD]),
        [
            "careless has no title",
            "careless has no description",
            "careless accepts unknown fields",
            "careless.api_key has no description",
            "careless.api_key should be a Secret",
            "careless.colour is a Secret, but neither its name nor its description says so",
            "careless.inside.plain has no description",
            "careless.inside.again.plain has no description",
            "careless.inside.again.again contains its own type",
            "careless: the module's name and the key of its example differ",
        ]
    );
}

#[test]
fn an_example_that_does_not_fit_is_complained_of() {
    let wrong = Entry {
        example: || json!({ "caller": { "url": 5, "token": "t", "to": [1], "volume": "silent", "calls": 300, "auth": { "basic": {} }, "typo": 1 } }),
        ..Good::ALL[0]
    };
    assert_eq!(
        complaints_about(&[wrong]),
        [
            "the example's caller.url does not fit: 5",
            "the example's caller.to[0] does not fit: 1",
            "the example's caller.volume fits none of its forms: \"silent\"",
            "the example's caller.calls does not fit: 300",
            "the example's caller.auth fits none of its forms: {\"basic\":{}}",
            "the example's caller.typo is not in the schema",
        ]
    );
}

#[test]
fn every_sort_of_field_has_its_control() {
    let fields = fields(&caller());
    let control = |name: &str| fields.iter().find(|field| field.name == name).unwrap().control.clone();
    let choice = |word: &str, label: &str| (word.to_owned(), label.to_owned());
    assert_eq!(control("url"), Control::Url);
    assert_eq!(control("token"), Control::Secret);
    assert_eq!(control("ring_for"), Control::Duration);
    assert_eq!(control("at_night"), Control::Switch);
    assert_eq!(control("extra"), Control::Yaml);
    assert_eq!(control("calls"), Control::Integer { min: Some(0), max: Some(9) });
    assert_eq!(
        control("volume"),
        Control::Choice(vec![choice("normal", "As people speak"), choice("loud", "As sirens do")])
    );
    let Control::List(to) = control("to") else { panic!() };
    assert_eq!((to.control, to.path), (Control::Text { pattern: None }, vec!["to".to_owned(), "[]".to_owned()]));
    let Control::Map(header) = control("headers") else { panic!() };
    assert_eq!((header.dotted().as_str(), header.control), ("headers.<name>", Control::Secret));
    let Control::List(group) = control("groups") else { panic!() };
    let inner = group.inner();
    assert_eq!(inner.iter().map(|field| field.dotted()).collect::<Vec<_>>(), ["groups[].number", "groups[].pin"]);
    assert_eq!((inner[0].required, inner[1].required), (true, false));
    let Control::OneOf(ways) = control("auth") else { panic!("{:?}", control("auth")) };
    let keys: Vec<&str> = ways.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["basic", "bearer", "nobody"]);
    assert_eq!((ways[0].1.help.as_str(), ways[0].1.dotted().as_str()), ("By name and password.", "auth.basic"));
    assert_eq!(ways[1].1.control, Control::Secret);
    assert_eq!(ways[2].1.control, Control::Choice(vec![choice("nobody", "Not at all")]));
}

#[test]
fn a_field_says_what_it_is_for() {
    let fields = fields(&caller());
    let ring = fields.iter().find(|field| field.name == "ring_for").unwrap();
    assert_eq!(
        (ring.title.as_str(), ring.help.as_str(), ring.more.as_str()),
        ("Ring for", "How long it rings.", "Longer annoys.")
    );
    assert_eq!(
        (ring.required, ring.default.clone(), ring.example.clone()),
        (false, Some("30s".into()), Some("30s".into()))
    );
    assert_eq!(ring.group, "Advanced");
    assert_eq!((fields[0].group.as_str(), fields[0].title.as_str(), fields[0].required), ("Provider", "URL", true));
}

#[test]
fn the_manual_is_made_of_the_definitions() {
    let manual = manual("Callers", Good::ALL);
    assert_eq!(
        manual,
        r#"# Callers

## Caller

`caller`

Calls a number. It speaks slowly, e.g. for a siren.

Needs an account.

| field | meaning | default |
| --- | --- | --- |
| `url` | Where the provider listens. | required |
| `token` | Proves who calls. Never shown again. | required |
| `to` | Who is called \| in this order. | required |
| `ring_for` | How long it rings. Longer annoys. | `30s` |
| `volume` | How loud. One of `normal`, `loud`. | `normal` |
| `calls` | How often it calls again. |  |
| `auth` | How the provider knows us. One of `basic`, `bearer`, `nobody`. |  |
| `auth.basic` | By name and password. | required |
| `auth.basic.user` | The name. | required |
| `auth.basic.password` | The password. Never shown again. | required |
| `auth.bearer` | By a token. Never shown again. | required |
| `headers` | Headers that the provider wants, secret ones too. |  |
| `groups` | Numbers that are called at the same time. |  |
| `groups[].number` | The first number. | required |
| `groups[].pin` | The pin that is dialled after it: a secret. Never shown again. |  |
| `texts` | What is said, by language. |  |
| `texts.<name>.words` | The words. | required |
| `at_night` | Whether it may call at night. | `false` |
| `extra` | Kept for the provider. |  |

```yaml
caller:
  url: https://call.example/v1
  token: "123:abc"
  to: ["+49 30 1234"]
  ring_for: 30s
  volume: loud
  calls: 2
  auth:
    basic:
      user: us
      password: hush
  headers: {}
  groups:
    - number: "1"
      pin: "0000"
  texts: {}
  at_night: true
  extra: null
```
"#
    );
}

#[test]
fn secrets_are_hidden_wherever_they_lie() {
    let mut value = settings(json!({
        "auth": { "basic": { "user": "us", "password": "hush" } },
        "headers": { "X-Key": "k", "X-Other": "o" },
        "groups": [{ "number": "1" }, { "number": "2", "pin": "0000" }, { "number": "3", "pin": null }],
    }));
    let paths = secret_paths(&caller(), &value);
    assert_eq!(paths, ["auth.basic.password", "groups[1].pin", "headers.X-Key", "headers.X-Other", "token"]);
    redact(&caller(), &mut value);
    assert_eq!(
        value,
        settings(json!({
            "token": HIDDEN,
            "auth": { "basic": { "user": "us", "password": HIDDEN } },
            "headers": { "X-Key": HIDDEN, "X-Other": HIDDEN },
            "groups": [{ "number": "1" }, { "number": "2", "pin": HIDDEN }, { "number": "3", "pin": null }],
        }))
    );
    let text = value.to_string();
    assert!(["hush", "0000", "\"k\"", "\"o\""].iter().all(|secret| !text.contains(secret)), "{text}");
}

#[test]
fn a_variant_that_is_a_secret_is_hidden() {
    let mut value = settings(json!({ "auth": { "bearer": "hush" } }));
    redact(&caller(), &mut value);
    assert_eq!(value["auth"], json!({ "bearer": HIDDEN }));
}

#[test]
fn what_is_hidden_in_a_family_is_hidden_with_its_key_too() {
    let mut value = json!({ "caller": settings(json!({ "headers": { "a": "b" } })) });
    redact(&schema_of::<Good>(), &mut value);
    assert_eq!((&value["caller"]["token"], &value["caller"]["headers"]["a"]), (&HIDDEN.into(), &HIDDEN.into()));
}

/// What a submitted value becomes, and which secrets must be given.
fn kept(new: Value, old: Value) -> (Value, Vec<String>) {
    let (mut new, old) = (settings(new), settings(old));
    let unknown = keep_secrets(&caller(), &mut new, &old);
    (new, unknown)
}

#[test]
fn settings_that_come_back_hidden_are_the_same_settings() {
    let old = settings(json!({
        "auth": { "basic": { "user": "us", "password": "hush" } },
        "headers": { "X-Key": "k" },
        "groups": [{ "number": "1", "pin": "0001" }, { "number": "2", "pin": "0002" }],
    }));
    let mut new = old.clone();
    redact(&caller(), &mut new);
    assert_eq!(keep_secrets(&caller(), &mut new, &old), Vec::<String>::new());
    assert_eq!(new, old);
}

#[test]
fn a_secret_left_out_is_kept_and_null_takes_it_away() {
    let old = json!({ "auth": { "basic": { "user": "us", "password": "hush" } }, "groups": [{ "number": "1", "pin": "0001" }] });
    let (new, unknown) =
        kept(json!({ "auth": { "basic": { "user": "them" } }, "groups": [{ "number": "1", "pin": null }] }), old);
    assert_eq!(unknown, Vec::<String>::new());
    assert_eq!(new["auth"], json!({ "basic": { "user": "them", "password": "hush" } }));
    assert_eq!(new["groups"], json!([{ "number": "1", "pin": null }]));
    let (new, _) = kept(json!({ "token": "new" }), json!({ "token": "old" }));
    assert_eq!(new["token"], "new");
}

#[test]
fn another_way_of_the_same_choice_gets_no_old_secret() {
    let (new, unknown) = kept(
        json!({ "auth": { "basic": { "user": "us", "password": HIDDEN } } }),
        json!({ "auth": { "bearer": "hush" } }),
    );
    assert_eq!(new["auth"], json!({ "basic": { "user": "us" } }));
    assert_eq!(unknown, ["auth.basic.password"]);
    let (new, _) = kept(json!({ "auth": "nobody" }), json!({ "auth": { "bearer": "hush" } }));
    assert_eq!(new["auth"], "nobody");
}

#[test]
fn a_secret_stays_with_its_item_when_a_list_changes() {
    let old = json!({ "groups": [{ "number": "1", "pin": "0001" }, { "number": "2", "pin": "0002" }, { "number": "3", "pin": "0003" }] });
    let check = |new: Value, expected: Value, expected_unknown: &[&str]| {
        let (new, unknown) = kept(json!({ "groups": new }), old.clone());
        assert_eq!(
            (&new["groups"], unknown.as_slice()),
            (&expected, expected_unknown.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>().as_slice())
        );
    };
    // The first is taken away.
    check(
        json!([{ "number": "2", "pin": HIDDEN }, { "number": "3", "pin": HIDDEN }]),
        json!([{ "number": "2", "pin": "0002" }, { "number": "3", "pin": "0003" }]),
        &[],
    );
    // Reordered, one of them edited.
    check(
        json!([{ "number": "3", "pin": HIDDEN }, { "number": "22", "pin": HIDDEN }, { "number": "1", "pin": HIDDEN }]),
        json!([{ "number": "3", "pin": "0003" }, { "number": "22", "pin": "0002" }, { "number": "1", "pin": "0001" }]),
        &[],
    );
    // Shortened and edited: nobody can tell whose pin this was.
    check(json!([{ "number": "9", "pin": HIDDEN }]), json!([{ "number": "9" }]), &["groups[0].pin"]);
    // A new item in the place of an old one does not inherit its secret.
    check(
        json!([{ "number": "1", "pin": HIDDEN }, { "number": "8" }, { "number": "3", "pin": HIDDEN }]),
        json!([{ "number": "1", "pin": "0001" }, { "number": "8" }, { "number": "3", "pin": "0003" }]),
        &[],
    );
}

#[test]
fn keys_of_a_map_that_are_left_out_are_gone() {
    let (new, unknown) =
        kept(json!({ "headers": { "a": HIDDEN, "c": HIDDEN } }), json!({ "headers": { "a": "1", "b": "2" } }));
    assert_eq!((&new["headers"], unknown.as_slice()), (&json!({ "a": "1" }), ["headers.c".to_owned()].as_slice()));
}

#[test]
fn secrets_are_offered_once_each_to_be_sealed_or_fetched() {
    let mut value = settings(
        json!({ "auth": { "basic": { "user": "us", "password": "file:/run/p" } }, "headers": { "a": "plain" } }),
    );
    let mut seen = Vec::new();
    map_secrets(&caller(), &mut value, &mut |path, secret| {
        seen.push(format!("{path}={secret}"));
        secret.strip_prefix("file:").map(|name| format!("<{name}>"))
    });
    assert_eq!(seen, ["auth.basic.password=file:/run/p", "headers.a=plain", "token=T"]);
    assert_eq!(value["auth"]["basic"]["password"], "</run/p>");
    assert_eq!((&value["headers"]["a"], &value["token"]), (&json!("plain"), &json!("T")));
}
