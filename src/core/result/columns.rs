//! The columns of a result file: name, unit, type and meaning of each.

use super::row::COLUMNS;
use std::borrow::Cow;
use std::sync::Arc;

/// A column of a result file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowColumn {
    /// The name in the header.
    pub(crate) name: &'static str,
    /// The unit; empty without one.
    pub(crate) unit: &'static str,
    /// The type of its cells.
    pub(crate) cell_type: CellType,
    /// The table of the book that describes it.
    #[cfg(test)]
    pub(crate) section: Section,
    /// The lines of its description. The lines before an empty one are the meaning, and the others
    /// are details.
    #[cfg(test)]
    pub(crate) description: &'static [&'static str],
}

/// The type of the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellType {
    /// A whole number from 0.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// Text.
    Text,
}

/// The tables of the book that describe columns.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// The origin of a row.
    Origin,
    /// Points in time.
    Moments,
    /// Differences of two moments, and statistics of them.
    Durations,
    /// Numbers of tokens and chunks.
    Tokens,
    /// The end of a request.
    Outcome,
}

/// A type of a field of a row.
pub(crate) trait Field {
    /// The type of its cells.
    const CELL_TYPE: CellType;
}

impl<T: Field> Field for Option<T> {
    const CELL_TYPE: CellType = T::CELL_TYPE;
}

macro_rules! fields {
    ($($cell_type:ident: $($field:ty),+;)+) => {
        $($(impl Field for $field {
            const CELL_TYPE: CellType = CellType::$cell_type;
        })+)+
    };
}

fields! {
    Whole: usize, u64, u16;
    Number: f64;
    Flag: bool;
    Text: String, Arc<str>, Cow<'static, str>, super::row::Status;
}

impl CellType {
    /// Returns the cell as a row reads it, `None` if it has no value. `nan` and `inf` have none,
    /// and pandas writes whole numbers of a column with gaps as `3.0`.
    ///
    /// # Errors
    /// Returns the expected value if the cell has another type.
    pub(crate) fn parse(self, cell: &str) -> Result<Option<Cow<'_, str>>, &'static str> {
        if cell.is_empty() {
            return Ok(None);
        }
        match self {
            Self::Text => Ok(Some(cell.into())),
            Self::Flag if cell.parse::<bool>().is_ok() => Ok(Some(cell.into())),
            Self::Flag => Err("expected `true` or `false`"),
            Self::Number => match cell.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(cell.into())),
                Ok(_) => Ok(None),
                Err(_) => Err("expected a number"),
            },
            Self::Whole if cell.parse::<u64>().is_ok() => Ok(Some(cell.into())),
            Self::Whole => match cell.parse().ok().and_then(whole) {
                Some(number) => Ok(Some(number.to_string().into())),
                None => Err("expected a whole number from 0"),
            },
        }
    }
}

/// Returns `number` if it is a whole number from 0 that a float represents exactly.
fn whole(number: f64) -> Option<u64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0; // 2⁵³
    let is_whole = (0.0..=LARGEST).contains(&number) && number.fract() == 0.0;
    is_whole.then_some(number as u64)
}

impl RowColumn {
    /// Finds a column by its name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        COLUMNS.iter().find(|column| column.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Row;
    use std::path::Path;

    /// Fails with the text to write if the page does not contain `table` behind the heading.
    #[track_caller]
    fn assert_page_has(page: &str, table: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(path).expect("a page");
        assert!(
            text.contains(table),
            "{page} does not have the columns of `core/result/row.rs`; write this table:\n{table}"
        );
    }

    fn meaning(column: &RowColumn) -> String {
        let lines = column.description.iter().map(|line| line.trim());
        lines
            .take_while(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn whole_description(column: &RowColumn) -> String {
        let lines = column.description.iter().map(|line| line.trim());
        lines
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn columns_are_the_header_of_a_csv() {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(Row::default()).expect("a row");
        let text = String::from_utf8(writer.into_inner().expect("bytes")).expect("UTF-8");
        let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(text.lines().next(), Some(&*names.join(",")));
    }

    #[test]
    fn outputs_readme_has_the_table_of_columns() {
        let mut table = vec!["| column | unit | meaning |\n|---|---|---|".to_owned()];
        for column in COLUMNS {
            let unit = match column.unit {
                "" => "–",
                unit => unit,
            };
            let meaning = meaning(column);
            table.push(format!("| `{}` | {unit} | {meaning} |", column.name));
        }
        assert_page_has("outputs/README.md", &table.join("\n"));
    }

    #[test]
    fn measures_has_the_tables_of_columns() {
        for section in [
            Section::Moments,
            Section::Durations,
            Section::Tokens,
            Section::Origin,
            Section::Outcome,
        ] {
            let mut table = vec!["| column | definition |\n|---|---|".to_owned()];
            for column in COLUMNS.iter().filter(|column| column.section == section) {
                let description = whole_description(column);
                table.push(format!("| `{}` | {description} |", column.name));
            }
            assert_page_has("book/src/reference/measures.md", &table.join("\n"));
        }
    }

    #[test]
    fn whole_numbers_of_pandas_are_read() {
        assert_eq!(CellType::Whole.parse("3.0"), Ok(Some("3".into())));
        assert_eq!(CellType::Number.parse("nan"), Ok(None));
        assert!(CellType::Whole.parse("-1").is_err() && CellType::Whole.parse("1e17").is_err());
    }
}
