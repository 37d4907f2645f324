//! The numbered texts that make the tables, forward only. A database knows how many of them it has seen.

use crate::StoreError;

/// In order; the first is version 1. What has been released is never edited: a change is a further file.
pub(crate) const SQLITE: &[&str] =
    &[include_str!("../migrations/sqlite/0001.sql"), include_str!("../migrations/sqlite/0002.sql")];
pub(crate) const POSTGRES: &[&str] =
    &[include_str!("../migrations/postgres/0001.sql"), include_str!("../migrations/postgres/0002.sql")];

/// The texts that a database of version `found` still lacks, each with the version it leads to.
pub(crate) fn pending(all: &'static [&str], found: i64, place: &str) -> Result<Vec<(i64, &'static str)>, StoreError> {
    let known = i64::try_from(all.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer(format!(
            "{place} was written by a newer Watchbell (its version is {found}, this program knows {known}); \
             use that version or a newer one, or restore the backup made before it"
        )));
    }
    Ok((1..).zip(all.iter().copied()).filter(|(version, _)| *version > found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_versions() {
        assert_eq!(SQLITE.len(), POSTGRES.len());
    }

    #[test]
    fn a_newer_database_is_refused_with_what_to_do() {
        let error = pending(SQLITE, 99, "the database in data").unwrap_err();
        assert!(error.to_string().contains("newer Watchbell (its version is 99"), "{error}");
    }

    #[test]
    fn only_what_is_missing_is_run() {
        assert_eq!(pending(SQLITE, 0, "").unwrap().len(), SQLITE.len());
        assert_eq!(pending(SQLITE, i64::try_from(SQLITE.len()).unwrap(), "").unwrap(), []);
    }
}
