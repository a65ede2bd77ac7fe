use super::*;

fn figure(points: usize) -> Figure {
    let points = (0..points).map(|i| Point {
        x: i as f64,
        y: 0.5 + (i % 7) as f64 / 9.0,
        link: Some(format!("r{i}")),
    });
    Figure {
        id: "f1".into(),
        title: "TTFT <b>&\u{1}".into(),
        tag: Some("simulated".into()),
        note: "A \"note\".".into(),
        x: Axis::new("request", "", Kind::Whole),
        y: Axis::new("TTFT", "s", Kind::Linear),
        series: vec![Series::line(
            "<script>alert(1)</script>",
            Ink::Engine(0),
            points.collect(),
        )],
    }
}

#[test]
fn names_stay_text_in_well_formed_xml() {
    for svg in [in_page(&figure(5)), alone(&figure(5)).0] {
        assert!(!svg.contains("<script"), "{svg}");
        let tree = usvg::Tree::from_str(&svg, &usvg::Options::default());
        assert!(tree.is_ok(), "{tree:?}");
    }
}

#[test]
fn points_are_links_in_a_page_and_one_of_them_is_a_stop_of_the_keyboard() {
    let svg = in_page(&figure(5));
    assert_eq!(
        (
            svg.matches("<a href=\"#r").count(),
            svg.matches("tabindex=\"0\"").count()
        ),
        (5, 1)
    );
    assert!(!alone(&figure(5)).0.contains("<a "));
}

#[test]
fn very_many_points_are_a_band_of_a_few_kilobytes() {
    let svg = in_page(&figure(100_000));
    assert!(svg.len() < 12_000, "{}", svg.len());
    assert!(!svg.contains("<circle"));
}

#[test]
fn the_table_has_the_values_or_what_they_are_like() {
    let few = figure(3).table();
    assert_eq!(few.head, ["request", "<script>alert(1)</script>, s"]);
    assert_eq!(few.rows[1], ["1", "0.611"]);
    let many = figure(50).table();
    assert_eq!((many.rows.len(), many.head.len()), (1, 7));
}

#[test]
fn a_figure_of_nothing_is_drawn() {
    let mut empty = figure(0);
    empty.series.clear();
    assert!(in_page(&empty).ends_with("</svg>"));
}

#[test]
fn a_long_sheet_has_several_pages_and_its_texts_stay_text() {
    let line = |i| Line {
        word: format!("<{i}>"),
        is_strong: i % 2 == 0,
        text: "a & b ".repeat(20),
    };
    let sheet = Sheet {
        title: "t".into(),
        lines: (0..30).map(line).collect(),
    };
    let pages = sheet.pages();
    let marks = |i| {
        pages
            .iter()
            .filter(|page| page.0.contains(&format!("&lt;{i}&gt;")))
            .count()
    };
    assert!(
        pages.len() > 1 && (0..30).all(|i| marks(i) == 1),
        "{} pages",
        pages.len()
    );
    assert!(
        pages.iter().all(|page| page.1 < 700.0
            && usvg::Tree::from_str(&page.0, &usvg::Options::default()).is_ok())
    );
}

#[test]
fn whiskers_of_few_values_are_the_least_and_the_greatest() {
    let boxes = |count: u32| {
        let five = FiveNumbers::of(0.0, (0..count).map(f64::from).collect()).expect("values");
        let series = Series {
            name: "e".into(),
            ink: Ink::Engine(0),
            shape: Shape::Boxes(vec![five]),
        };
        let x = Axis::new("experiment", "", Kind::Named(vec!["first".into()]));
        Figure {
            series: vec![series],
            x,
            ..figure(0)
        }
    };
    let (few, many) = (boxes(71), boxes(72));
    assert!(
        in_page(&few).contains("least to greatest 0 to 70"),
        "{}",
        in_page(&few)
    );
    assert!(
        in_page(&many).contains("5th to 95th percentile 3.55 to 67.5"),
        "{}",
        in_page(&many)
    );
    let columns = [
        "series",
        "experiment",
        "least",
        "p5",
        "p25",
        "median",
        "p75",
        "p95",
        "greatest",
    ];
    assert_eq!(few.table().head, columns);
    assert_eq!(
        few.table().rows,
        [["e", "first", "0", "–", "17.5", "35.0", "52.5", "–", "70.0"]]
    );
    assert_eq!(many.table().rows[0][2..4], ["–", "3.55"]);
}

#[test]
fn a_summary_of_few_values_has_no_95th_percentile() {
    assert_eq!(figure(50).table().rows[0][5], "–");
    assert_ne!(figure(80).table().rows[0][5], "–");
}
