//! The form of code: names, sizes, and constructs that are not used.

use super::source::{RustFile, TextFile, rust_files, text_files};
use super::{assert_at_most, assert_none};
use std::collections::BTreeMap;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Expr, FnArg, ImplItemFn, Item, ItemFn, Local, Signature, TraitItemFn};

const MAX_TYPE_NAMES_TWICE: usize = 18;
const MAX_LONG_SIGNATURES: usize = 32;
const MAX_LOCAL_CLOSURES_PER_1000_LINES: f64 = 5.0;
const MAX_LONG_LINES: usize = 683;
const MAX_FUNCTIONS_IN_MOD_RS: usize = 34;

/// Returns the syntax of a file without its tests.
fn syntax(file: &RustFile) -> syn::File {
    syn::parse2(file.code.clone()).expect("Rust")
}

#[test]
fn no_unwrap_outside_tests() {
    for file in rust_files("src") {
        let mut calls = Unwraps(Vec::new());
        calls.visit_file(&syntax(&file));
        let breaches: Vec<String> = calls.0.iter().map(|line| file.file.place(*line)).collect();
        assert_none(
            &breaches,
            "state in `expect` why it cannot fail, or return an error",
        );
    }
}

/// The lines that call `unwrap`.
struct Unwraps(Vec<usize>);

impl<'ast> Visit<'ast> for Unwraps {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" {
            self.0.push(call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[test]
fn type_names_are_unique() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust_files("src") {
        for (name, line) in type_names(&syntax(&file).items) {
            places.entry(name).or_default().push(file.file.place(line));
        }
    }
    let breaches: Vec<String> = places
        .into_iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name}:\n  {}", places.join("\n  ")))
        .collect();
    assert_at_most(
        MAX_TYPE_NAMES_TWICE,
        &breaches,
        "give each type a name of its own",
    );
}

/// Returns the names and lines of types, also of those in inline modules.
fn type_names(items: &[Item]) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    for item in items {
        let name = match item {
            Item::Struct(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Mod(item) => {
                let inner = item.content.as_ref().map(|(_, items)| items.as_slice());
                names.extend(type_names(inner.unwrap_or_default()));
                continue;
            }
            _ => continue,
        };
        names.push((name.to_string(), name.span().start().line));
    }
    names
}

#[test]
fn functions_take_at_most_three_parameters() {
    let mut breaches = Vec::new();
    for file in rust_files("src").into_iter().chain(rust_files("tests")) {
        let mut long = LongSignatures(Vec::new());
        long.visit_file(&syn::parse2(file.all.clone()).expect("Rust"));
        breaches.extend(long.0.iter().map(|line| file.file.place(*line)));
    }
    assert_at_most(MAX_LONG_SIGNATURES, &breaches, "pass a struct");
}

/// The lines of functions with more than three parameters besides `self`.
struct LongSignatures(Vec<usize>);

impl LongSignatures {
    fn add(&mut self, signature: &Signature) {
        let parameters = signature
            .inputs
            .iter()
            .filter(|input| matches!(input, FnArg::Typed(_)));
        if parameters.count() > 3 {
            self.0.push(signature.ident.span().start().line);
        }
    }
}

impl<'ast> Visit<'ast> for LongSignatures {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig);
        visit::visit_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.add(&function.sig);
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        // The trait decides what its methods take.
        if block.trait_.is_none() {
            for item in &block.items {
                if let syn::ImplItem::Fn(function) = item {
                    self.add(&function.sig);
                }
            }
        }
        visit::visit_item_impl(self, block);
    }
}

#[test]
fn local_closures_are_few() {
    let mut breaches = Vec::new();
    let mut lines = 0;
    for file in rust_files("src") {
        let mut closures = LocalClosures(Vec::new());
        closures.visit_file(&syn::parse2(file.all.clone()).expect("Rust"));
        breaches.extend(closures.0.iter().map(|line| file.file.place(*line)));
        lines += file.file.text.lines().count();
    }
    let max = (MAX_LOCAL_CLOSURES_PER_1000_LINES * lines as f64 / 1000.0) as usize;
    assert_at_most(
        max,
        &breaches,
        "write a function, or the body where it is used",
    );
}

