//! `core/load`: workload configs.

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
use crate::script::options::{self, Parts};
use crate::script::refusal::in_words;
use crate::script::schema::Schema;
use crate::script::suggest::{did_you_mean, neighbour, remedy};
use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, Map, Module, NativeCallContext};
use std::io::BufReader;
use std::rc::Rc;
use std::sync::Arc;

/// The module `core/load`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// What can be done with a workload config.
pub fn types() -> Module {
    exported_module!(methods)
}

/// A workload config in a script.
pub type Workload = Rc<WorkloadConfig>;

/// Reads the options of one generator.
type Read = fn(&mut Parts) -> Result<Generator, ScriptError>;

/// The generators that are made from options alone.
const GENERATORS: [(&str, Read); 9] = [
    ("dummy", |options| Ok(Generator::Dummy(options.take()?))),
    ("vary", |options| {
        Ok(Generator::Vary(Dummy {
            growth: Growth::Steps,
            ..options.take()?
        }))
    }),
    ("multi_turn", |options| {
        Ok(Generator::MultiTurn(options.take::<MultiTurn>()?))
    }),
    ("prefix_reuse", |options| {
        Ok(Generator::PrefixReuse(options.take::<PrefixReuse>()?))
    }),
    ("rag", |options| Ok(Generator::Rag(options.take::<Rag>()?))),
    ("chat", |options| {
        Ok(Generator::Chat(options.take::<Chat>()?))
    }),
    ("agent", |options| {
        Ok(Generator::Agent(options.take::<Agent>()?))
    }),
    ("long_doc_qa", |options| {
        Ok(Generator::LongDocQa(options.take::<LongDocQa>()?))
    }),
    ("random", |options| {
        Ok(Generator::Random(options.take::<Random>()?))
    }),
];

/// What the options of the generator `name` are read into, `custom` and `trace` among them.
pub fn schemas(name: &str) -> Option<Vec<Schema>> {
    let mut options = Parts::of(name, Map::new());
    // Whether nothing is enough to make one is of no interest here.
    match name {
        "custom" => {}
        "trace" => drop(options.take::<Trace>()),
        _ => drop(GENERATORS.iter().find(|(known, _)| *known == name)?.1(
            &mut options,
        )),
    }
    let shared = [
        Schema::of::<Arrivals>(),
        Schema::of::<TextOptions>(),
        Schema::of::<RequestOptions>(),
    ];
    let mut schemas = options.known();
    schemas.extend(shared);
    Some(schemas)
}

const TRACES: &str = "`lmrun api load::trace` says which formats it reads";

/// What texts are made of, and the tokenizer where its file is given.
struct Texts {
    options: TextOptions,
    tokenizer: Option<Tokenizer>,
}

impl Texts {
    fn take(host: &Host, options: &mut Parts<'_>) -> Result<Self, ScriptError> {
        let function = options.function;
        let options: TextOptions = options.take()?;
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

    /// By the tokenizer, or by the rule.
    fn count(&self, text: &str) -> u64 {
        let counted = self
            .tokenizer
            .as_ref()
            .and_then(|tokenizer| tokenizer.count(text));
        counted.unwrap_or_else(|| estimate_tokens(text))
    }

    /// The words of the texts of `function`, as far as they are known without an engine.
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

/// Reads what all generators share, and puts it together.
fn workload(
    context: &NativeCallContext<'_>,
    generator: Generator,
    texts: &Texts,
    options: Parts<'_>,
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
    mut options: Parts<'_>,
) -> Result<WorkloadConfig, ScriptError> {
    let (arrivals, request) = (
        options.take::<Arrivals>()?,
        options.take::<RequestOptions>()?,
    );
    let (function, given) = (options.function, options.given.clone());
    options.done()?;
    WorkloadConfig::new(generator, arrivals, text, request)
        .map_err(|e| config_fault(function, &e, &given))
}

/// Why the generator `name`, which a script calls as `function`, makes no workload of these options, if so.
pub fn refused(name: &str, function: &str, mut given: Map) -> Option<ScriptError> {
    // Whether there is such a variable depends on where the script is run.
    given.remove("api_key_env");
    let (_, read) = GENERATORS.iter().find(|(known, _)| *known == name)?;
    let mut options = Parts::of(function, given);
    let read =
        read(&mut options).and_then(|generator| Ok((generator, options.take::<TextOptions>()?)));
    read.and_then(|(generator, text)| config(generator, text, options))
        .err()
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
    let mut options = Parts::of(FUNCTION, given);
    let mut texts = Texts::take(&host, &mut options)?;
    let trace = options.take::<Trace>()?;
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
    // Recorded texts are counted when they are read, before there is an engine.
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

/// What is wrong with an option; the value that it has may stand in a variable.
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

/// Workload configs.
#[export_module]
mod natives {
    /// A workload by its generator's name. The options are described at `load::…`.
    #[rhai_fn(return_raw)]
    pub fn workload(
        context: NativeCallContext,
        name: &str,
        given: Map,
    ) -> Result<Workload, Box<EvalAltResult>> {
        let function = format!("load::{name}");
        let mut options = Parts::of(&function, given);
        let generator = GENERATORS.iter().find(|(known, _)| *known == name);
        let (_, read) = generator.ok_or_else(|| {
            let known = GENERATORS.map(|(known, _)| known);
            ScriptError::new(format!("there is no generator `{name}`")).help(did_you_mean(
                name,
                "generators",
                &known,
            ))
        })?;
        let generator = read(&mut options)?;
        let texts = Texts::take(&Host::of(&context), &mut options)?;
        super::workload(&context, generator, &texts, options)
    }

    /// A workload of `requests` as they stand there. Their keys and the options are described at
    /// `load::custom`.
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
        let mut options = Parts::of(function, given);
        let texts = Texts::take(&Host::of(&context), &mut options)?;
        super::workload(&context, generator, &texts, options)
    }

    /// The workload that was recorded in the file `path`. The options are described at
    /// `load::trace`.
    #[rhai_fn(return_raw)]
    pub fn trace(
        context: NativeCallContext,
        path: &str,
        given: Map,
    ) -> Result<Workload, Box<EvalAltResult>> {
        super::trace(&context, path, given)
    }

    /// How many tokens `text` has, by the stated rule of estimation.
    pub fn estimate_tokens(text: &str) -> i64 {
        super::estimate_tokens(text) as i64
    }
}

/// Methods of a workload config.
#[export_module]
mod methods {
    /// A workload config.
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

    /// How many requests there are.
    ///
    /// ```rhai
    /// print(load::long_doc_qa(#{ documents: 4, repeats: 3 }).count); // 16
    /// ```
    #[rhai_fn(get = "count", pure)]
    pub fn count(workload: &mut Workload) -> i64 {
        WorkloadConfig::count(workload) as i64
    }

    /// The config in a few words, as results are headed.
    ///
    /// ```rhai
    /// print(load::dummy(#{ requests: 2 }).title);
    /// ```
    #[rhai_fn(get = "title", pure)]
    pub fn title(workload: &mut Workload) -> String {
        WorkloadConfig::title(workload)
    }

    /// The config in words.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn text(workload: &mut Workload) -> String {
        format!("{}: {}", workload.generator.name(), workload.title())
    }
}
