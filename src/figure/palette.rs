//! The colors. They differ for color-blind readers, with a contrast of at least 3:1 to the
//! background.

use super::Ink;
use std::fmt::Write;

/// A set of colors.
pub(crate) struct Palette {
    background: &'static str,
    text: &'static str,
    muted: &'static str,
    grid: &'static str,
    tag: &'static str,
    engines: [&'static str; 7],
    neutral: [&'static str; 4],
}

/// The colors of Okabe and Ito, some of them darker, for a white background.
pub(crate) const LIGHT: Palette = Palette {
    background: "#ffffff",
    text: "#1b1f24",
    muted: "#57606a",
    grid: "#e4e8ec",
    tag: "#a34700",
    engines: [
        "#0072b2", "#d55e00", "#00805e", "#b0479a", "#8a6d00", "#2f9bd0", "#5b4fb5",
    ],
    neutral: ["#4a5560", "#7d8894", "#2b333b", "#99a3ad"],
};

/// The same hues, lighter, for a dark background.
pub(crate) const DARK: Palette = Palette {
    background: "#14181d",
    text: "#e8ecf0",
    muted: "#a3adb8",
    grid: "#2b323a",
    tag: "#ffb27a",
    engines: [
        "#56b4e9", "#ff8a3d", "#2fc79b", "#eb8fcb", "#e6c53f", "#a8d8f2", "#b0a6ff",
    ],
    neutral: ["#b8c2cc", "#8d98a3", "#dde3e9", "#6f7a85"],
};

impl Palette {
    /// Returns the CSS rules for the classes of a drawing.
    pub(crate) fn css(&self) -> String {
        let Self {
            background,
            text,
            muted,
            grid,
            tag,
            ..
        } = self;
        let mut css = format!(
            ".ft{{fill:{text}}}.fm{{fill:{muted}}}.fg{{fill:{background}}}.sg{{stroke:{grid}}}\
             .sa{{stroke:{muted}}}.sb{{stroke:{background}}}.ftag{{fill:{tag}}}\
             .stag{{stroke:{tag}}}"
        );
        for (letter, colors) in [("e", &self.engines[..]), ("n", &self.neutral[..])] {
            for (i, color) in colors.iter().enumerate() {
                let _ = write!(
                    css,
                    ".f{letter}{i}{{fill:{color}}}.s{letter}{i}{{stroke:{color}}}"
                );
            }
        }
        css
    }
}

/// Returns the CSS rules for drawings in a page: light, or dark if the reader prefers that.
pub(crate) fn page_css() -> String {
    format!(
        "{}@media (prefers-color-scheme:dark){{{}}}",
        LIGHT.css(),
        DARK.css()
    )
}

impl Ink {
    /// The suffix of its class names.
    pub(crate) fn class(self) -> String {
        match self {
            Self::Engine(i) => format!("e{}", i % LIGHT.engines.len()),
            Self::Neutral(i) => format!("n{}", i % LIGHT.neutral.len()),
        }
    }

    /// The number of its marker and its dash.
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Engine(i) | Self::Neutral(i) => i,
        }
    }

    /// The dashes of its lines.
    pub(crate) fn dash(self) -> &'static str {
        [
            "",
            " stroke-dasharray=\"7 3\"",
            " stroke-dasharray=\"2 3\"",
            " stroke-dasharray=\"9 3 2 3\"",
        ][self.number() % 4]
    }
}