/// The lines that bind a closure to a name.
struct LocalClosures(Vec<usize>);

impl<'ast> Visit<'ast> for LocalClosures {
    fn visit_local(&mut self, local: &'ast Local) {
        let value = local.init.as_ref().map(|init| &*init.expr);
        if matches!(value, Some(Expr::Closure(_))) {
            self.0.push(local.span().start().line);
        }
        visit::visit_local(self, local);
    }
}

#[test]
fn lines_have_at_most_100_columns() {
    let folders = ["src", "tests", "stdlib", "scripts", "benches", "outputs"];
    let mut breaches = Vec::new();
    for folder in folders {
        for file in text_files(folder, &["rs", "rhai", "sh", "py"]) {
            breaches.extend(long_lines(&file));
        }
    }
    assert_at_most(MAX_LONG_LINES, &breaches, "break the line");
}

fn long_lines(file: &TextFile) -> Vec<String> {
    file.lines()
        .filter(|(_, line)| line.chars().count() > 100)
        .map(|(number, _)| file.place(number))
        .collect()
}

#[test]
fn mod_rs_contains_no_functions() {
    let mut breaches = Vec::new();
    for file in rust_files("src") {
        if file.file.path.ends_with("mod.rs") {
            let mut functions = Functions(Vec::new());
            functions.visit_file(&syntax(&file));
            breaches.extend(functions.0.iter().map(|line| file.file.place(*line)));
        }
    }
    assert_at_most(
        MAX_FUNCTIONS_IN_MOD_RS,
        &breaches,
        "`mod.rs` introduces: move functions to a file with a name",
    );
}

/// The lines of functions.
struct Functions(Vec<usize>);

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.0.push(function.sig.ident.span().start().line);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.0.push(function.sig.ident.span().start().line);
    }
}

/// `autotests` is off: a file that no module names is not compiled.
#[test]
fn every_test_file_is_a_module() {
    for (folder, main) in [
        ("tests", "tests/main.rs"),
        ("tests/needs", "tests/needs/main.rs"),
    ] {
        let main = &text_files(main, &["rs"])[0].text;
        for file in text_files(folder, &["rs"]) {
            let name = file.path.file_stem().expect("a name").to_string_lossy();
            if file.path.parent() == Some(folder.as_ref()) && name != "main" {
                let declaration = format!("mod {name};");
                assert!(
                    main.contains(&declaration),
                    "add `{declaration}` for {}",
                    file.path.display()
                );
            }
        }
    }
}

/// In `tests/needs/` each module lists its tests, and `#[test]` has no effect.
#[test]
fn tests_with_needs_are_listed() {
    let main = &text_files("tests/needs/main.rs", &["rs"])[0].text;
    for file in text_files("tests/needs", &["rs"]) {
        let name = file.path.file_stem().expect("a name").to_string_lossy();
        let list = format!("{name}::tests()");
        assert!(
            name == "main" || main.contains(&list),
            "call `{list}` in `main`"
        );
        let breaches: Vec<String> = file
            .lines()
            .filter(|(_, line)| line.trim() == "#[test]")
            .map(|(number, _)| file.place(number))
            .collect();
        assert_none(&breaches, "list the function in `tests()`");
    }
}

/// A test that prints a reason and returns would be counted as passed.
#[test]
fn tests_are_not_skipped_in_silence() {
    for file in rust_files("tests") {
        let breaches: Vec<String> = super::source::mentions(file.all)
            .iter()
            .filter(|mention| mention.path == ["eprintln", "!"])
            .map(|mention| file.file.place(mention.line))
            .collect();
        assert_none(&breaches, "move the test to `tests/needs/`, with its need");
    }
}
