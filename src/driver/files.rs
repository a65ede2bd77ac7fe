//! Regular files. A link may lead out of a folder, and a pipe may block its reader forever, so both
//! are refused.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file to read it. Links are followed.
///
/// # Errors
/// Fails if it cannot be read, or is a pipe or a device.
pub(crate) fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    require_regular(file)
}

/// Reads a whole text, without a byte order mark at its start.
///
/// # Errors
/// Fails as [`open`] does, or if it is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(without_bom(text))
}

/// Removes the byte order mark that some editors write at the start of a text.
pub(crate) fn without_bom(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    }
}

/// Opens a file of an output folder with `options`. Links are refused.
///
/// # Errors
/// Fails if it cannot be opened, or if it is not a regular file.
pub(crate) fn open_own(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    match options.custom_flags(flags.bits()).open(path) {
        Ok(file) => require_regular(file),
        Err(e) if e.raw_os_error() == Some(Errno::ELOOP as i32) => Err(not_a_file("a link")),
        Err(e) if e.raw_os_error() == Some(Errno::ENXIO as i32) => Err(not_a_file("a pipe")),
        Err(e) => Err(e),
    }
}

/// Writes a file atomically: a reader sees the old content or the new.
///
/// # Errors
/// Fails if it cannot be written, or if the path is not a regular file.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => return Err(not_a_file("a link")),
        Ok(found) if !found.is_file() => return Err(not_a_file("something else")),
        _ => {}
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let _ = std::fs::remove_file(part); // a killed run may have left it
    File::create_new(part)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(part, path))
        .inspect_err(|_| {
            let _ = std::fs::remove_file(part);
        })
}

fn require_regular(file: File) -> Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(Error::from(Errno::EISDIR))
    } else {
        Err(not_a_file("a pipe or a device"))
    }
}

fn not_a_file(kind: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("it is {kind}, not a file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn a_pipe_is_refused_without_blocking() {
        let dir = tempfile::tempdir().expect("a folder");
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
        assert_eq!(
            open(dir.path()).expect_err("a folder").kind(),
            ErrorKind::IsADirectory
        );
        for refused in [
            open(&pipe).map(drop),
            open_own(&pipe, OpenOptions::new().append(true)).map(drop),
            replace(&pipe, b"x"),
        ] {
            assert_eq!(refused.expect_err("a pipe").kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn links_are_not_followed_when_writing() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("target");
        let link = dir.path().join("link");
        std::fs::write(&target, "untouched").expect("a file");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        for refused in [
            open_own(&link, OpenOptions::new().append(true).create(true)).map(drop),
            replace(&link, b"x"),
        ] {
            assert_eq!(
                refused.expect_err("a link").to_string(),
                "it is a link, not a file"
            );
        }
        // A link with the name of the temporary file is not followed either.
        std::os::unix::fs::symlink(&target, dir.path().join("new.part")).expect("a link");
        replace(&dir.path().join("new"), b"x").expect("a file");
        assert_eq!(
            std::fs::read(dir.path().join("new")).expect("the file"),
            b"x"
        );
        assert_eq!(std::fs::read(&target).expect("the target"), b"untouched");
        assert_eq!(
            read_text(&link).expect("a text through a link"),
            "untouched"
        );
    }
}
