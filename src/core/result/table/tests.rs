use super::*;
use Cell::{Empty, Flag, Real, Text, Whole};

fn table(text: &str) -> Table {
    parse(text.as_bytes()).expect("a CSV")
}

fn rows(table: &Table) -> Vec<Vec<Cell>> {
    table.rows().map(<[Cell]>::to_vec).collect()
}

#[test]
fn each_column_has_the_kind_that_fits_all_its_cells() {
    let read = table("id,TTFT,share,ok,name\n1,2,1,true,a\n2,,0.5,false,7\n,inf,,,\n");
    assert_eq!(
        rows(&read),
        [
            vec![Whole(1), Real(2.0), Real(1.0), Flag(true), Text("a".into())],
            vec![Whole(2), Empty, Real(0.5), Flag(false), Text("7".into())],
            vec![Empty, Empty, Empty, Empty, Empty],
        ]
    );
}

#[test]
fn the_originals_failures_are_no_measures() {
    let read = table("TTFT,throughput,latency\n-1,-1,-1\n0.5,-1,2\n");
    assert_eq!(
        rows(&read),
        [
            vec![Empty, Empty, Empty],
            vec![Real(0.5), Real(-1.0), Real(2.0)]
        ]
    );
    let ours = table("TTFT,throughput,latency,status\n-1,-1,-1,ok\n");
    assert_eq!(rows(&ours)[0][0], Real(-1.0));
}

#[test]
fn groups_are_in_the_order_of_their_values_and_keep_that_of_their_rows() {
    let groups = table("id,v\n10,a\n2,b\n10,c\n,d\n").groups(0);
    let seen: Vec<_> = groups
        .iter()
        .map(|(value, group)| (value.clone(), group.count()))
        .collect();
    assert_eq!(seen, [(Empty, 1), (Whole(2), 1), (Whole(10), 2)]);
    assert_eq!(
        rows(&groups[2].1),
        [[Whole(10), Text("a".into())], [Whole(10), Text("c".into())]]
    );
}

#[test]
fn a_join_has_every_pair_and_names_every_column_once() {
    let left = table("id,TTFT\n1,0.5\n2,0.6\n3,0.7\n");
    let right = table("id,TTFT,note\n2,6,x\n2,7,y\n1,5,z\n4,8,w\n");
    let joined = left.joined(&right, &[(0, 0)], "_other");
    assert_eq!(joined.columns(), ["id", "TTFT", "TTFT_other", "note"]);
    let note = |note: &str| Text(note.into());
    assert_eq!(
        rows(&joined),
        [
            [Whole(1), Real(0.5), Real(5.0), note("z")],
            [Whole(2), Real(0.6), Real(6.0), note("x")],
            [Whole(2), Real(0.6), Real(7.0), note("y")],
        ]
    );
}

#[test]
fn merged_tables_have_the_rows_and_columns_of_both() {
    let merged = table("a,b\n1,2\n").merged(&table("b,c\n3,4\n"));
    assert_eq!(merged.columns(), ["a", "b", "c"]);
    assert_eq!(
        rows(&merged),
        [[Whole(1), Whole(2), Empty], [Empty, Whole(3), Whole(4)]]
    );
}

#[test]
fn a_column_is_added_or_replaced() {
    let with = table("a,b\n1,2\n")
        .with("c", vec![Flag(true)])
        .with("a", vec![Whole(9)]);
    assert_eq!(
        (with.columns(), rows(&with)),
        (
            &["a", "b", "c"].map(String::from)[..],
            vec![vec![Whole(9), Whole(2), Flag(true)]]
        )
    );
}

#[test]
fn what_is_wrong_names_the_line() {
    let error = parse("a,b\n1,2\n1\n".as_bytes())
        .expect_err("half a row")
        .to_string();
    assert!(error.contains("line: 3"), "{error}");
    let missing = read(Path::new("/no/such.csv")).expect_err("no file");
    assert!(
        missing.starts_with("cannot read /no/such.csv: No such file"),
        "{missing}"
    );
}

use std::path::Path;
