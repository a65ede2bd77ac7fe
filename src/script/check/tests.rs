use super::*;
use std::path::PathBuf;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("a file").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "rhai")).collect()
}

#[test]
fn nothing_is_found_in_scripts_that_are_right() {
    for path in files("scripts").into_iter().chain(files("stdlib")) {
        assert_eq!(check(&path, false), Vec::<String>::new(), "{}", path.display());
    }
}
