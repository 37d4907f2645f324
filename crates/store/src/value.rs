//! What goes into a statement and what comes out: the few types both databases share.

use watchbell_core::{Slug, Timestamp};

use crate::StoreError;

/// One parameter or column. Time is milliseconds, truth is 0 or 1, JSON is text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Int(truth.into())
    }
}

impl From<Timestamp> for Value {
    fn from(moment: Timestamp) -> Self {
        Self::Int(moment.as_millis())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::text(text.clone())
    }
}

impl From<&Slug> for Value {
    fn from(slug: &Slug) -> Self {
        Self::Text(slug.as_str().to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value {
    /// PostgreSQL's text cannot hold NUL, and one NUL in what a target sent must not stop a commit.
    fn text(text: String) -> Self {
        Self::Text(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
    }
}

/// A list of parameters, each turned into a [`Value`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::value::Value::from($value)),*] };
}
pub(crate) use values;

/// One row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    /// Takes the columns out in the order in which the statement names them.
    pub(crate) fn columns(self) -> Columns {
        Columns { values: self.0.into_iter(), taken: 0 }
    }
}

/// What can be read of these rows. One bad row hides only itself; it is named in the log.
pub(crate) fn readable<T>(rows: Vec<Row>, read: impl Fn(Row) -> Result<T, StoreError>) -> Vec<T> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        match read(row) {
            Ok(value) => all.push(value),
            Err(error) => tracing::error!(%error, "a stored row was left out"),
        }
    }
    all
}

/// A row being read, left to right.
pub(crate) struct Columns {
    values: std::vec::IntoIter<Value>,
    taken: usize,
}

impl Columns {
    fn next(&mut self) -> Value {
        self.taken += 1;
        self.values.next().unwrap_or(Value::Null)
    }

    fn wrong(&self, wanted: &str) -> StoreError {
        StoreError::Unreadable(format!("column {} of a stored row is not {wanted}", self.taken))
    }

    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Int(number) => Ok(Some(number)),
            _ => Err(self.wrong("a number")),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64, StoreError> {
        self.maybe_int()?.ok_or_else(|| self.wrong("a number"))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.int()?).map_err(|_| self.wrong("a positive number"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, StoreError> {
        u32::try_from(self.int()?).map_err(|_| self.wrong("a small positive number"))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, StoreError> {
        Ok(self.int()? != 0)
    }

    pub(crate) fn moment(&mut self) -> Result<Timestamp, StoreError> {
        self.int().map(Timestamp::from_millis)
    }

    pub(crate) fn maybe_moment(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_int()?.map(Timestamp::from_millis))
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(self.wrong("text")),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        self.maybe_text()?.ok_or_else(|| self.wrong("text"))
    }

    pub(crate) fn slug(&mut self) -> Result<Slug, StoreError> {
        self.text()?.parse().map_err(StoreError::Unreadable)
    }

    pub(crate) fn maybe_slug(&mut self) -> Result<Option<Slug>, StoreError> {
        self.maybe_text()?.map(|text| text.parse().map_err(StoreError::Unreadable)).transpose()
    }

    pub(crate) fn blob(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.next() {
            Value::Blob(bytes) => Ok(bytes),
            _ => Err(self.wrong("bytes")),
        }
    }

    /// `what` names the thing in the error: "the state of monitor 7".
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self, what: impl Fn() -> String) -> Result<T, StoreError> {
        let text = self.text()?;
        serde_json::from_str(&text)
            .map_err(|error| StoreError::Unreadable(format!("{} cannot be read: {error}", what())))
    }
}

/// A value of ours as JSON text. Ours have string keys and no custom failures, so this cannot fail.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have string keys and finite numbers")
}
