//! `core/table`: results read back into a script.

use super::measure::Measure;
use crate::core::result::table::{self, Cell};
use crate::script::diagnostic::ScriptError;
use crate::script::host::Host;
use crate::script::suggest::{nearest, neighbour};
use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map, Module, NativeCallContext};

/// Returns the module `core/table`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// Returns the type with its methods.
pub fn types() -> Module {
    exported_module!(methods)
}

fn place(table: &table::Table, column: &str) -> Result<usize, ScriptError> {
    table.place(column).ok_or_else(|| {
        let error = ScriptError::new(format!("unknown column `{column}`")).at_word(column);
        let known = table.columns();
        match nearest(column, known.iter().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("the columns are {}", known.join(", "))),
        }
    })
}

fn value(cell: &Cell) -> Dynamic {
    match cell {
        Cell::Empty => Dynamic::UNIT,
        Cell::Whole(number) => (*number).into(),
        Cell::Real(number) => (*number).into(),
        Cell::Flag(flag) => (*flag).into(),
        Cell::Text(text) => text.into(),
    }
}

fn cell(value: &Dynamic) -> Cell {
    match value {
        _ if value.is_unit() => Cell::Empty,
        _ if value.is_int() => Cell::Whole(value.as_int().unwrap_or_default()),
        _ if value.is_float() => value
            .as_float()
            .ok()
            .filter(|number| number.is_finite())
            .map(Cell::Real)
            .unwrap_or_default(),
        _ if value.is_bool() => Cell::Flag(value.as_bool().unwrap_or_default()),
        _ => Cell::Text(value.to_string()),
    }
}

/// Returns true if a request of the table was sent by the run whose request ids begin like this.
fn is_of_run(table: &table::Table, prefix: &str) -> bool {
    let Some(at) = table.place("x_request_id") else {
        return false;
    };
    table
        .rows()
        .any(|row| matches!(&row[at], Cell::Text(id) if id.starts_with(prefix)))
}

fn row(columns: &[String], cells: &[Cell]) -> Map {
    columns
        .iter()
        .zip(cells)
        .map(|(column, cell)| (column.into(), value(cell)))
        .collect()
}

/// Tables from files.
#[export_module]
mod natives {
    /// Reads the CSV at `path`, which is relative to the working directory or to the script's folder.
    ///
    /// ```rhai
    /// let rows = table::read("outputs/test_a.csv");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn read(
        context: NativeCallContext,
        path: &str,
    ) -> Result<table::Table, Box<EvalAltResult>> {
        let host = Host::of(&context);
        let here = std::path::PathBuf::from(path);
        let found = if here.exists() { here } else { host.path(path) };
        let table = table::read(&found).map_err(|problem| {
            let near = neighbour(&found).map(|near| format!("did you mean {}?", near.display()));
            let help =
                near.unwrap_or_else(|| "give the path of a CSV, such as outputs/test_a.csv".into());
            ScriptError::new(problem).at_word(path).help(help)
        })?;
        if is_of_run(&table, &format!("{}-", host.runner().client.run_id)) {
            let message = format!("{path} is a result of this run and cannot be its own baseline");
            return Err(ScriptError::new(message)
                .at_word(path)
                .help(
                    "read it before `run`, or write the results of this run to another folder \
                     with `-o DIR`; `run` returns its results",
                )
                .into());
        }
        Ok(table)
    }
}

/// Methods of tables. None of them changes the table.
#[export_module]
mod methods {
    /// Rows under named columns.
    pub type Table = crate::core::result::table::Table;

    /// The number of rows.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// print(rows.count);
    /// ```
    #[rhai_fn(get = "count", pure)]
    pub fn count(table: &mut Table) -> i64 {
        Table::count(table) as i64
    }

    /// The names of the columns.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// print(rows.columns);
    /// ```
    #[rhai_fn(get = "columns", pure)]
    pub fn columns(table: &mut Table) -> Array {
        Table::columns(table).iter().map(Into::into).collect()
    }

    /// Returns true if the table has a column of this name.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// if rows.has("cached_tokens") { print(rows.column("cached_tokens")); }
    /// ```
    #[rhai_fn(pure)]
    pub fn has(table: &mut Table, column: &str) -> bool {
        table.place(column).is_some()
    }

    /// The rows as maps. A value that is not there is `()`.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// for row in rows.rows { print(row.TTFT); }
    /// ```
    #[rhai_fn(get = "rows", pure)]
    pub fn rows(table: &mut Table) -> Array {
        Table::rows(table)
            .map(|cells| row(Table::columns(table), cells).into())
            .collect()
    }

