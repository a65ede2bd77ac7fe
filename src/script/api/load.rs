//! `core/load`: workloads.

use crate::core::Event;
use crate::core::workload::{
    Agent, Arrivals, Chat, ConfigError, CountedBy, Custom, Dummy, Generator, Growth, Lexicon,
    LongDocQa, MultiTurn, PrefixReuse, Rag, Random, Request, RequestOptions, TextOptions, Trace,
    WorkloadConfig, estimate_tokens,
};
use crate::driver::files;
use crate::driver::tokenizer::Tokenizer;
use crate::script::diagnostic::ScriptError;
use crate::script::host::Host;
use crate::script::option_error::in_words;
use crate::script::option_key::OptionKey;
use crate::script::options::{self, OptionReader};
use crate::script::schema::Schema;
use crate::script::suggest::{did_you_mean, neighbour, remedy};
use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, Map, Module, NativeCallContext};
use std::io::BufReader;
use std::rc::Rc;
use std::sync::Arc;

/// The module `core/load`.
pub(crate) fn module() -> Module {
    exported_module!(natives)
}

/// The methods of workloads.
pub(crate) fn types() -> Module {
    exported_module!(methods)
}

/// A workload in a script.
pub(crate) type Workload = Rc<WorkloadConfig>;

/// A generator that is made from options alone.
struct GeneratorOptions {
    name: &'static str,
    schema: Schema,
    read: fn(&mut OptionReader) -> Result<Generator, ScriptError>,
}

/// The generators that are made from options alone.
const GENERATORS: [GeneratorOptions; 9] = [
    GeneratorOptions {
        name: "dummy",
        schema: Schema::new::<Dummy>(),
        read: |options| Ok(Generator::Dummy(options.read()?)),
    },
    GeneratorOptions {
        name: "vary",
        schema: Schema::new::<Dummy>(),
        read: |options| {
            Ok(Generator::Vary(Dummy {
                growth: Growth::Steps,
                ..options.read()?
            }))
        },
    },
    GeneratorOptions {
        name: "multi_turn",
        schema: Schema::new::<MultiTurn>(),
        read: |options| Ok(Generator::MultiTurn(options.read()?)),
    },
    GeneratorOptions {
        name: "prefix_reuse",
        schema: Schema::new::<PrefixReuse>(),
        read: |options| Ok(Generator::PrefixReuse(options.read()?)),
    },
    GeneratorOptions {
        name: "rag",
        schema: Schema::new::<Rag>(),
        read: |options| Ok(Generator::Rag(options.read()?)),
    },
    GeneratorOptions {
        name: "chat",
        schema: Schema::new::<Chat>(),
        read: |options| Ok(Generator::Chat(options.read()?)),
    },
    GeneratorOptions {
        name: "agent",
        schema: Schema::new::<Agent>(),
        read: |options| Ok(Generator::Agent(options.read()?)),
    },
    GeneratorOptions {
        name: "long_doc_qa",
        schema: Schema::new::<LongDocQa>(),
        read: |options| Ok(Generator::LongDocQa(options.read()?)),
    },
    GeneratorOptions {
        name: "random",
        schema: Schema::new::<Random>(),
        read: |options| Ok(Generator::Random(options.read()?)),
    },
];

fn generator(name: &str) -> Option<&'static GeneratorOptions> {
    GENERATORS.iter().find(|generator| generator.name == name)
}

/// The options of the generator `name`: its own, and those that all generators share.
pub(crate) fn options(name: &str) -> Option<Vec<OptionKey>> {
    let mut options = match name {
        "custom" => Vec::new(),
        "trace" => Schema::new::<Trace>().options(),
        _ => generator(name)?.schema.options(),
    };
    let defaults = default_arrivals(name);
    for mut option in shared_options()
        .into_iter()
        .flat_map(|(_, options)| options)
    {
        if let Some(own) = options.iter_mut().find(|own| own.name == option.name) {
            own.types.extend(option.types);
            continue;
        }
        option.is_shared = true;
        if let Some((_, default)) = defaults.iter().find(|(name, _)| *name == option.name) {
            option.is_shared = false;
            option.default = Some(default.clone());
        }
        options.push(option);
    }
    Some(options)
}

