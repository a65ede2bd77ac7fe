//! Figures as a PDF, one a page, behind a sheet of text.

use super::{Figure, Sheet, WIDTH, alone};
use krilla::geom::{Size, Transform};
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt, SvgSettings};
use std::sync::Arc;
use usvg::fontdb::{Database, Source};

/// Around each figure, in points.
const MARGIN: f32 = 18.0;

/// The bytes of the document.
///
/// # Errors
/// When a page cannot be drawn; the text says which.
pub fn pdf<'a>(
    sheet: Option<&Sheet>,
    figures: impl Iterator<Item = &'a Figure>,
) -> Result<Vec<u8>, String> {
    let mut options = usvg::Options {
        font_family: "DejaVu Sans".into(),
        ..Default::default()
    };
    options.fontdb = Arc::new(fonts());
    let mut document = krilla::Document::new();
    let sheets = sheet
        .into_iter()
        .flat_map(|sheet| sheet.pages().into_iter().map(|page| (&sheet.title, page)));
    for (title, (svg, height)) in sheets.chain(figures.map(|figure| (&figure.title, alone(figure))))
    {
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

/// The same letters on every machine.
fn fonts() -> Database {
    let mut fonts = Database::new();
    for font in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_source(Source::Binary(Arc::new(font)));
    }
    fonts
}
