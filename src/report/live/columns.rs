//! Columns of a few lines, in as many blocks as the width of a terminal asks for.

use console::{Alignment, measure_text_width, pad_str};

/// Columns that stay together where there is room for them.
pub type Group = Vec<Column>;

/// A head, and a cell for each line.
#[derive(Clone, Debug)]
pub struct Column {
    head: &'static str,
    cells: Vec<String>,
}

/// Between two columns.
const GAP: usize = 2;

impl Column {
    /// A column.
    pub fn new(head: &'static str, cells: Vec<String>) -> Self {
        Self { head, cells }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| measure_text_width(cell));
        cells.fold(measure_text_width(self.head), usize::max)
    }
}

/// The `names` of the lines, and beside them the columns; one block under the other where they do
/// not fit into `width`. With each line the number of its row; heads have none.
pub fn draw(names: &[String], groups: Vec<Group>, width: usize) -> Vec<(Option<usize>, String)> {
    let longest = names
        .iter()
        .map(|name| measure_text_width(name))
        .max()
        .unwrap_or(0);
    let name_width = longest.min(width / 3);
    let blocks = blocks(groups, width.saturating_sub(name_width));
    blocks
        .iter()
        .flat_map(|block| lines(names, name_width, block))
        .collect()
}

/// Whole groups where they fit, else their columns one by one.
fn blocks(groups: Vec<Group>, room: usize) -> Vec<Vec<Column>> {
    let width = |columns: &[Column]| {
        columns
            .iter()
            .map(|column| GAP + column.width())
            .sum::<usize>()
    };
    let parts = groups.into_iter().flat_map(|group| {
        if width(&group) <= room {
            vec![group]
        } else {
            group.into_iter().map(|column| vec![column]).collect()
        }
    });
    let mut blocks: Vec<Vec<Column>> = Vec::new();
    for part in parts {
        match blocks
            .last_mut()
            .filter(|block| width(block) + width(&part) <= room)
        {
            Some(block) => block.extend(part),
            None => blocks.push(part),
        }
    }
    blocks
}

fn lines(names: &[String], name_width: usize, columns: &[Column]) -> Vec<(Option<usize>, String)> {
    let line = |name: &str, cell: &dyn Fn(&Column) -> String| {
        let mut line = pad_str(name, name_width, Alignment::Left, Some("…")).into_owned();
        for column in columns {
            line += &" ".repeat(GAP);
            line += &pad_str(&cell(column), column.width(), Alignment::Right, None);
        }
        line
    };
    let head = (None, line("", &|column| column.head.into()));
    let cell =
        |row: usize| move |column: &Column| column.cells.get(row).cloned().unwrap_or_default();
    let rows = names
        .iter()
        .enumerate()
        .map(|(row, name)| (Some(row), line(name, &cell(row))));
    std::iter::once(head).chain(rows).collect()
}
