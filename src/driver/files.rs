//! Regular files only: a link may lead out of the folder, and a pipe may let its reader wait without limit.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file to read it, also through links.
///
/// # Errors
/// Fails if it cannot be read, or is a pipe or a device.
pub fn open(path: &Path) -> Result<File> {
    regular(
        OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?,
    )
}

/// Reads a text whole, without a byte order mark at its start.
///
/// # Errors
/// Fails as [`open`] does, or if it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(without_mark(text))
}

/// Removes the byte order mark that some editors write at the start of a text.
pub fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text)
}

/// Opens a file in an output folder with `options`, which is not a link.
///
/// # Errors
/// Fails if it cannot be opened, or if it is not a regular file.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = options.custom_flags(flags.bits()).open(path).map_err(|e| {
        match Errno::from_raw(e.raw_os_error().unwrap_or(0)) {
            Errno::ELOOP => in_its_place("a link"),
            Errno::ENXIO => in_its_place("a pipe"),
            _ => e,
        }
    });
    regular(file?)
}

/// Writes a file in one piece: a reader sees the old one or the new one.
///
/// # Errors
/// Fails if it cannot be written, or if something other than a file has its name.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => return Err(in_its_place("a link")),
        Ok(found) if !found.is_file() => return Err(in_its_place("something else")),
        _ => {}
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let _ = std::fs::remove_file(part); // of a run that was killed
    let written = File::create_new(part).and_then(|mut file| file.write_all(bytes));
    written
        .and_then(|()| std::fs::rename(part, path))
        .inspect_err(|_| {
            let _ = std::fs::remove_file(part);
        })
}

fn regular(file: File) -> Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(Error::from(Errno::EISDIR));
    }
    if kind.is_file() {
        Ok(file)
    } else {
        Err(in_its_place("a pipe or a device"))
    }
}

fn in_its_place(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn a_pipe_is_refused_at_once() {
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
    fn a_link_leads_nowhere() {
        let dir = tempfile::tempdir().expect("a folder");
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
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
        // The same holds for a link that has the name of the part.
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
