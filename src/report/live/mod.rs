//! The progress of a run: one screen in place on a terminal, lines at intervals elsewhere.

mod columns;
mod region;
mod tally;
mod view;
mod watch;

pub use region::Region;
pub use view::View;
pub use watch::Watch;
