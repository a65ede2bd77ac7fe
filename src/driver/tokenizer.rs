//! A model's tokenizer, read from its `tokenizer.json`.

use std::path::Path;

/// Counts tokens as a model does.
pub struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Reads `path`: the file, or the folder of a model that has it.
    ///
    /// # Errors
    /// Where there is no such file, or it is no tokenizer: what is wrong, with its path.
    pub fn load(path: &Path) -> Result<Self, String> {
        let file = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        let read = tokenizers::Tokenizer::from_file(&file);
        read.map(Self)
            .map_err(|e| format!("{} is no tokenizer that can be read: {e}", file.display()))
    }

    /// How many tokens `text` has, without any that mark its beginning or end; `None` where it
    /// cannot be read as tokens.
    pub fn count(&self, text: &str) -> Option<u64> {
        self.0
            .encode_fast(text, false)
            .ok()
            .map(|encoded| encoded.len() as u64)
    }
}