/// The defaults of `requests` and `gap_s`, which differ by generator.
fn default_arrivals(name: &str) -> Vec<(&'static str, String)> {
    let Some(generator) = generator(name) else {
        return Vec::new();
    };
    let mut no_options = OptionReader::new(name, Map::new());
    let made = (generator.read)(&mut no_options).expect("all options of a generator have defaults");
    let mut defaults = Vec::new();
    if let Some(requests) = made.default_requests() {
        defaults.push(("requests", requests.to_string()));
    }
    if let Some(gap_s) = made.default_gap_s() {
        defaults.push(("gap_s", format!("{gap_s:?}")));
    }
    defaults
}

/// The options that all generators share, in groups.
pub(crate) fn shared_options() -> Vec<(&'static str, Vec<OptionKey>)> {
    vec![
        (
            "When requests are sent",
            Schema::new::<Arrivals>().options(),
        ),
        (
            "How requests are answered",
            Schema::new::<RequestOptions>().options(),
        ),
        ("Texts", Schema::new::<TextOptions>().options()),
    ]
}

const TRACES: &str = "`lmrun api load::trace` says which formats it reads";

/// The options of texts, and the tokenizer if its path is given.
struct Texts {
    options: TextOptions,
    tokenizer: Option<Tokenizer>,
}

impl Texts {
    fn read(host: &Host, options: &mut OptionReader<'_>) -> Result<Self, ScriptError> {
        let function = options.function;
        let options: TextOptions = options.read()?;
        let path = match options.tokenizer.as_deref() {
            None | Some(TextOptions::RULE | TextOptions::ENGINE) => {
                return Ok(Self {
                    options,
                    tokenizer: None,
                });
            }
            Some(path) => path,
        };
        let tokenizer = Tokenizer::load(&host.path(path));
        let tokenizer = tokenizer.map_err(|problem| tokenizer_fault(function, path, &problem))?;
        Ok(Self {
            tokenizer: Some(tokenizer),
            options,
        })
    }

    /// The number of tokens by the tokenizer, otherwise by the estimation rule.
    fn count(&self, text: &str) -> u64 {
        let counted = self
            .tokenizer
            .as_ref()
            .and_then(|tokenizer| tokenizer.count(text));
        counted.unwrap_or_else(|| estimate_tokens(text))
    }

    /// The words for generated texts. It is empty if an engine counts tokens.
    fn lexicon(&self, host: &Host, function: &str) -> Result<Arc<Lexicon>, ScriptError> {
        let Some(tokenizer) = &self.tokenizer else {
            return Ok(Arc::default());
        };
        let count = async |text: &str| tokenizer.count(text);
        let fitted = host.wait(Lexicon::fit(CountedBy::Tokenizer, count));
        let path = self.options.tokenizer.as_deref().unwrap_or_default();
        let unfit = format!("{path} counts too few common words as one token each");
        fitted
            .map(Arc::new)
            .ok_or_else(|| tokenizer_fault(function, path, &unfit))
    }
}

/// Reads the shared options and returns the workload.
fn workload(
    context: &NativeCallContext<'_>,
    generator: Generator,
    texts: &Texts,
    options: OptionReader<'_>,
) -> Result<Workload, Box<EvalAltResult>> {
    let (host, function) = (Host::of(context), options.function);
    let seed = host
        .parameter("seed", 0.into())?
        .as_int()
        .unwrap_or_default() as u64;
    let text = TextOptions {
        seed: texts.options.seed.or(Some(seed)),
        ..texts.options.clone()
    };
    let config = config(generator, text, options)?;
    Ok(Rc::new(WorkloadConfig {
        lexicon: texts.lexicon(&host, function)?,
        ..config
    }))
}

