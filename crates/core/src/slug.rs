//! The identity of monitors and channels in URLs, files and metrics.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Lower-case letters, digits, `-` and `_`, beginning with a letter or digit; at most 100 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Slug(String);

const LONGEST: usize = 100;

impl Slug {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest slug to what a person typed as a name; `None` if nothing usable is left.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            let c = match c {
                'a'..='z' | '0'..='9' => c,
                'ä' | 'á' | 'à' | 'â' | 'ã' | 'å' => 'a',
                'ö' | 'ó' | 'ò' | 'ô' | 'õ' => 'o',
                'ü' | 'ú' | 'ù' | 'û' => 'u',
                'é' | 'è' | 'ê' | 'ë' => 'e',
                'í' | 'ì' | 'î' | 'ï' => 'i',
                'ç' => 'c',
                'ñ' => 'n',
                _ => '-',
            };
            if c != '-' || !(slug.is_empty() || slug.ends_with('-')) {
                slug.push(c);
            }
            if slug.len() == LONGEST {
                break;
            }
        }
        slug.trim_end_matches('-').parse().ok()
    }
}

impl FromStr for Slug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let all_allowed = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if begins_well && all_allowed && text.len() <= LONGEST {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{}` cannot be a slug; use lower-case letters, digits, - and _, beginning with a letter or digit, at most {LONGEST}",
                text.chars().take(LONGEST).collect::<String>()
            ))
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Slug {
    fn schema_name() -> Cow<'static, str> {
        "Slug".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,99}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_slugs() {
        assert_eq!(Slug::from_name("Shop front").unwrap().as_str(), "shop-front");
        assert_eq!(Slug::from_name("  Röntgen / CT-2 (Süd)").unwrap().as_str(), "rontgen-ct-2-sud");
        assert_eq!(Slug::from_name("Портал"), None);
    }

    #[test]
    fn a_slug_is_refused_with_the_rule() {
        for text in ["", "Shop", "-a", "a b", "a/b", &"x".repeat(101)] {
            assert!(text.parse::<Slug>().unwrap_err().contains("cannot be a slug"), "{text}");
        }
    }
}
