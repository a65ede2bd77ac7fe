//! Limits of the strings, blobs and arrays that scripts make.
//!
//! Rhai's own limits are not used: with one of them, Rhai measures a whole array or map after each
//! call of a method, which makes loops over them quadratic.

use crate::script::diagnostic::ScriptError;
use rhai::plugin::*;
use rhai::{Array, Blob, EvalAltResult, ImmutableString, Module};

/// The maximum size of a string, a blob or an array in bytes.
const MAX_BYTES: usize = 256 << 20;

/// The maximum length of a value.
struct SizeLimit {
    unit: &'static str,
    max: usize,
}

const CHARACTERS: SizeLimit = SizeLimit {
    unit: "characters",
    max: MAX_BYTES,
};
const BYTES: SizeLimit = SizeLimit {
    unit: "bytes",
    max: MAX_BYTES,
};
const ITEMS: SizeLimit = SizeLimit {
    unit: "items",
    max: MAX_BYTES / size_of::<Dynamic>(),
};

/// Returns the functions that replace Rhai's, which abort the process if memory runs out.
pub(crate) fn module() -> Module {
    exported_module!(natives)
}

impl SizeLimit {
    /// Returns `length`, or 0 if it is negative.
    ///
    /// # Errors
    /// If `length` is above the maximum.
    fn check(&self, function: &str, length: i64) -> Result<usize, ScriptError> {
        let length = usize::try_from(length).unwrap_or_default();
        if length <= self.max {
            return Ok(length);
        }
        let Self { unit, max } = self;
        let message = format!("`{function}`: expected at most {max} {unit}, found {length}");
        Err(ScriptError::new(message).help("use a smaller length"))
    }

    /// Checks the length of two values that are joined.
    fn check_joined(&self, kind: &str, lengths: [usize; 2]) -> Result<(), ScriptError> {
        let length = lengths[0] + lengths[1];
        if length <= self.max {
            return Ok(());
        }
        let Self { unit, max } = self;
        let message = format!("joined {kind}: expected at most {max} {unit}, found {length}");
        Err(ScriptError::new(message)
            .help("check the loop that joins them, or keep the parts in an array"))
    }
}

/// Sizes.
#[export_module]
mod natives {
    /// Pads a string with a character to a number of characters.
    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_with_char(
        string: &mut ImmutableString,
        length: i64,
        padding: char,
    ) -> Result<(), Box<EvalAltResult>> {
        pad_with_string(string, length, padding.encode_utf8(&mut [0; 4]))
    }

    /// Pads a string with another to a number of characters.
    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_with_string(
        string: &mut ImmutableString,
        length: i64,
        padding: &str,
    ) -> Result<(), Box<EvalAltResult>> {
        let length = CHARACTERS.check("pad", length)?;
        let missing = length.saturating_sub(string.chars().count());
        if missing == 0 {
            return Ok(());
        }
        let width = padding.chars().count();
        if width == 0 {
            return Err(ScriptError::new("`pad`: the padding is empty")
                .help("pad with at least one character")
                .into());
        }
        let mut added = padding.repeat(missing / width);
        added.extend(padding.chars().take(missing % width));
        *string += added;
        Ok(())
    }

    /// Pads an array with an item to a number of items.
    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_array(
        array: &mut Array,
        length: i64,
        item: Dynamic,
    ) -> Result<(), Box<EvalAltResult>> {
        let length = ITEMS.check("pad", length)?;
        array.resize(length.max(array.len()), item);
        Ok(())
    }

    /// Pads a blob with the lowest 8 bits of a number to a number of bytes.
    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_blob(blob: &mut Blob, length: i64, value: i64) -> Result<(), Box<EvalAltResult>> {
        let length = BYTES.check("pad", length)?;
        blob.resize(length.max(blob.len()), value as u8);
        Ok(())
    }

    /// Makes a blob of zeros.
    #[rhai_fn(name = "blob", return_raw)]
    pub fn blob_of_zeros(length: i64) -> Result<Blob, Box<EvalAltResult>> {
        blob_of(length, 0)
    }

    /// Makes a blob of the lowest 8 bits of a number.
    #[rhai_fn(name = "blob", return_raw)]
    pub fn blob_of(length: i64, value: i64) -> Result<Blob, Box<EvalAltResult>> {
        Ok(vec![value as u8; BYTES.check("blob", length)?])
    }

    /// Joins two strings.
    #[rhai_fn(name = "+", return_raw)]
    pub fn join(a: &str, b: &str) -> Result<ImmutableString, Box<EvalAltResult>> {
        BYTES.check_joined("string", [a.len(), b.len()])?;
        Ok([a, b].concat().into())
    }

    /// Adds a string to a variable.
    #[rhai_fn(name = "+=", name = "append", return_raw)]
    pub fn add(a: &mut ImmutableString, b: ImmutableString) -> Result<(), Box<EvalAltResult>> {
        BYTES.check_joined("string", [a.len(), b.len()])?;
        *a += b;
        Ok(())
    }

