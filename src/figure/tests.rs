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
fn names_are_escaped_in_svg() {
    for svg in [inline_svg(&figure(5)), standalone_svg(&figure(5)).0] {
        assert!(!svg.contains("<script"), "{svg}");
        let tree = usvg::Tree::from_str(&svg, &usvg::Options::default());
        assert!(tree.is_ok(), "{tree:?}");
    }
}

#[test]
fn points_are_links_in_a_page_with_one_tab_stop() {
    let svg = inline_svg(&figure(5));
    assert_eq!(
        (
            svg.matches("<a href=\"#r").count(),
            svg.matches("tabindex=\"0\"").count()
        ),
        (5, 1)
    );
    assert!(!standalone_svg(&figure(5)).0.contains("<a "));
}

#[test]
fn many_points_become_a_band() {
    let svg = inline_svg(&figure(100_000));
    assert!(svg.len() < 12_000, "{}", svg.len());
    assert!(!svg.contains("<circle"));
}

#[test]
fn table_has_the_values_or_their_percentiles() {
    let few = figure(3).table();
    assert_eq!(few.head, ["request", "<script>alert(1)</script>, s"]);
    assert_eq!(few.rows[1], ["1", "0.611"]);
    let many = figure(50).table();
    assert_eq!((many.rows.len(), many.head.len()), (1, 7));
}

#[test]
fn empty_figure_is_drawn() {
    let mut empty = figure(0);
    empty.series.clear();
    assert!(inline_svg(&empty).ends_with("</svg>"));
}

#[test]
fn long_sheet_has_several_pages_with_escaped_texts() {
    let lines = (0..30).map(|i| SheetLine {
        word: format!("<{i}>"),
        is_strong: i % 2 == 0,
        text: "a & b ".repeat(20),
    });
    let sheet = Sheet {
        title: "t".into(),
        lines: lines.collect(),
    };
    let pages = sheet.pages();
    assert!(pages.len() > 1, "{} pages", pages.len());
    let all: String = pages.iter().map(|page| page.0.as_str()).collect();
    for i in 0..30 {
        assert_eq!(all.matches(&format!("&lt;{i}&gt;")).count(), 1, "{i}");
    }
    for (svg, height) in pages {
        assert!(height < 700.0, "{height}");
        assert!(usvg::Tree::from_str(&svg, &usvg::Options::default()).is_ok());
    }
}

fn boxes(count: u32) -> Figure {
    let values = (0..count).map(f64::from).collect();
    let five = FiveNumbers::from_values(0.0, &values).expect("values");
    let series = Series {
        name: "e".into(),
        ink: Ink::Engine(0),
        shape: Shape::Boxes(vec![five]),
    };
    Figure {
        series: vec![series],
        x: Axis::new("experiment", "", Kind::Named(vec!["first".into()])),
        ..figure(0)
    }
}

#[test]
fn whiskers_of_few_values_are_min_and_max() {
    let few = boxes(71);
    let many = boxes(72);
    assert!(
        inline_svg(&few).contains("min to max 0 to 70"),
        "{}",
        inline_svg(&few)
    );
    assert!(
        inline_svg(&many).contains("5th to 95th percentile 3.55 to 67.5"),
        "{}",
        inline_svg(&many)
    );
    let columns = [
        "series",
        "experiment",
        "min",
        "p5",
        "p25",
        "median",
        "p75",
        "p95",
        "max",
    ];
    assert_eq!(few.table().head, columns);
    assert_eq!(
        few.table().rows,
        [["e", "first", "0", "–", "17.5", "35.0", "52.5", "–", "70.0"]]
    );
    assert_eq!(many.table().rows[0][2..4], ["–", "3.55"]);
}

#[test]
fn table_of_few_values_has_no_95th_percentile() {
    assert_eq!(figure(50).table().rows[0][5], "–");
    assert_ne!(figure(80).table().rows[0][5], "–");
}
