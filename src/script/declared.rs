//! The parameters that a script asks for, found without running it: `param("name", default)` in the script
//! and in its imports, including calls through functions that pass the name on.

use super::api;
use super::source::{Import, Source, Sources};
use rhai::{ASTNode, Expr, FnCallExpr, FnPtr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Parameters by name, each with its default as the script writes it.
pub type Defaults = BTreeMap<String, String>;

/// The parameters of a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// All that the script and its imports ask for.
    pub all: BTreeSet<String>,
    /// True if `all` may lack some, because a name is computed.
    pub is_open: bool,
    /// Those that each test may ask for.
    pub by_test: BTreeMap<String, Defaults>,
}

/// The parameters of the script `title`, whose imports are relative to `folder`, and of its `tests`.
pub fn declared<'t>(
    title: &str,
    text: &str,
    folder: &Path,
    tests: impl Iterator<Item = &'t str>,
) -> Declared {
    let mut sources = Sources::empty(folder);
    let loaded = Source::parse(title, text).is_ok_and(|source| sources.add(title, source).is_ok());
    let sites: Vec<Site<'_>> = sources
        .all()
        .flat_map(|(path, source)| sites(path, source))
        .collect();
    let (takers, calls) = takers(title, &sites);
    let escapes = |site: &Site<'_>| takers.iter().any(|taker| site.escaped.contains(taker.name));
    let is_computed = calls.iter().flatten().any(|call| *call == Call::Computed);
    let is_missing = |import: &Import| {
        sources.get(&import.path).is_none() && api::native(&import.path).is_none()
    };
    let lacks_some = sources
        .all()
        .any(|(_, source)| source.imports.values().any(is_missing));
    let is_open = !loaded
        || lacks_some
        || is_computed
        || sites.iter().any(|site| site.is_open || escapes(site));
    let of = |at: &usize| {
        calls[*at].iter().filter_map(|call| match call {
            Call::Asks(name, default) => Some((name.clone(), default.clone())),
            _ => None,
        })
    };
    let of_test = |test: &'t str| {
        (
            test.to_owned(),
            reached(title, test, &sites).iter().flat_map(of).collect(),
        )
    };
    let all = (0..sites.len())
        .flat_map(|at| of(&at).map(|(name, _)| name).collect::<Vec<_>>())
        .collect();
    Declared {
        all,
        is_open,
        by_test: tests.map(of_test).collect(),
    }
}

/// A function, or the part of a script outside of all functions.
struct Site<'a> {
    path: &'a str,
    source: &'a Source,
    /// Empty outside of functions.
    name: &'a str,
    params: Vec<&'a str>,
    calls: Vec<(FnCallExpr, Position)>,
    /// Names that the site mentions, each of which may be a function's.
    mentioned: BTreeSet<String>,
    /// Names of functions that are called in a way in which their arguments are not seen.
    escaped: BTreeSet<String>,
    /// Variables that the site sets.
    set: BTreeSet<String>,
    /// True if it runs code or imports a module that cannot be known.
    is_open: bool,
}

/// The sites of a script. Closures belong to the functions that contain them.
fn sites<'a>(path: &'a str, source: &'a Source) -> Vec<Site<'a>> {
    let (closures, named): (Vec<_>, Vec<_>) = source
        .ast
        .iter_fn_def()
        .partition(|f| f.name.starts_with("anon$"));
    let mut functions: Vec<_> = named.iter().map(|f| (span(f), f)).collect();
    functions.sort_by_key(|(span, _)| span.0);
    let place = |position: Position| {
        let before = functions.partition_point(|((start, _), _)| *start <= order(position));
        let is_inside = before > 0 && order(position) <= functions[before - 1].0.1;
        if is_inside { before } else { 0 }
    };
    let site = |name, params| {
        let (calls, mentioned, escaped, set) = Default::default();
        Site {
            path,
            source,
            name,
            params,
            calls,
            mentioned,
            escaped,
            set,
            is_open: false,
        }
    };
    let of_functions = functions.iter().map(|(_, f)| {
        site(
            f.name.as_str(),
            f.params.iter().map(AsRef::as_ref).collect(),
        )
    });
    let mut sites: Vec<Site<'a>> = std::iter::once(site("", Vec::new()))
        .chain(of_functions)
        .collect();
    for closure in closures {
        let site = &mut sites[place(closure.body.start_position())];
        site.set
            .extend(closure.params.iter().map(ToString::to_string));
    }
    source.ast.walk(&mut |nodes| {
        nodes
            .last()
            .into_iter()
            .for_each(|node| sites[place(node.position())].note(node));
        true
    });
    sites
}