fn config(
    generator: Generator,
    text: TextOptions,
    mut options: OptionReader<'_>,
) -> Result<WorkloadConfig, ScriptError> {
    let arrivals = options.read::<Arrivals>()?;
    let request = options.read::<RequestOptions>()?;
    let function = options.function;
    let given = options.given.clone();
    options.finish()?;
    WorkloadConfig::new(generator, arrivals, text, request)
        .map_err(|e| config_fault(function, &e, &given))
}

/// Returns the error of the generator `name` with these options; `None` if it accepts them.
/// `function` is the name in the error.
pub(crate) fn generator_error(name: &str, function: &str, mut given: Map) -> Option<ScriptError> {
    // The environment of the run may differ.
    given.remove("api_key_env");
    let read = generator(name)?.read;
    let mut options = OptionReader::new(function, given);
    let generator = match read(&mut options) {
        Ok(generator) => generator,
        Err(error) => return Some(error),
    };
    match options.read::<TextOptions>() {
        Ok(text) => config(generator, text, options).err(),
        Err(error) => Some(error),
    }
}

fn trace(
    context: &NativeCallContext<'_>,
    path: &str,
    given: Map,
) -> Result<Workload, Box<EvalAltResult>> {
    const FUNCTION: &str = "load::trace";
    let host = Host::of(context);
    let file = host.path(path);
    let unreadable = |e| {
        let fault = ScriptError::new(format!("cannot read the trace {}: {e}", file.display()))
            .at_word(path);
        match neighbour(&file) {
            Some(near) => fault.help(format!("did you mean {}?", near.display())),
            None => fault.help("paths are relative to the script"),
        }
    };
    let reader = BufReader::new(files::open(&file).map_err(unreadable)?);
    let mut options = OptionReader::new(FUNCTION, given);
    let mut texts = Texts::read(&host, &mut options)?;
    let trace = options.read::<Trace>()?;
    let trace = trace.read(path.into(), reader, &|text| texts.count(text));
    let trace = trace.map_err(|e| match e.option {
        "file" => ScriptError::new(format!("the trace {}", e.problem))
            .at_word(path)
            .help(TRACES),
        _ => config_fault(FUNCTION, &e, &options.given),
    })?;
    if let Some(text) = trace.noted() {
        host.runner().emit(Event::Warned { text });
    }
    // Recorded texts are counted while they are read, before an engine is running.
    let usual = if trace.has_texts() {
        TextOptions::RULE
    } else {
        TextOptions::ENGINE
    };
    texts.options.tokenizer.get_or_insert_with(|| usual.into());
    workload(context, Generator::Trace(trace), &texts, options)
}

fn tokenizer_fault(function: &str, path: &str, problem: &str) -> ScriptError {
    ScriptError::new(format!("option `tokenizer` of `{function}`: {problem}"))
        .at_word(path)
        .help("give the path of a `tokenizer.json`, \"engine\" or \"rule\"")
}

/// The error of a config, with the value of the option, which the script may not show.
fn config_fault(function: &str, error: &ConfigError, given: &Map) -> ScriptError {
    let found = given
        .get(error.option)
        .filter(|_| error.problem.starts_with("must be"));
    let found = found.map_or_else(String::new, |value| format!(", found {}", in_words(value)));
    ScriptError::new(format!("options of `{function}`: {error}{found}"))
        .at_word(error.option)
        .help(remedy(function, &error.problem))
}

fn as_map(request: &Request, lexicon: &Lexicon) -> Map {
    let whole = |number: u64| Dynamic::from(number as i64);
    let messages: Array = request
        .messages
        .iter()
        .map(|message| {
            let content = message.text(lexicon);
            Map::from([
                ("role".into(), (&*message.role).into()),
                ("content".into(), content.into()),
            ])
            .into()
        })
        .collect();
    Map::from([
        (
            "timestamp".into(),
            request.timestamp.map_or(Dynamic::UNIT, Dynamic::from),
        ),
        (
            "after".into(),
            request
                .after
                .map_or(Dynamic::UNIT, |after| whole(after.request as u64)),
        ),
        ("session".into(), whole(request.session)),
        ("turn".into(), whole(request.turn)),
        ("context_len".into(), whole(request.context_len)),
        ("query_len".into(), whole(request.query_len)),
        (
            "output_len".into(),
            request.output_len.map_or(Dynamic::UNIT, whole),
        ),
        ("prompt".into(), request.text(lexicon).into()),
        ("messages".into(), messages.into()),
    ])
}

