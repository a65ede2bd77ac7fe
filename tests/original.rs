//! The test functions of LMCache's Python tests: each passes on the simulator, and each gives vLLM
//! and LMCache the commands that are pinned here.

use crate::common::{Sandbox, finish, root};
use serde_json::Value;

const NAMES: [&str; 18] = [
    "test_cache_compatibility",
    "test_chunk_prefill",
    "test_vary_length_workload",
    "test_multi_turn",
    "test_lmcache_local_gpu",
    "test_lmcache_local_cpu",
    "test_local_cpu_experimental",
    "test_lmcache_local_disk",
    "test_local_disk_experimental",
    "test_lmcache_local_distributed",
    "test_lmcache_remote_cachegen",
    "test_lmcache_cachegen_distributed",
    "test_lmcache_remote_safetensor",
    "test_lmcache_safetensor_distributed",
    "test_lmcache_remote_disk",
    "test_lmcache_redis_sentinel",
    "offline_test",
    "dumb_test",
];

fn script() -> String {
    root().join("scripts/tests.rhai").display().to_string()
}

#[test]
fn all_python_tests_are_ported() {
    let listed = Sandbox::new().run(&[&script(), "-l", "-f", "."]).stdout;
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for name in NAMES {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
}

/// Short contexts and no more answer than a token or two: the claims are about what is cached, and
/// what is faster on a busy machine is no business of a test.
const QUICK: [&str; 10] = [
    "-P",
    "context_len=1024",
    "-P",
    "gap_s=0.15",
    "-P",
    "requests=3",
    "-P",
    "max_tokens=2",
    "-P",
    "at_least=0",
];

#[test]
fn all_tests_pass_on_the_simulator() {
    let sandbox = Sandbox::new();
    let script = script();
    // A helper could not be started: its programs are not there.
    let mut command =
        sandbox.command(&[&[script.as_str(), "--engine", "sim", "-f", "."][..], &QUICK].concat());
    let run = finish(command.env("PATH", "/nowhere"));
    run.assert_code(0);
    for name in NAMES {
        assert!(
            run.stdout.contains(&format!("passed {name}\n")),
            "{name}: {}",
            run.stdout
        );
        let is_dumb = name == "dumb_test";
        let rows = if is_dumb {
            Vec::new()
        } else {
            sandbox.rows(&format!("out/{name}.csv"))
        };
        assert!(
            rows.iter()
                .all(|row| row["status"] == "ok" && row["simulated"] == "true"),
            "{rows:?}"
        );
        assert_eq!(rows.is_empty(), is_dumb, "{name}");
    }
    assert!(
        !sandbox.path("out/scratch").exists(),
        "a disk cache is left"
    );
    sandbox.assert_nothing_runs();
}

/// A context of full length is so much slower to compute than to fetch that it shows on any machine.
#[test]
fn cached_engine_is_faster_on_the_simulator() {
    let sandbox = Sandbox::new();
    let quick = [
        "-P",
        "context_len=8192",
        "-P",
        "requests=3",
        "-P",
        "gap_s=1",
        "-P",
        "max_tokens=2",
    ];
    let args = [
        script().as_str(),
        "--engine",
        "sim",
        "-f",
        "test_lmcache_local_cpu$",
    ]
    .map(str::to_owned);
    let args: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .chain(quick)
        .chain(["-P", "at_least=1"])
        .collect();
    let run = sandbox.run(&args);
    run.assert_code(0);
}

/// With answers of more than a chunk, the engine that saves them finds each of them; one that does
/// not fails the same claim.
#[test]
fn save_decode_caches_answers() {
    let text = std::fs::read_to_string(script()).expect("the script");
    let configs = root().join("scripts/configs").display().to_string();
    let text = text.replace(r#""configs/"#, &format!(r#""{configs}/"#));
    let forgetting = text.replace("lmcache_save_decode.yaml", "lmcache_local_cpu.yaml");
    let args = [
        "--engine",
        "sim",
        "-f",
        "test_multi_turn",
        "-P",
        "requests=2",
        "-P",
        "gap_s=0",
    ];
    let sizes = [
        "-P",
        "max_tokens=320",
        "-P",
        "ignore_eos=true",
        "-P",
        "hits=0",
    ];
    let code = |script: String| {
        let sandbox = Sandbox::new().file("t.rhai", &script);
        sandbox.run(&[&["t.rhai"][..], &args, &sizes].concat()).code
    };
    let codes = std::thread::scope(|scope| {
        let (saving, forgetting) = (scope.spawn(|| code(text)), scope.spawn(|| code(forgetting)));
        [
            saving.join().expect("a run"),
            forgetting.join().expect("a run"),
        ]
    });
    assert_eq!(codes, [0, 1]);
}

/// Two servers of LMCache are asked at two places whether they are ready.
#[test]
fn lmcache_server_ready_path_depends_on_ports() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/lmcache" as lmcache;
        fn test_a() {
            for options in [#{}, #{ port: 5556 }, #{ port: 5556, http_port: 8399 }] { print(lmcache::server(options).ready_path); }
        }
        "#,
    );
    let run = sandbox.run(&["t.rhai"]);
    let places: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.contains("/healthcheck"))
        .map(str::trim)
        .collect();
    assert_eq!(
        places,
        [
            ":8080/healthcheck",
            ":8081/healthcheck",
            ":8399/healthcheck"
        ],
        "{}",
        run.stdout
    );
}

