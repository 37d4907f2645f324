//! Persons, their sessions, and tokens for programs. Passwords and tokens are kept as hashes that others made.

use watchbell_core::Timestamp;

use crate::statement::{Step, statements};
use crate::value::{Columns, Row, values};
use crate::{Store, StoreError};

statements! {
    /// The row can be made once: of a hundred who try at the same moment, one does.
    SETUP_ONCE = "INSERT INTO setup (id, done_at) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
    CREATE_PERSON = "INSERT INTO person (name, password_hash, role, created_at) VALUES ($1, $2, $3, $4)
                     RETURNING id, name, password_hash, role, created_at";
    PERSONS = "SELECT id, name, password_hash, role, created_at FROM person ORDER BY name";
    PERSON = "SELECT id, name, password_hash, role, created_at FROM person WHERE id = $1";
    PERSON_BY_NAME = "SELECT id, name, password_hash, role, created_at FROM person WHERE name = $1";
    SET_PASSWORD = "UPDATE person SET password_hash = $2 WHERE id = $1";
    SET_ROLE = "UPDATE person SET role = $2 WHERE id = $1";
    DELETE_PERSON = "DELETE FROM person WHERE id = $1";

    PUT_SESSION = "INSERT INTO session (token_hash, person_id, created_at, seen_at, expires_at, agent) VALUES ($1, $2, $3, $4, $5, $6)";
    FIND_SESSION = "SELECT s.token_hash, s.person_id, s.created_at, s.seen_at, s.expires_at, s.agent,
                      p.id, p.name, p.password_hash, p.role, p.created_at
                    FROM session s JOIN person p ON p.id = s.person_id WHERE s.token_hash = $1 AND s.expires_at > $2";
    TOUCH_SESSION = "UPDATE session SET seen_at = $2, expires_at = $3 WHERE token_hash = $1";
    SESSIONS = "SELECT token_hash, person_id, created_at, seen_at, expires_at, agent FROM session
                WHERE person_id = $1 ORDER BY seen_at DESC, token_hash";
    REVOKE_SESSION = "DELETE FROM session WHERE token_hash = $1";
    REVOKE_SESSIONS = "DELETE FROM session WHERE person_id = $1 AND (CAST($2 AS {bytes}) IS NULL OR token_hash <> $2)";

    CREATE_TOKEN = "INSERT INTO api_token (prefix, token_hash, name, scope, created_by, created_at, expires_at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7)
                    RETURNING id, prefix, name, scope, created_by, created_at, used_at, expires_at";
    FIND_TOKEN = "SELECT id, prefix, name, scope, created_by, created_at, used_at, expires_at FROM api_token
                  WHERE token_hash = $1 AND (expires_at IS NULL OR expires_at > $2)";
    TOKENS = "SELECT id, prefix, name, scope, created_by, created_at, used_at, expires_at FROM api_token ORDER BY id";
    TOUCH_TOKEN = "UPDATE api_token SET used_at = $2 WHERE id = $1";
    REVOKE_TOKEN = "DELETE FROM api_token WHERE id = $1";
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: i64,
    pub name: String,
    pub password_hash: String,
    pub role: String,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPerson {
    /// Unique, compared letter by letter.
    pub name: String,
    pub password_hash: String,
    pub role: String,
}

/// A browser that somebody logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub token_hash: Vec<u8>,
    pub person: i64,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
    /// What the browser calls itself.
    pub agent: String,
}