    /// The values of a column, without those that are not there.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// print(rows.column("TTFT"));
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn column(table: &mut Table, column: &str) -> Result<Array, Box<EvalAltResult>> {
        let place = place(table, column)?;
        Ok(table
            .column(place)
            .filter(|cell| **cell != Cell::Empty)
            .map(value)
            .collect())
    }

    /// Two columns as `#{ x, y }`, of the rows that have both: what a line of `std/plot` takes.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// plot::save("ttft.svg", plot::lines(#{ x: "request", y: "TTFT (s)", series: [#{ name: "a" } + rows.points("request_id", "TTFT")] }));
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn points(table: &mut Table, x: &str, y: &str) -> Result<Map, Box<EvalAltResult>> {
        let x = place(table, x)?;
        let y = place(table, y)?;
        let both = Table::rows(table).filter(|row| row[x] != Cell::Empty && row[y] != Cell::Empty);
        let (xs, ys): (Array, Array) = both.map(|row| (value(&row[x]), value(&row[y]))).unzip();
        Ok([("x".into(), xs.into()), ("y".into(), ys.into())].into())
    }

    /// The numbers of a column as a distribution with `p50`, `p(95)`, `mean` and `count`, also for
    /// `check::faster`.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// print(rows.measure("TTFT").p50);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn measure(table: &mut Table, column: &str) -> Result<Measure, Box<EvalAltResult>> {
        let place = place(table, column)?;
        Ok(Measure::from_column(column, table.distribution(place)))
    }

    /// The rows for which `keep` holds.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// let ok = rows.filter(|row| row.status == "ok");
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn filter(
        context: NativeCallContext,
        table: &mut Table,
        keep: FnPtr,
    ) -> Result<Table, Box<EvalAltResult>> {
        let columns = Table::columns(table);
        table.filter(|cells| keep.call_within_context::<bool>(&context, (row(columns, cells),)))
    }

    /// The rows in the order of a column.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// print(rows.sorted("TTFT").column("TTFT"));
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn sorted(table: &mut Table, column: &str) -> Result<Table, Box<EvalAltResult>> {
        let place = place(table, column)?;
        Ok(Table::sorted(table, place))
    }

    /// The rows of each value of a column, as maps of `key` and `rows`, in the order of the values.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// for engine in rows.group("engine") { print(`${engine.key}: ${engine.rows.count} requests`); }
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn group(table: &mut Table, column: &str) -> Result<Array, Box<EvalAltResult>> {
        let place = place(table, column)?;
        let group = |(key, rows): (Cell, Table)| {
            Dynamic::from_map(
                [
                    ("key".into(), value(&key)),
                    ("rows".into(), Dynamic::from(rows)),
                ]
                .into(),
            )
        };
        Ok(table.groups(place).into_iter().map(group).collect())
    }

    /// The table with a column of what `make` makes of each row.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// let with_prefill = rows.add_column("per_token_s", |row| row.TTFT / row.prompt_tokens);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn add_column(
        context: NativeCallContext,
        table: &mut Table,
        column: &str,
        make: FnPtr,
    ) -> Result<Table, Box<EvalAltResult>> {
        let columns = Table::columns(table);
        let values = Table::rows(table).map(|cells| {
            make.call_within_context::<Dynamic>(&context, (row(columns, cells),))
                .map(|value| cell(&value))
        });
        let cells = values.collect::<Result<Vec<_>, _>>()?;
        Ok(Table::with(table, column, cells))
    }

    /// The rows of both tables.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// let twice = rows + rows;
    /// ```
    #[rhai_fn(name = "+", pure)]
    pub fn merged(table: &mut Table, other: Table) -> Table {
        Table::merged(table, &other)
    }

    /// Joins each row with those of `other` that have equal values in the columns `on`. Other columns
    /// of `other` get the suffix `_other` if their name is taken.
    ///
    /// ```rhai
    /// let rows = results::read("outputs/test_a.csv");
    /// let pairs = rows.join(results::read("outputs/test_a.csv"), ["request_id"]);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn join(table: &mut Table, other: Table, on: Array) -> Result<Table, Box<EvalAltResult>> {
        let mut places = Vec::new();
        for column in on {
            let column = column.to_string();
            places.push((place(table, &column)?, place(&other, &column)?));
        }
        if places.is_empty() {
            return Err(ScriptError::new("a join needs a column")
                .help("for example `a.join(b, [\"request_id\"])`")
                .into());
        }
        Ok(table.joined(&other, &places, "_other"))
    }

    /// The table in words.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn table_text(table: &mut Table) -> String {
        format!(
            "{} rows of {}",
            Table::count(table),
            Table::columns(table).join(", ")
        )
    }
}
