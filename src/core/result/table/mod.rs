//! Tables of any columns, as scripts work with them: read, selected, grouped, joined.
//!
//! Rows are shared: a selection copies none.

mod cell;
mod read;

#[cfg(test)]
mod tests;

pub use cell::Cell;
pub use read::{parse, read};

use crate::core::Distribution;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows under named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Arc<Vec<String>>,
    rows: Vec<Arc<Vec<Cell>>>,
}

impl Table {
    /// A table; each row has a cell for each column.
    pub fn new(columns: Vec<String>, rows: Vec<Vec<Cell>>) -> Self {
        Self {
            columns: Arc::new(columns),
            rows: rows.into_iter().map(Arc::new).collect(),
        }
    }

    /// The names of its columns, in their order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the number of rows.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The rows, in their order.
    pub fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.rows.iter().map(|row| &row[..])
    }

    /// The place of a column.
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// The cells of the column at `place`, empty ones too.
    pub fn column(&self, place: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().map(move |row| &row[place])
    }

    /// The numbers of a column; what is none is not in it.
    pub fn distribution(&self, place: usize) -> Distribution {
        self.column(place).filter_map(Cell::number).collect()
    }

    /// The rows for which `keep` holds, by their number; its first error ends the search.
    ///
    /// # Errors
    /// That of `keep`.
    pub fn filter<E>(&self, mut keep: impl FnMut(&[Cell]) -> Result<bool, E>) -> Result<Self, E> {
        let mut rows = Vec::new();
        for row in &self.rows {
            if keep(row)? {
                rows.push(row.clone());
            }
        }
        Ok(Self {
            columns: self.columns.clone(),
            rows,
        })
    }

    /// The rows in the order of a column, empty cells first; equal ones stay in theirs.
    #[must_use]
    pub fn sorted(&self, place: usize) -> Self {
        let mut rows = self.rows.clone();
        rows.sort_by(|a, b| a[place].order(&b[place]));
        Self {
            columns: self.columns.clone(),
            rows,
        }
    }

    /// The rows of each value of a column, the values in their order.
    pub fn groups(&self, place: usize) -> Vec<(Cell, Self)> {
        let mut groups: Vec<(Cell, Self)> = Vec::new();
        for row in &self.sorted(place).rows {
            let is_next = groups
                .last()
                .is_none_or(|(value, _)| value.order(&row[place]).is_ne());
            if is_next {
                groups.push((
                    row[place].clone(),
                    Self {
                        columns: self.columns.clone(),
                        rows: Vec::new(),
                    },
                ));
            }
            if let Some((_, group)) = groups.last_mut() {
                group.rows.push(row.clone());
            }
        }
        groups
    }

    /// Another column behind the others, or instead of the one with its name.
    #[must_use]
    pub fn with(&self, column: &str, cells: Vec<Cell>) -> Self {
        let place = self.place(column);
        let columns = self
            .columns
            .iter()
            .cloned()
            .chain(place.is_none().then(|| column.to_owned()));
        let rows = self.rows.iter().zip(cells).map(|(row, cell)| {
            let mut row = Vec::clone(row);
            match place {
                Some(place) => row[place] = cell,
                None => row.push(cell),
            }
            row
        });
        Self::new(columns.collect(), rows.collect())
    }

    /// The rows of both, under the columns of both; what one has not is empty in its rows.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let new = other
            .columns
            .iter()
            .filter(|column| self.place(column).is_none());
        let columns: Vec<String> = self.columns.iter().chain(new).cloned().collect();
        let rows = [self, other].into_iter().flat_map(|table| {
            let places: Vec<_> = columns.iter().map(|column| table.place(column)).collect();
            let cell = |row: &[Cell], place: &Option<usize>| {
                place.map_or(Cell::Empty, |at| row[at].clone())
            };
            table
                .rows
                .iter()
                .map(move |row| places.iter().map(|place| cell(row, place)).collect())
        });
        let rows = rows.collect();
        Self::new(columns, rows)
    }

    /// Each row beside those of `other` that have the same values in the columns at `on`, a place in
    /// each table. Columns of `other` whose names are taken get `suffix`.
    #[must_use]
    pub fn joined(&self, other: &Self, on: &[(usize, usize)], suffix: &str) -> Self {
        let mut partners: HashMap<Vec<String>, Vec<&Arc<Vec<Cell>>>> = HashMap::new();
        for row in &other.rows {
            partners
                .entry(on.iter().map(|(_, at)| row[*at].key()).collect())
                .or_default()
                .push(row);
        }
        let beside: Vec<usize> = (0..other.columns.len())
            .filter(|at| on.iter().all(|(_, key)| key != at))
            .collect();
        let name = |at: &usize| match self.place(&other.columns[*at]) {
            Some(_) => format!("{}{suffix}", other.columns[*at]),
            None => other.columns[*at].clone(),
        };
        let columns = self
            .columns
            .iter()
            .cloned()
            .chain(beside.iter().map(name))
            .collect();
        let pairs = self.rows.iter().flat_map(|row| {
            let key: Vec<String> = on.iter().map(|(at, _)| row[*at].key()).collect();
            partners
                .get(&key)
                .into_iter()
                .flatten()
                .map(move |partner| (row, partner))
        });
        let row = |(row, partner): (&Arc<Vec<Cell>>, &&Arc<Vec<Cell>>)| {
            row.iter()
                .cloned()
                .chain(beside.iter().map(|at| partner[*at].clone()))
                .collect()
        };
        Self::new(columns, pairs.map(row).collect())
    }
}
