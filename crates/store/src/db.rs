//! Either database, asked in the same way.

use crate::error::WriteError;
use crate::postgres::Pg;
use crate::sqlite::Lite;
use crate::statement::{Done, Query, Statement, Step, all};
use crate::value::{Row, Value};
use crate::{Engine, StoreError};

#[derive(Clone)]
pub(crate) enum Db {
    Lite(Lite),
    Pg(Pg),
}

impl Db {
    pub(crate) const fn engine(&self) -> Engine {
        match self {
            Self::Lite(_) => Engine::Sqlite,
            Self::Pg(_) => Engine::Postgres,
        }
    }

    /// Runs the steps in one transaction: all of them, or none.
    pub(crate) async fn write(&self, steps: Vec<Step>) -> Result<Vec<Done>, WriteError> {
        debug_assert!(steps.iter().all(|step| is_listed(step.statement)), "a statement is in no list");
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Lite(lite) => lite.write(steps).await,
            Self::Pg(pg) => pg.write(steps).await,
        }
    }

    /// One step that expects nothing.
    pub(crate) async fn write_one(
        &self,
        statement: &'static Statement,
        values: Vec<Value>,
    ) -> Result<Done, StoreError> {
        let mut done = self.write(vec![Step::any(statement, values)]).await?;
        Ok(done.pop().unwrap_or_default())
    }

    /// Asks several questions of one moment.
    pub(crate) async fn read_all(&self, queries: Vec<Query>) -> Result<Vec<Vec<Row>>, StoreError> {
        debug_assert!(queries.iter().all(|query| is_listed(query.statement)), "a statement is in no list");
        match self {
            Self::Lite(lite) => lite.read(queries).await,
            Self::Pg(pg) => pg.read(queries).await,
        }
    }

    pub(crate) async fn read(&self, statement: &'static Statement, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let mut answers = self.read_all(vec![Query { statement, values }]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    pub(crate) async fn read_one(
        &self,
        statement: &'static Statement,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.read(statement, values).await?.into_iter().next())
    }
}

fn is_listed(statement: &Statement) -> bool {
    all().any(|listed| std::ptr::eq(listed, statement))
}
