//! One value of a table.

use std::cmp::Ordering;

/// A value, of one kind in each column.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// None.
    #[default]
    Empty,
    /// A whole number.
    Whole(i64),
    /// A number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// Anything else.
    Text(String),
}

impl Cell {
    /// The number that it is.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// Empty before flags before numbers before texts.
    pub fn order(&self, other: &Self) -> Ordering {
        let rank = |cell: &Self| match cell {
            Self::Empty => 0,
            Self::Flag(_) => 1,
            Self::Whole(_) | Self::Real(_) => 2,
            Self::Text(_) => 3,
        };
        match (self, other) {
            (Self::Flag(a), Self::Flag(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => rank(self).cmp(&rank(other)),
            },
        }
    }

    /// Returns a text that equal cells share: `1` and `1.0` are equal, and `"1"` differs from both.
    pub fn key(&self) -> String {
        match (self, self.number()) {
            (_, Some(number)) => number.to_string(),
            (Self::Text(text), _) => format!("\"{text}"),
            (other, _) => format!("{other:?}"),
        }
    }
}
