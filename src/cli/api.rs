//! `lmrun api`: what scripts can call.

use super::{complain, exit};
use crate::report::{checkup, color};
use crate::script::catalog::{Catalog, Look};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What scripts can call.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lmrun api                                a line for each function
  lmrun api load                           a module, with what it says of itself
  lmrun api load::dummy                    one function, with its options and an example
  lmrun api --definitions .rhai            `.d.rhai` files for an editor's language server")]
pub struct ApiArgs {
    /// A function, a method, a type or a module, such as `load::dummy`, `Engine.close`, `std/load`.
    name: Option<String>,
    /// Write definition files for editors into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    definitions: Option<PathBuf>,
    /// Write the pages of the book into this folder.
    #[arg(long, value_name = "DIR", hide = true, conflicts_with = "name")]
    book: Option<PathBuf>,
}

/// Prints or writes; returns the exit code.
pub fn run(args: &ApiArgs) -> u8 {
    let catalog = Catalog::read();
    if let Some(folder) = &args.definitions {
        return write(folder, &catalog.definitions());
    }
    if let Some(folder) = &args.book {
        return write(folder, &catalog.pages());
    }
    let width = checkup::columns().unwrap_or(usize::MAX);
    let look = Look {
        color: color(),
        width,
    };
    let text = match &args.name {
        None => catalog.list(look),
        Some(name) => match catalog.show(name, look) {
            Some(text) => text,
            None => return unknown(&catalog, name),
        },
    };
    // A reader that went away has read enough.
    let _ = write!(std::io::stdout(), "{text}");
    exit::OK
}

fn unknown(catalog: &Catalog, name: &str) -> u8 {
    let hint = match catalog.nearest(name) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`lmrun api` lists all there is".into(),
    };
    complain(&format!("scripts have no `{name}`; {hint}"))
}

fn write(folder: &Path, files: &[(String, String)]) -> u8 {
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        files
            .iter()
            .try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
    });
    match written {
        Ok(()) => {
            eprintln!("{} files written to {}", files.len(), folder.display());
            exit::OK
        }
        Err(e) => complain(&format!("cannot write to `{}`: {e}", folder.display())),
    }
}
