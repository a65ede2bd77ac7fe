//! The `lmrun` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    lmrun::cli::main()
}