/// Workloads.
#[export_module]
mod natives {
    /// A workload of the generator `name`. `load::…` describes the options.
    #[rhai_fn(return_raw)]
    pub fn workload(
        context: NativeCallContext,
        name: &str,
        given: Map,
    ) -> Result<Workload, Box<EvalAltResult>> {
        let function = format!("load::{name}");
        let mut options = OptionReader::new(&function, given);
        let generator = generator(name).ok_or_else(|| {
            let known = GENERATORS.map(|generator| generator.name);
            ScriptError::new(format!("unknown generator `{name}`")).help(did_you_mean(
                name,
                "generators",
                &known,
            ))
        })?;
        let generator = (generator.read)(&mut options)?;
        let texts = Texts::read(&Host::of(&context), &mut options)?;
        super::workload(&context, generator, &texts, options)
    }

    /// A workload of the given `requests`. `load::custom` describes their keys and the options.
    #[rhai_fn(return_raw)]
    pub fn custom(
        context: NativeCallContext,
        requests: Array,
        given: Map,
    ) -> Result<Workload, Box<EvalAltResult>> {
        let function = "load::custom";
        let request = |request: Dynamic| {
            let map = request.try_cast::<Map>();
            let map = map.ok_or_else(|| {
                ScriptError::new("a request of `load::custom` is a map")
                    .help("for example `#{ prompt: \"Hello\" }`")
            })?;
            options::read(function, &map)
        };
        let given_requests = requests
            .into_iter()
            .map(request)
            .collect::<Result<Vec<_>, ScriptError>>()?;
        let generator = Generator::Custom(Custom {
            given: given_requests,
        });
        let mut options = OptionReader::new(function, given);
        let texts = Texts::read(&Host::of(&context), &mut options)?;
        super::workload(&context, generator, &texts, options)
    }

    /// The recorded workload in the file `path`. `load::trace` describes the options.
    #[rhai_fn(return_raw)]
    pub fn trace(
        context: NativeCallContext,
        path: &str,
        given: Map,
    ) -> Result<Workload, Box<EvalAltResult>> {
        super::trace(&context, path, given)
    }

    /// The number of tokens of `text` by the estimation rule.
    pub fn estimate_tokens(text: &str) -> i64 {
        super::estimate_tokens(text) as i64
    }
}

/// Methods of workloads.
#[export_module]
mod methods {
    /// A workload.
    pub type Workload = super::Workload;

    /// The requests: an array of maps with `timestamp`, `after`, `session`, `turn`, `context_len`,
    /// `query_len`, `output_len`, `prompt`, `messages`.
    ///
    /// ```rhai
    /// let requests = load::dummy(#{ requests: 3, gap_s: 2 }).generate();
    /// print(requests[2].timestamp); // 4.0
    /// ```
    #[rhai_fn(pure)]
    pub fn generate(workload: &mut Workload) -> Array {
        let lexicon = &workload.lexicon;
        workload
            .generate(lexicon)
            .iter()
            .map(|request| as_map(request, lexicon).into())
            .collect()
    }

    /// The number of requests.
    ///
    /// ```rhai
    /// print(load::long_doc_qa(#{ documents: 4, repeats: 3 }).count); // 16
    /// ```
    #[rhai_fn(get = "count", pure)]
    pub fn count(workload: &mut Workload) -> i64 {
        WorkloadConfig::count(workload) as i64
    }

    /// The options in one line, as in the title of results.
    ///
    /// ```rhai
    /// print(load::dummy(#{ requests: 2 }).title);
    /// ```
    #[rhai_fn(get = "title", pure)]
    pub fn title(workload: &mut Workload) -> String {
        WorkloadConfig::title(workload)
    }

    /// The generator and the options as text.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn text(workload: &mut Workload) -> String {
        format!("{}: {}", workload.generator.name(), workload.title())
    }
}