/// The positions at which a function begins and ends.
fn span(f: &rhai::ScriptFuncDef) -> ((usize, usize), (usize, usize)) {
    (order(f.body.start_position()), order(f.body.end_position()))
}

fn order(position: Position) -> (usize, usize) {
    (
        position.line().unwrap_or_default(),
        position.position().unwrap_or_default(),
    )
}

impl Site<'_> {
    fn note(&mut self, node: &ASTNode<'_>) {
        match node {
            ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at)) => {
                self.call(call, *at);
            }
            ASTNode::Expr(Expr::MethodCall(call, _)) => {
                self.mentioned.insert(call.name.to_string());
                self.escaped.insert(call.name.to_string());
            }
            ASTNode::Expr(Expr::StringConstant(text, _)) => {
                self.mentioned.insert(text.to_string());
            }
            ASTNode::Expr(Expr::DynamicConstant(value, _)) => {
                if let Some(pointer) = value.read_lock::<FnPtr>() {
                    self.mentioned.insert(pointer.fn_name().into());
                    self.escaped.insert(pointer.fn_name().into());
                }
            }
            ASTNode::Stmt(Stmt::Var(variable, ..)) => {
                self.set.insert(variable.0.name.to_string());
            }
            ASTNode::Stmt(Stmt::For(each, _)) => drop(self.set.insert(each.0.name.to_string())),
            ASTNode::Stmt(Stmt::Assignment(assignment)) => {
                self.set
                    .extend(variable(&assignment.1.lhs).map(str::to_owned));
            }
            ASTNode::Stmt(Stmt::Import(import, _)) => {
                self.is_open |= !matches!(import.0, Expr::StringConstant(..));
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &FnCallExpr, position: Position) {
        match call.name.as_str() {
            "eval" => self.is_open = true,
            "Fn" => match call.args.first() {
                Some(Expr::StringConstant(name, _)) => drop(self.escaped.insert(name.to_string())),
                _ => self.is_open = true,
            },
            name => drop(self.mentioned.insert(name.into())),
        }
        self.calls.push((call.clone(), position));
    }

    /// The module before `::` in a call.
    fn module(&self, call: &FnCallExpr) -> Option<&str> {
        let alias = (!call.namespace.is_empty()).then(|| call.namespace.root())?;
        Some(
            self.source
                .imports
                .get(alias)
                .map_or("", |import| import.path.as_str()),
        )
    }

    /// The place among the parameters of `expr`, if it is one whose value the site does not change.
    fn param(&self, expr: &Expr) -> Option<usize> {
        let name = variable(expr).filter(|name| !self.set.contains(*name))?;
        self.params.iter().position(|param| *param == name)
    }
}

fn variable(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(variable, ..) if variable.2.is_empty() => Some(&variable.1),
        _ => None,
    }
}

/// A function that takes the name of a parameter and asks for it.
#[derive(Clone)]
struct Taker<'a> {
    /// The module; `core/run` for `param` itself, which needs none.
    path: &'a str,
    name: &'a str,
    arity: usize,
    /// The index of the argument that is the name.
    name_at: usize,
    default: DefaultFrom,
}

/// The source of a parameter's default.
#[derive(Clone, PartialEq, Eq)]
enum DefaultFrom {
    Argument(usize),
    Text(String),
}

/// A call of a taker.
#[derive(PartialEq, Eq)]
enum Call {
    /// For the parameter of this name, with this default.
    Asks(String, String),
    /// For a name that the caller's caller gives.
    HandsOn,
    /// For a name that is made when the script runs.
    Computed,
}

const NATIVE: &str = "core/run";

