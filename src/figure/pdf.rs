//! Figures as a PDF, one per page, after a sheet of text.

use super::svg::WIDTH;
use super::{Figure, Sheet, standalone_svg};
use krilla::geom::{Size, Transform};
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt, SvgSettings};
use std::sync::Arc;
use usvg::fontdb::{Database, Source};

/// The margin around each figure, in points.
const MARGIN: f32 = 18.0;

/// Returns the bytes of the document.
///
/// # Errors
/// Fails if a page cannot be drawn. The error names the page.
pub(crate) fn pdf<'a>(
    sheet: Option<&Sheet>,
    figures: impl Iterator<Item = &'a Figure>,
) -> Result<Vec<u8>, String> {
    let mut options = usvg::Options {
        font_family: "DejaVu Sans".into(),
        ..Default::default()
    };
    options.fontdb = Arc::new(fonts());
    let mut document = krilla::Document::new();
    let mut pages = Vec::new();
    if let Some(sheet) = sheet {
        for (svg, height) in sheet.pages() {
            pages.push((&sheet.title, svg, height));
        }
    }
    for figure in figures {
        let (svg, height) = standalone_svg(figure);
        pages.push((&figure.title, svg, height));
    }
    for (title, svg, height) in pages {
        let tree = usvg::Tree::from_str(&svg, &options).map_err(|e| format!("`{title}`: {e}"))?;
        let size = Size::from_wh(WIDTH as f32, height as f32).ok_or("a page without a size")?;
        let settings =
            PageSettings::from_wh(WIDTH as f32 + 2.0 * MARGIN, height as f32 + 2.0 * MARGIN)
                .ok_or("a page without a size")?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        surface.push_transform(&Transform::from_translate(MARGIN, MARGIN));
        surface.draw_svg(&tree, size, SvgSettings::default());
        surface.pop();
        surface.finish();
        page.finish();
    }
    document.finish().map_err(|e| format!("{e:?}"))
}

/// Returns the embedded fonts, so that a document looks the same on every machine.
fn fonts() -> Database {
    let mut fonts = Database::new();
    for font in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_source(Source::Binary(Arc::new(font)));
    }
    fonts
}
