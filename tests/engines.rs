//! What each engine of the library is started with, and what is answered to a wrong option.

use crate::common::Sandbox;

#[test]
fn commands_of_all_engines() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
import "std/command" as command;
import "std/llamacpp" as llamacpp;
import "std/openai" as openai;
import "std/sglang" as sglang;
import "std/tgi" as tgi;
import "std/transformers" as transformers;
import "std/trtllm" as trtllm;
import "std/vllm" as vllm;

fn test_commands() {
    let cache = #{ chunk_size: 256, local_cpu: true, max_local_cpu_size: 5 };
    for engine in [
        vllm::engine(#{ gpu: 2, tensor_parallel_size: 2 }),
        sglang::engine(),
        sglang::engine(#{ prefix_caching: true, mem_fraction_static: 0.8, context_length: 8192 }),
        sglang::engine(#{ lmcache: cache, tensor_parallel_size: 2, flags: #{ "log-requests": true } }),
        tgi::engine(#{ num_shard: 2, max_total_tokens: 4096, cuda_memory_fraction: 0.5 }),
        trtllm::engine(#{ prefix_caching: true, max_seq_len: 4096, free_gpu_memory_fraction: 0.8 }),
        transformers::engine(#{ gpu: (), continuous_batching: true }),
        llamacpp::engine(#{ model: "/models/m.gguf", gpu: 1, flags: #{ "no-slots": true } }),
        command::engine(#{ command: ["serve", "{host}:{port}"], model: "m" }),
        openai::engine(#{ url: "https://api.example.com/v1/" }),
    ] { print(engine); }
}
"#,
    );
    let run = sandbox.run(&["t.rhai", "-m", "org/m"]);
    run.assert_code(0);
    let out = sandbox
        .path("out")
        .canonicalize()
        .expect("the outputs")
        .display()
        .to_string();
    let commands = run.stdout.replace(&out, "OUT");
    let commands = commands
        .split("test_commands\n")
        .nth(1)
        .expect("what was printed");
    insta::assert_snapshot!(
        commands
            .split("passed")
            .next()
            .expect("the commands")
            .trim()
    );
    let written = sandbox.read("out/trtllm-trtllm.yaml");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    let cache = serde_json::json!({ "enable_block_reuse": true, "free_gpu_memory_fraction": 0.8 });
    assert_eq!(written["kv_cache_config"], cache);
}

#[test]
fn stream_end_without_done_is_accepted() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
import "std/check" as check;
import "std/command" as command;
import "std/load" as load;

private fn serve(end) {
    command::engine(#{
        name: end, model: "m", stream_end: end, health_path: "/v1/models",
        command: ["python3", "server.py", "{host}", "{port}"],
    })
}

fn test_ends() {
    let work = load::dummy(#{ requests: 2, gap_s: 0.1, context_len: 60, max_tokens: 4 });
    let engines = [serve("done"), serve("finish_reason")];
    let seen = run(work, engines, #{ may_fail: true, warmup: 0 });
    check::equal(seen[engines[0]].failed, 2, "failed where [DONE] is promised");
    check::equal(seen[engines[1]].failed, 0, "failed where it is not");
}
"#,
    );
    std::fs::write(sandbox.path("server.py"), SERVER).expect("the server");
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    let rows = sandbox.rows("out/test_ends.csv");
    assert!(
        rows.iter()
            .any(|row| row["error"].contains("without [DONE]")),
        "{rows:?}"
    );
    let complete = rows
        .iter()
        .find(|row| row["status"] == "ok")
        .expect("a complete answer");
    assert!(
        !complete["latency"].is_empty() && complete["finish_reason"] == "stop",
        "{complete:?}"
    );
}

/// Questions that an engine is asked about tokens in a test with this body.
fn tokenized(body: &str) -> usize {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        &format!(
            r#"
import "std/command" as command;
import "std/load" as load;

private fn serve(model, gpus) {{
    command::engine(#{{
        name: model, model: model, stream_end: "finish_reason", health_path: "/v1/models", gpus: gpus,
        command: ["python3", "server.py", "{{host}}", "{{port}}", model],
    }})
}}

private fn work() {{ load::random(#{{ requests: 1, gap_s: 0, input_len: 50, max_tokens: 4 }}) }}

fn test_a() {{ {body} }}
"#
        ),
    );
    std::fs::write(sandbox.path("server.py"), SERVER).expect("the server");
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    for row in sandbox.rows("out/test_a.csv") {
        let by = if row["model"] == "m" {
            "engine"
        } else {
            "other_model"
        };
        assert_eq!(row["context_len_from"], by, "{row:?}");
    }
    sandbox.read("tokenized").lines().count()
}

#[test]
fn tokenizer_is_probed_once_per_engine() {
    let once = tokenized(r#"run(work(), [serve("m", [])]);"#);
    assert!(once > 3, "{once}");
    let twice = tokenized(
        r#"
        let engine = serve("m", []);
        for i in 0..2 { run(work(), [engine]); }
        let handle = start(engine);
        for i in 0..2 { run(work(), [handle, serve("another", [])]); }
        "#,
    );
    assert_eq!(twice, once);
}

/// Two that start at once would see each other's weights.
#[test]
fn engines_on_one_gpu_start_in_sequence() {
    tokenized(
        r#"
        let first = start(serve("m", [7]));
        let second = start(serve("another", [7]));
        run(work(), [first, second]);
        "#,
    );
    let lines = |gpus: [u32; 2]| {
        let [first, second] = gpus;
        let sandbox = Sandbox::new().file(
            "t.rhai",
            &r#"
                import "std/sim" as sim;
                fn test_a() {
                    let options = |name, gpu| #{ name: name, gpu: gpu, startup_s: 0.5 };
                    start(sim::engine(options.call("a", FIRST)));
                    start(sim::engine(options.call("b", SECOND))).wait_until_ready(30);
                }
                "#
            .replace("FIRST", &first.to_string())
            .replace("SECOND", &second.to_string()),
        );
        let run = sandbox.run(&["t.rhai"]);
        run.assert_code(0);
        let at = |text: &str| run.stderr.find(text).unwrap_or(usize::MAX);
        at("a: ready after") < at("b: port")
    };
    assert!(lines([3, 3]), "the second waits for the first");
    assert!(!lines([3, 4]), "on another GPU it does not");
}

/// One that is starting has not bound its port, and another of its model would answer in its place.
#[test]
fn two_engines_on_one_port_are_refused() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        fn test_a() {
            let engine = |name, gpu| sim::engine(#{ name: name, gpu: gpu, port: param("port", 0), startup_s: 1 });
            run(load::dummy(#{ requests: 1 }), [engine.call("a", 0), engine.call("b", 1)]);
        }
        "#,
    );
    let run = sandbox.run(&["t.rhai", "-P", &format!("port={}", sandbox.ports[0])]);
    run.assert_code(3);
    let said = format!(
        "cannot start engine `b`: port {} is in use by engine `a`",
        sandbox.ports[0]
    );
    run.assert_stderr(&said);
    sandbox.assert_nothing_runs();
}

/// Counts words as tokens, and notes each question. Ends its streams as some servers do: with a finish reason, and no `[DONE]`.
const SERVER: &str = r#"
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(json.dumps({"data": [{"id": sys.argv[3] if len(sys.argv) > 3 else "m"}]}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/tokenize":
            print(self.path, file=open("tokenized", "a"))
            return self.answer(json.dumps({"count": len(json.loads(body)["prompt"].split())}).encode())
        events = [{"delta": {"content": "a"}}, {"delta": {}, "finish_reason": "stop"}]
        self.answer("".join("data: %s\n\n" % json.dumps({"choices": [e]}) for e in events).encode())

http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"#;

#[test]
fn engine_kinds_are_independent() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/sglang" as sglang;
        import "std/vllm" as vllm;
        fn test_kinds() {
            for i in 0..3 { vllm::engine(); }
            print(sglang::engine().command[2]);
        }
        "#,
    );
    let run = sandbox.run(&["t.rhai", "-m", "m"]);
    run.assert_code(0);
    run.assert_stdout("sglang.launch_server");
}