    /// Joins two arrays.
    #[rhai_fn(name = "+", return_raw)]
    pub fn join_arrays(mut a: Array, b: Array) -> Result<Array, Box<EvalAltResult>> {
        add_array(&mut a, b)?;
        Ok(a)
    }

    /// Adds the items of an array to a variable.
    #[rhai_fn(name = "+=", name = "append", return_raw)]
    pub fn add_array(a: &mut Array, b: Array) -> Result<(), Box<EvalAltResult>> {
        ITEMS.check_joined("array", [a.len(), b.len()])?;
        a.extend(b);
        Ok(())
    }

    /// Joins two blobs.
    #[rhai_fn(name = "+", return_raw)]
    pub fn join_blobs(mut a: Blob, b: Blob) -> Result<Blob, Box<EvalAltResult>> {
        add_blob(&mut a, b)?;
        Ok(a)
    }

    /// Adds the bytes of a blob to a variable.
    #[rhai_fn(name = "+=", name = "append", return_raw)]
    pub fn add_blob(a: &mut Blob, b: Blob) -> Result<(), Box<EvalAltResult>> {
        BYTES.check_joined("blob", [a.len(), b.len()])?;
        a.extend(b);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::diagnostic::Diagnostic;
    use crate::script::language::compiler;

    fn evaluated(expression: &str) -> Result<String, String> {
        let value = compiler().eval::<rhai::Dynamic>(expression);
        value
            .map(|value| value.to_string())
            .map_err(|error| Diagnostic::from_error(&error, "test").message)
    }

    #[test]
    fn allocations_over_the_limit_are_errors() {
        for (expression, message) in [
            (
                "let s = ``; s.pad(1000000000, 'x')",
                "`pad`: expected at most 268435456 characters, found 1000000000",
            ),
            (
                "let s = ``; s.pad(5000000000, `xy`)",
                "`pad`: expected at most 268435456 characters, found 5000000000",
            ),
            (
                "let a = []; a.pad(100000000, 0)",
                "`pad`: expected at most 16777216 items, found 100000000",
            ),
            (
                "let b = blob(); b.pad(100000000000, 0)",
                "`pad`: expected at most 268435456 bytes, found 100000000000",
            ),
            (
                "blob(100000000000)",
                "`blob`: expected at most 268435456 bytes, found 100000000000",
            ),
            (
                "blob(100000000000, 7)",
                "`blob`: expected at most 268435456 bytes, found 100000000000",
            ),
            ("let s = ``; s.pad(5, ``)", "`pad`: the padding is empty"),
        ] {
            assert_eq!(evaluated(expression), Err(message.into()), "{expression}");
        }
    }

    #[test]
    fn doubling_ends_at_the_limit() {
        for (start, message) in [
            (
                "`x`",
                "joined string: expected at most 268435456 bytes, found 536870912",
            ),
            (
                "[0]",
                "joined array: expected at most 16777216 items, found 33554432",
            ),
            (
                "blob(1)",
                "joined blob: expected at most 268435456 bytes, found 536870912",
            ),
        ] {
            for doubling in ["s += s", "s = s + s", "s.append(s)"] {
                let script = format!("let s = {start}; loop {{ {doubling}; }}");
                assert_eq!(evaluated(&script), Err(message.into()), "{script}");
            }
        }
    }

    #[test]
    fn allocations_below_the_limit_work() {
        for (expression, value) in [
            ("let s = `é`; s.pad(4, 'x'); s", "éxxx"),
            ("let s = `é`; s.pad(6, `12`); s", "é12121"),
            ("let s = `long`; s.pad(2, ' '); s.pad(-1, ' '); s", "long"),
            (
                "let a = [1]; a.pad(3, `x`); a.pad(2, 0); a.pad(-1, 0); a",
                r#"[1, "x", "x"]"#,
            ),
            (
                "let b = blob(2, 0x142); b.pad(3, 1); b.pad(-1, 1); b.to_array()",
                "[66, 66, 1]",
            ),
            ("blob(-1).len() + blob(3).len()", "3"),
            (
                "let s = `a` + `b`; s += `c`; s += s; s.append(`d`); s",
                "abcabcd",
            ),
            (
                "let a = [1] + [2]; a += [3]; a += 4; a.append([5]); a += a; a.len()",
                "10",
            ),
            (
                "let b = blob(1, 2) + blob(1, 3); b += b; b.append(b); b += 4; b.to_array().len()",
                "9",
            ),
            ("let s = `a` + 1; s += 2; s += 'c'; s + ()", "a12c"),
            (
                "let s = ``; s.pad(100000000, 'x'); s += s; s.len()",
                "200000000",
            ),
        ] {
            assert_eq!(evaluated(expression).as_deref(), Ok(value), "{expression}");
        }
    }
}
