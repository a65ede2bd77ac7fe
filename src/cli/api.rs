//! `lmrun api`: the documentation of what scripts can call.

use super::{complain, exit, print};
use crate::report::{color, doctor};
use crate::script::catalog::{Catalog, Look};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `lmrun api`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lmrun api                                list all functions
  lmrun api load                           show a module
  lmrun api load::dummy                    show a function with its options and an example
  lmrun api --definitions .rhai            write `.d.rhai` files for an editor's language server")]
pub(super) struct ApiArgs {
    /// Function, method, type or module, such as `load::dummy`, `Engine.close` or `std/load`.
    name: Option<String>,
    /// Write definition files for editors to a folder.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    definitions: Option<PathBuf>,
    /// Write the pages of the book to a folder.
    #[arg(long, value_name = "DIR", hide = true, conflicts_with = "name")]
    book: Option<PathBuf>,
}

/// Prints or writes documentation and returns the exit code.
pub(super) fn run(args: &ApiArgs) -> u8 {
    let catalog = Catalog::read();
    if let Some(folder) = &args.definitions {
        return write(folder, &catalog.definitions());
    }
    if let Some(folder) = &args.book {
        return write(folder, &catalog.pages());
    }
    let width = doctor::columns().unwrap_or(usize::MAX);
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
    print::text(&text);
    exit::OK
}

fn unknown(catalog: &Catalog, name: &str) -> u8 {
    let hint = match catalog.nearest(name) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`lmrun api` lists all names".into(),
    };
    complain(&format!("unknown name `{name}`; {hint}"))
}

fn write(folder: &Path, files: &[(String, String)]) -> u8 {
    if let Err(e) = write_all(folder, files) {
        return complain(&format!("cannot write to `{}`: {e}", folder.display()));
    }
    eprintln!("wrote {} files to {}", files.len(), folder.display());
    exit::OK
}

fn write_all(folder: &Path, files: &[(String, String)]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
