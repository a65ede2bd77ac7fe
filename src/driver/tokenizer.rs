//! A model's tokenizer, read from its `tokenizer.json`.

use std::path::Path;

/// A tokenizer, to count tokens as a model does.
pub struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Reads the tokenizer at `path`: its file, or a model's folder with that file.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not a tokenizer. The message has its path.
    pub fn load(path: &Path) -> Result<Self, String> {
        let file = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        tokenizers::Tokenizer::from_file(&file)
            .map(Self)
            .map_err(|e| format!("cannot read the tokenizer {}: {e}", file.display()))
    }

    /// Returns the number of tokens of `text`, without special tokens at its start or end, or
    /// `None` if it cannot be encoded.
    pub fn count(&self, text: &str) -> Option<u64> {
        let encoded = self.0.encode_fast(text, false).ok()?;
        Some(encoded.len() as u64)
    }
}