/// All takers, and the calls of them in each site.
fn takers<'a>(main: &str, sites: &[Site<'a>]) -> (Vec<Taker<'a>>, Vec<Vec<Call>>) {
    let default = DefaultFrom::Argument(1);
    let mut takers = vec![Taker {
        path: NATIVE,
        name: "param",
        arity: 2,
        name_at: 0,
        default,
    }];
    loop {
        let mut more = Vec::new();
        let of_site = |site: &Site<'a>| {
            let taken = site.calls.iter().filter_map(|(call, position)| {
                Some(asked(
                    site,
                    call,
                    *position,
                    called(main, site, call, &takers)?,
                    &mut more,
                ))
            });
            taken.collect::<Vec<Call>>()
        };
        let calls = sites.iter().map(of_site).collect();
        more.retain(|new: &Taker<'a>| {
            !takers
                .iter()
                .any(|known| known.is(new.path, new.name, new.arity))
        });
        if more.is_empty() {
            return (takers, calls);
        }
        takers.extend(more);
    }
}

impl Taker<'_> {
    fn is(&self, path: &str, name: &str, arity: usize) -> bool {
        (self.path, self.name, self.arity) == (path, name, arity)
    }
}

fn called<'t, 'a>(
    main: &str,
    site: &Site<'a>,
    call: &FnCallExpr,
    takers: &'t [Taker<'a>],
) -> Option<&'t Taker<'a>> {
    let paths = match site.module(call) {
        Some(path) => vec![path],
        None => vec![site.path, main, NATIVE],
    };
    let find = |path: &&str| {
        takers
            .iter()
            .find(|taker| taker.is(path, &call.name, call.args.len()))
    };
    paths.iter().find_map(find)
}

fn asked<'a>(
    site: &Site<'a>,
    call: &FnCallExpr,
    position: Position,
    taker: &Taker<'a>,
    more: &mut Vec<Taker<'a>>,
) -> Call {
    let text_of = |at: usize| {
        arguments(&site.source.text, position)
            .nth(at)
            .unwrap_or_default()
    };
    let name = &call.args[taker.name_at];
    if let Expr::StringConstant(name, _) = name {
        let default = match &taker.default {
            DefaultFrom::Argument(at) => text_of(*at),
            DefaultFrom::Text(text) => text.clone(),
        };
        return Call::Asks(name.to_string(), default);
    }
    let Some(name_at) = site.param(name) else {
        return Call::Computed;
    };
    let default = match &taker.default {
        DefaultFrom::Argument(at) => match site.param(&call.args[*at]) {
            Some(at) => DefaultFrom::Argument(at),
            None => DefaultFrom::Text(text_of(*at)),
        },
        DefaultFrom::Text(text) => DefaultFrom::Text(text.clone()),
    };
    more.push(Taker {
        path: site.path,
        name: site.name,
        arity: site.params.len(),
        name_at,
        default,
    });
    Call::HandsOn
}

