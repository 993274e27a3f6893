//! Builds the `WHERE` of a list from the filters that were given, and reads one page of it.

use rusqlite::{Connection, Row, ToSql, params_from_iter};

/// A query that grows by one condition for each filter.
pub(crate) struct Clauses {
    glue: &'static str,
    sql: String,
    values: Vec<Box<dyn ToSql>>,
}

/// Rows of one page, and the last of them when another page follows.
#[derive(Debug)]
pub(crate) struct Rows<T, C> {
    pub(crate) rows: Vec<T>,
    pub(crate) next: Option<C>,
}

impl Clauses {
    /// The query that asks for everything.
    pub(crate) fn of(select: &str) -> Self {
        Self { glue: " WHERE ", sql: select.into(), values: Vec::new() }
    }

    /// Adds a condition; its parameters are bound in their order.
    pub(crate) fn narrow(&mut self, condition: &str) -> &mut Self {
        self.sql.push_str(self.glue);
        self.sql.push_str(condition);
        self.glue = " AND ";
        self
    }

    /// Binds the next parameter.
    pub(crate) fn bind(&mut self, value: impl ToSql + 'static) -> &mut Self {
        self.values.push(Box::new(value));
        self
    }

    /// Reads the first `limit` rows in this order; `cursor` names the place of the last one.
    pub(crate) fn page<T, C>(
        mut self,
        connection: &Connection,
        order: &str,
        limit: u32,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        cursor: impl FnOnce(&T) -> C,
    ) -> rusqlite::Result<Rows<T, C>> {
        for part in [" ORDER BY ", order, " LIMIT ?"] {
            self.sql.push_str(part);
        }
        // One row more tells whether there is another page.
        self.values.push(Box::new(limit.saturating_add(1)));
        let mut statement = connection.prepare_cached(&self.sql)?;
        let rows = statement.query_map(params_from_iter(self.values), read)?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(cursor);
        Ok(Rows { rows, next })
    }
}