/// A token of a program, without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    pub id: i64,
    /// Its first characters, by which people know it again.
    pub prefix: String,
    pub name: String,
    pub scope: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    pub prefix: String,
    pub token_hash: Vec<u8>,
    pub name: String,
    pub scope: String,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// `None`: somebody exists, or has existed, already. However many ask at once, one becomes the first.
    pub async fn create_first_person(&self, person: &NewPerson, now: Timestamp) -> Result<Option<Person>, StoreError> {
        let steps = vec![Step::one(&SETUP_ONCE, values![now]), create_person(person, now)];
        match self.db.write(steps).await {
            Ok(done) => done.into_iter().flat_map(|done| done.rows).next().map(read_person).transpose(),
            Err(crate::error::WriteError::Unmet { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// [`StoreError::Taken`] when the name is in use.
    pub async fn create_person(&self, person: &NewPerson, now: Timestamp) -> Result<Person, StoreError> {
        let steps = vec![Step::any(&SETUP_ONCE, values![now]), create_person(person, now)];
        let done = self.db.write(steps).await.map_err(|error| match error.into() {
            StoreError::Taken(_) => StoreError::Taken(format!("there is a person called `{}` already", person.name)),
            error => error,
        })?;
        let row = done.into_iter().flat_map(|done| done.rows).next();
        read_person(row.ok_or_else(|| StoreError::Other("a new person was not given back".into()))?)
    }

    /// By name.
    pub async fn persons(&self) -> Result<Vec<Person>, StoreError> {
        self.db.read(&PERSONS, Vec::new()).await?.into_iter().map(read_person).collect()
    }

    pub async fn person(&self, id: i64) -> Result<Option<Person>, StoreError> {
        self.db.read_one(&PERSON, values![id]).await?.map(read_person).transpose()
    }

    pub async fn person_by_name(&self, name: &str) -> Result<Option<Person>, StoreError> {
        self.db.read_one(&PERSON_BY_NAME, values![name]).await?.map(read_person).transpose()
    }

    /// Ends all their sessions too: whoever knew the old password is out.
    pub async fn set_password(&self, person: i64, password_hash: &str) -> Result<bool, StoreError> {
        let none: Option<&[u8]> = None;
        let steps = vec![
            Step::any(&SET_PASSWORD, values![person, password_hash]),
            Step::any(&REVOKE_SESSIONS, values![person, none]),
        ];
        Ok(self.db.write(steps).await?.first().is_some_and(|done| done.count == 1))
    }

    pub async fn set_role(&self, person: i64, role: &str) -> Result<bool, StoreError> {
        Ok(self.db.write_one(&SET_ROLE, values![person, role]).await?.count == 1)
    }

    /// With their sessions.
    pub async fn delete_person(&self, person: i64) -> Result<bool, StoreError> {
        let none: Option<&[u8]> = None;
        let steps =
            vec![Step::any(&DELETE_PERSON, values![person]), Step::any(&REVOKE_SESSIONS, values![person, none])];
        Ok(self.db.write(steps).await?.first().is_some_and(|done| done.count == 1))
    }

    pub async fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        let values = values![
            session.token_hash.as_slice(),
            session.person,
            session.created_at,
            session.seen_at,
            session.expires_at,
            &session.agent
        ];
        self.db.write_one(&PUT_SESSION, values).await.map(drop)
    }

    /// An expired one is not found.
    pub async fn find_session(
        &self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<(Session, Person)>, StoreError> {
        let Some(row) = self.db.read_one(&FIND_SESSION, values![token_hash, now]).await? else { return Ok(None) };
        let mut row = row.columns();
        Ok(Some((read_session(&mut row)?, read_person_columns(&mut row)?)))
    }

    pub async fn touch_session(
        &self,
        token_hash: &[u8],
        seen_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.db.write_one(&TOUCH_SESSION, values![token_hash, seen_at, expires_at]).await?.count == 1)
    }

    /// Of one person, the last seen first.
    pub async fn sessions(&self, person: i64) -> Result<Vec<Session>, StoreError> {
        let rows = self.db.read(&SESSIONS, values![person]).await?;
        rows.into_iter().map(|row| read_session(&mut row.columns())).collect()
    }

    pub async fn revoke_session(&self, token_hash: &[u8]) -> Result<bool, StoreError> {
        Ok(self.db.write_one(&REVOKE_SESSION, values![token_hash]).await?.count == 1)
    }

    /// All sessions of a person, or all but one.
    pub async fn revoke_sessions(&self, person: i64, except: Option<&[u8]>) -> Result<u64, StoreError> {
        Ok(self.db.write_one(&REVOKE_SESSIONS, values![person, except]).await?.count)
    }

    pub async fn create_token(&self, token: &NewToken, now: Timestamp) -> Result<ApiToken, StoreError> {
        let values = values![
            &token.prefix,
            token.token_hash.as_slice(),
            &token.name,
            &token.scope,
            &token.created_by,
            now,
            token.expires_at
        ];
        let done = self.db.write_one(&CREATE_TOKEN, values).await?;
        let row = done.rows.into_iter().next();
        read_token(row.ok_or_else(|| StoreError::Other("a new token was not given back".into()))?)
    }

    /// An expired one is not found.
    pub async fn find_token(&self, token_hash: &[u8], now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        self.db.read_one(&FIND_TOKEN, values![token_hash, now]).await?.map(read_token).transpose()
    }

    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.db.read(&TOKENS, Vec::new()).await?.into_iter().map(read_token).collect()
    }

    pub async fn touch_token(&self, id: i64, used_at: Timestamp) -> Result<bool, StoreError> {
        Ok(self.db.write_one(&TOUCH_TOKEN, values![id, used_at]).await?.count == 1)
    }

    pub async fn revoke_token(&self, id: i64) -> Result<bool, StoreError> {
        Ok(self.db.write_one(&REVOKE_TOKEN, values![id]).await?.count == 1)
    }
}

fn create_person(person: &NewPerson, now: Timestamp) -> Step {
    Step::any(&CREATE_PERSON, values![&person.name, &person.password_hash, &person.role, now])
}

fn read_person(row: Row) -> Result<Person, StoreError> {
    read_person_columns(&mut row.columns())
}

fn read_person_columns(row: &mut Columns) -> Result<Person, StoreError> {
    Ok(Person {
        id: row.int()?,
        name: row.text()?,
        password_hash: row.text()?,
        role: row.text()?,
        created_at: row.moment()?,
    })
}

fn read_session(row: &mut Columns) -> Result<Session, StoreError> {
    Ok(Session {
        token_hash: row.blob()?,
        person: row.int()?,
        created_at: row.moment()?,
        seen_at: row.moment()?,
        expires_at: row.moment()?,
        agent: row.text()?,
    })
}

fn read_token(row: Row) -> Result<ApiToken, StoreError> {
    let mut row = row.columns();
    Ok(ApiToken {
        id: row.int()?,
        prefix: row.text()?,
        name: row.text()?,
        scope: row.text()?,
        created_by: row.text()?,
        created_at: row.moment()?,
        used_at: row.maybe_moment()?,
        expires_at: row.maybe_moment()?,
    })
}