/// What a test would start on vLLM, as people read it. It gets no further than to plan it: no
/// program is there.
fn planned(name: &str, more: &[&str]) -> String {
    let sandbox = Sandbox::new();
    let script = script();
    let pattern = format!("^{name}$");
    let args = [
        &[script.as_str(), "--engine", "vllm", "-f", &pattern][..],
        more,
    ]
    .concat();
    let run = finish(sandbox.command(&args).env("PATH", "/nowhere"));
    run.assert_code(3);
    let manifests = std::fs::read_dir(sandbox.path("out"))
        .expect("the folder")
        .filter_map(|entry| {
            let path = entry.expect("a file").path();
            path.to_string_lossy()
                .ends_with(".manifest.json")
                .then_some(path)
        });
    let manifest =
        std::fs::read_to_string(manifests.last().expect("a manifest")).expect("the manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    let experiment = &manifest["experiments"][0];
    let (requests, context_len) = (
        &experiment["requests"],
        &experiment["workload"]["context_len"],
    );
    let mut text = format!("{name}: {requests} requests, context {context_len}\n");
    for engine in experiment["engines"].as_array().expect("engines") {
        for helper in engine["helpers"].as_array().expect("helpers") {
            let command = command_of(helper);
            text += if text.contains(&command) {
                ""
            } else {
                &command
            };
        }
        text += &command_of(engine);
        text += &cache_of(engine);
    }
    let out = sandbox.path("out").display().to_string();
    let scratch = regex::Regex::new(r"OUT/scratch/lmrun-\w+-\w+").expect("a pattern");
    let text = text
        .replace(&out, "OUT")
        .replace(&root().display().to_string(), "ROOT");
    scratch.replace_all(&text, "SCRATCH").into_owned()
}

fn command_of(process: &Value) -> String {
    let env = process["env"].as_object().expect("an environment").iter();
    let env = env.map(|(name, value)| format!("{name}={} ", value.as_str().expect("a text")));
    let env = env.collect::<Vec<String>>().concat();
    let words = process["command"]
        .as_array()
        .expect("a command")
        .iter()
        .map(|word| {
            let word = word.as_str().expect("a word");
            if word.is_empty() || word.contains(['{', ' ']) && word != "{port}" {
                format!("'{word}'")
            } else {
                word.into()
            }
        });
    let line = words.collect::<Vec<String>>().join(" ");
    format!(
        "  {}:\n    {env}{line}\n",
        process["name"].as_str().expect("a name")
    )
}

/// The LMCache configuration, where it is one that lmrun wrote.
fn cache_of(engine: &Value) -> String {
    let Some(path) = engine["env"]["LMCACHE_CONFIG_FILE"].as_str() else {
        return String::new();
    };
    if path.starts_with(&root().display().to_string()) {
        return String::new();
    }
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("the config")).expect("JSON");
    format!("    {config}\n")
}