/// The texts of the arguments of the call at `position`.
fn arguments(text: &str, position: Position) -> impl Iterator<Item = String> {
    let (line, column) = order(position);
    let lines = text.split_inclusive('\n').skip(line.saturating_sub(1));
    let from_call = lines.flat_map(str::chars).skip(column.saturating_sub(1));
    let (mut depth, mut quote, mut is_escaped) = (0, None, false);
    let mut arguments = vec![String::new()];
    for c in from_call {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), c) => quote = Some(open).filter(|open| *open != c),
            (None, '"' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        match (depth, c) {
            (0, ')') => break,
            (1, '(') if arguments == [""] => arguments[0].clear(),
            (1, ',') if quote.is_none() => arguments.push(String::new()),
            (0, _) => {}
            _ => arguments
                .last_mut()
                .into_iter()
                .for_each(|last| last.push(c)),
        }
    }
    arguments
        .into_iter()
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The places of the sites that `test` may reach, by the names that they mention. Code outside of functions
/// runs before every test.
fn reached(main: &str, test: &str, sites: &[Site<'_>]) -> BTreeSet<usize> {
    let mut by_name: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (at, site) in sites.iter().enumerate() {
        by_name.entry((site.path, site.name)).or_default().push(at);
    }
    let named = |path: &str, name: &str| by_name.get(&(path, name)).cloned().unwrap_or_default();
    let mut left = named(main, test);
    left.extend((0..sites.len()).filter(|at| sites[*at].name.is_empty()));
    let mut reached = BTreeSet::new();
    while let Some(at) = left.pop() {
        if !reached.insert(at) {
            continue;
        }
        let site = &sites[at];
        let mentioned = site.mentioned.iter().chain(&site.escaped);
        left.extend(
            mentioned.flat_map(|name| [named(site.path, name), named(main, name)].concat()),
        );
        let qualified = site
            .calls
            .iter()
            .filter_map(|(call, _)| Some((site.module(call)?, call.name.as_str())));
        left.extend(qualified.flat_map(|(path, name)| named(path, name)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Declared {
        let folder = tempfile::tempdir().expect("a folder");
        let module = "fn asked(name, usual) { param(name, usual) }
            fn both(a, b) { asked(\"first\", a) + asked(\"second\", b) }";
        std::fs::write(folder.path().join("mine.rhai"), module).expect("a module");
        declared(
            "main.rhai",
            text,
            folder.path(),
            ["test_a", "test_b"].into_iter(),
        )
    }

    fn defaults(declared: &Declared, test: &str) -> Vec<String> {
        declared.by_test[test]
            .iter()
            .map(|(name, default)| format!("{name}={default}"))
            .collect()
    }

    #[test]
    fn each_test_has_the_parameters_that_it_reaches() {
        let found = of("const AT_TOP = param(\"top\", \"a, b\");
            fn test_a() { helper(2); [1].map(|x| param(\"inside\", x)); }
            fn test_b() { param(\"own\", #{ a: [1, 2] }) }
            private fn helper(usual) { param(\"gap_s\", 8 +
                usual) }
            private fn unreached() { param(\"nowhere\", ()) }");
        assert_eq!(
            defaults(&found, "test_a"),
            ["gap_s=8 + usual", "inside=x", "top=\"a, b\""]
        );
        assert_eq!(
            defaults(&found, "test_b"),
            ["own=#{ a: [1, 2] }", "top=\"a, b\""]
        );
        assert!(found.all.contains("nowhere") && !found.is_open);
    }

    #[test]
    fn names_are_followed_through_functions_and_modules() {
        let found = of("import \"mine\" as mine;
            fn test_a() { number(\"n\", 1) + mine::asked(\"m\", 2) }
            fn test_b() { mine::both(3, 4) }
            private fn number(name, usual) { whole(usual, name) }
            private fn whole(usual, name) { param(name, usual) }");
        assert_eq!(defaults(&found, "test_a"), ["m=2", "n=1"]);
        assert_eq!(defaults(&found, "test_b"), ["first=a", "second=b"]);
        assert!(!found.is_open);
    }

    #[test]
    fn the_librarys_parameters_are_known_by_its_import() {
        let found = of(
            "import \"std/openai\" as openai; fn test_a() { openai::engine(#{}) } fn test_b() {}",
        );
        assert!(found.by_test["test_a"].contains_key("url") && found.by_test["test_b"].is_empty());
        assert!(!found.is_open);
    }

    #[test]
    fn a_name_that_is_made_by_the_script_leaves_the_set_open() {
        let computed = [
            "param(`x${1}`, 1)",
            "let name = \"x\"; param(name, 1)",
            "\"x\".param(1)",
            "Fn(\"param\").call(\"x\", 1)",
            "changed(\"x\")",
            "[\"x\"].map(|name| param(name, 1))",
            "[\"x\"].map(changed)",
            "eval(\"param(1, 2)\")",
            "import \"a\" + \"b\" as m;",
        ];
        for code in computed {
            let text = format!(
                "fn test_a() {{ {code} }}\nprivate fn changed(name) {{ name = name + 1; param(name, 1) }}"
            );
            let text = if code.contains("changed") {
                text
            } else {
                format!("fn test_a() {{ {code} }}")
            };
            assert!(of(&text).is_open, "{code}");
        }
        assert!(
            of("fn test_a() { [\"x\"].map(asked) } private fn asked(name) { param(name, 1) }")
                .is_open
        );
        assert!(of("import \"missing\" as m; fn test_a() {}").is_open);
    }
}
