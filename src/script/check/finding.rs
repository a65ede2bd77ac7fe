//! A mistake or a warning in a script, and its position.

use crate::script::diagnostic::{Place, ScriptError};
use crate::script::source::ScriptSource;
use miette::Severity;
use rhai::Position;

/// A mistake or a warning, and its position.
pub(super) struct ScriptFinding {
    pub(super) position: Position,
    pub(super) severity: Severity,
    pub(super) fault: ScriptError,
}

impl ScriptFinding {
    /// A mistake: the script fails if it runs this code.
    pub(super) fn mistake(position: Position, fault: ScriptError) -> Self {
        Self {
            position,
            severity: Severity::Error,
            fault,
        }
    }

    /// A warning: the code may be intended.
    pub(super) fn warning(position: Position, fault: ScriptError) -> Self {
        Self {
            position,
            severity: Severity::Warning,
            fault,
        }
    }

    /// The finding on one line: position, message, advice.
    pub(super) fn line(&self, source: &ScriptSource) -> String {
        let place = Place {
            file: source.title.clone(),
            position: self.position,
        };
        match &self.fault.help {
            Some(help) => format!("{place}: {} ({help})", self.fault.message),
            None => format!("{place}: {}", self.fault.message),
        }
    }
}