#[test]
fn commands_of_all_tests() {
    // One starts nothing, the other starts its engine before it plans anything.
    let tests = NAMES
        .iter()
        .filter(|name| !["dumb_test", "offline_test"].contains(name));
    let all: Vec<String> = tests.map(|name| planned(name, &[])).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn commands_include_model_settings() {
    let of = |model| planned("test_lmcache_local_cpu", &["-m", model]);
    insta::assert_snapshot!(
        [
            of("THUDM/glm-4-9b-chat"),
            of("meta-llama/Llama-3.1-8B-Instruct")
        ]
        .join("\n")
    );
}

#[test]
fn trust_remote_code_is_off_by_default() {
    let planned = |parameters: &[&str]| {
        let args = [&["-m", "THUDM/glm-4-9b-chat"][..], parameters].concat();
        planned("test_lmcache_local_cpu", &args)
    };
    assert!(
        !planned(&[]).contains("--trust-remote-code"),
        "{}",
        planned(&[])
    );
    let trusting = planned(&["-P", "trust_remote_code=true"]);
    assert_eq!(
        trusting.matches("--trust-remote-code").count(),
        2,
        "{trusting}"
    );
}

#[test]
fn options_of_a_test_override_model_settings() {
    let planned = planned("test_chunk_prefill", &["-m", "THUDM/glm-4-9b-chat"]);
    assert_eq!(
        planned.matches("--enable-chunked-prefill").count(),
        2,
        "{planned}"
    );
    assert!(
        !planned.contains("--no-enable-chunked-prefill"),
        "{planned}"
    );
}

#[test]
fn planned_requests_are_sent() {
    // The other vLLM notes how it was started, and is the simulator.
    let sandbox = Sandbox::new().program(
        "vllm",
        r#"printf '%s\n' vllm "$@" >"$SANDBOX/argv-$6"
env >"$SANDBOX/env-$6"
exec "$LMRUN" sim --port "$6" --model "$8" --prefix-caching"#,
    );
    let script = script();
    let args = [
        &[script.as_str(), "-f", "local_cpu$", "--engine", "vllm"][..],
        &QUICK,
    ]
    .concat();
    let mut command = sandbox.command_with_programs(&args);
    let withheld = [
        "VLLM_PORT",
        "VLLM_API_KEY",
        "LMCACHE_CHUNK_SIZE",
        "LMCACHE_CONFIG_FILE",
        "ALL_PROXY",
        "no_proxy",
    ];
    command
        .envs(withheld.map(|name| (name, "x")))
        .env("HF_TOKEN", "hf_of_this_test");
    let run = finish(&mut command);
    run.assert_code(0);
    for name in withheld {
        let told = run
            .stderr
            .lines()
            .filter(|line| line.contains("does not get") && line.contains(name));
        // Once when it happens, once in the list at the end.
        assert_eq!(told.count(), 2, "{name}: {}", run.stderr);
    }
    let text = |name: &str| {
        std::fs::read_to_string(sandbox.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let manifest: Value =
        serde_json::from_str(&text("out/test_lmcache_local_cpu.manifest.json")).expect("JSON");
    for (port, id) in sandbox.ports.iter().zip(0..) {
        let engine = &manifest["experiments"][0]["engines"][id as usize];
        let words = engine["command"].as_array().expect("words").iter();
        let words = words.map(|word| {
            word.as_str()
                .expect("a word")
                .replace("{port}", &port.to_string())
        });
        let words: Vec<String> = words
            .map(|word| word.replace("{host}", "127.0.0.1"))
            .collect();
        assert_eq!(
            text(&format!("argv-{port}")).lines().collect::<Vec<_>>(),
            words
        );
        let env = text(&format!("env-{port}"));
        for (name, value) in engine["env"].as_object().expect("an environment") {
            let line = format!("{name}={}", value.as_str().expect("a text"));
            assert!(
                env.lines().any(|found| found == line),
                "{name} is not {value}"
            );
        }
        for name in withheld {
            assert!(!env.contains(&format!("{name}=x")), "{name} is in {env}");
        }
        assert!(env.contains("HF_TOKEN=hf_of_this_test"));
    }
    assert!(!text(&format!("env-{}", sandbox.ports[1])).contains("LMCACHE_CONFIG_FILE="));
}
