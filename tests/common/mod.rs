//! What the integration tests share: the real binary, in a folder of its own, on ports of its own.
#![allow(dead_code, missing_docs, reason = "each test file uses its part")]

pub mod needs;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder for scripts and outputs, and two ports that are free.
pub struct Bench {
    pub dir: TempDir,
    pub ports: [u16; 2],
}

/// What a run printed, and its exit code.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        let ports = [(); 2].map(|()| free_port());
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            ports,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a script.
    pub fn script(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(path, text).expect("the script");
        self
    }

    /// Writes a program that a shell can run, into `bin/`.
    pub fn program(self, name: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let bench = self.script(&format!("bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
        let path = bench.path("bin").join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        bench
    }

    /// The same as `command`, with the programs of the bench in front of all others.
    pub fn command_with_programs(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
            .env("LMRUN", env!("CARGO_BIN_EXE_lmrun"))
            .env("BENCH", self.dir.path());
        command
    }

    /// The command `lmrun SCRIPT …` in the folder, on the bench's ports, with `out/` for results.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lmrun"));
        let [p1, p2] = self.ports.map(|port| port.to_string());
        command
            .current_dir(self.dir.path())
            .args(args)
            .args(["-o", "out", "-p", &p1, &p2]);
        // Other tests run beside it: how late requests are is no business of theirs.
        command.args(["--max-send-lag-s", "10"]);
        // Nor is what `lmrun selfcheck` has found on this machine.
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&self.command(args).output().expect("lmrun runs"))
    }

    /// The rows of a CSV, by column name.
    pub fn rows(&self, csv: &str) -> Vec<std::collections::HashMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path(csv)).expect("the CSV");
        reader
            .deserialize()
            .map(|row| row.expect("a row"))
            .collect()
    }

    /// Processes of the bench's engines that are still alive.
    pub fn left_running(&self) -> Vec<String> {
        self.ports
            .iter()
            .flat_map(|port| Self::running(&format!("--port {port}")))
            .collect()
    }

    /// Processes that are alive and have `mark` in their command.
    pub fn running(mark: &str) -> Vec<String> {
        let alive = procfs::process::all_processes()
            .expect("/proc")
            .filter_map(|process| {
                let process = process.ok()?;
                let is_zombie = process.stat().ok()?.state == 'Z';
                Some(process.cmdline().ok()?.join(" ")).filter(|_| !is_zombie)
            });
        alive.filter(|line| line.contains(mark)).collect()
    }
}

/// A simulator that is not lmrun's own, on a port, serving the model `m`; it ends with the test.
pub struct Sim {
    pub child: Child,
    pub port: u16,
}

impl Sim {
    pub fn start(args: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lmrun"));
        command
            .args([
                "sim",
                "--model",
                "m",
                "--startup-s",
                "0",
                "--port",
                &port.to_string(),
            ])
            .args(args);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a simulator");
        eventually("the simulator answers", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests that it has answered, as its metrics say.
    pub fn requests(&self) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the simulator");
        let question = "GET /metrics HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n";
        stream.write_all(question.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("its metrics");
        let counts = answer
            .lines()
            .filter(|line| line.starts_with("vllm:request_success_total"));
        counts
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>() as u64
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_none()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request that a test's own server received.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method, path and headers, in small letters.
    pub head: String,
    pub body: String,
}

/// A test's own server: its port, and the requests that it has received.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    pub received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers each request with what `answer` makes of it, a status line's rest and a body, and closes.
    pub fn start(
        answer: impl Fn(&Received) -> (&'static str, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            port: listener.local_addr().expect("its address").port(),
            received: Arc::default(),
        };
        let (answer, received) = (Arc::new(answer), server.received.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, received) = (answer.clone(), received.clone());
                std::thread::spawn(move || {
                    // A client that has closed the connection needs no answer.
                    let _ = serve(&mut stream.expect("a connection"), &received, &*answer);
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The bodies of the requests whose head contains `mark`.
    pub fn bodies(&self, mark: &str) -> Vec<serde_json::Value> {
        let received = self.received.lock().expect("no test panics in here");
        let marked = received
            .iter()
            .filter(|request| request.head.contains(mark));
        marked
            .map(|request| serde_json::from_str(&request.body).expect("JSON"))
            .collect()
    }
}

fn serve(
    stream: &mut TcpStream,
    received: &Mutex<Vec<Received>>,
    answer: &impl Fn(&Received) -> (&'static str, String),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut *stream);
    let (mut line, mut head) = (String::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        head.push_str(&line.to_lowercase());
        line.clear();
    }
    if head.is_empty() {
        return Ok(());
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = String::new();
    reader.take(length.unwrap_or(0)).read_to_string(&mut body)?;
    let request = Received { head, body };
    let (status, body) = answer(&request);
    received
        .lock()
        .expect("no test panics in here")
        .push(request);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The answer of a server that refuses fields it does not know, as `transformers serve` does, and ends its
/// streams without `[DONE]`.
pub fn strict(request: &Received) -> (&'static str, String) {
    if request.head.starts_with("get /v1/models") {
        return ("200 OK", r#"{"data": [{"id": "m"}]}"#.into());
    }
    if request.body.contains("ignore_eos") {
        return (
            "422 Unprocessable Entity",
            r#"{"detail": "Unexpected fields: {'ignore_eos'}"}"#.into(),
        );
    }
    let content = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#;
    let last =
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}"#;
    ("200 OK", format!("data: {content}\n\ndata: {last}\n\n"))
}

/// A port that is free, and that no other test of this file was given: the system may give one out
/// again as soon as it is let go.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        if GIVEN.lock().expect("no test panics in here").insert(port) {
            return port;
        }
    }
}

pub fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `condition` holds, a minute at most.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The call that makes an engine of a simulator which lmrun cannot recognize as one, with further `options`.
pub fn unrecognized_simulator(name: &str, options: &str) -> String {
    let lmrun = env!("CARGO_BIN_EXE_lmrun");
    format!(
        "command::engine(#{{ name: \"{name}\", model: \"m\", {options}, command: [
             \"{lmrun}\", \"sim\", \"--startup-s\", \"0\", \"--model\", \"m\", \"--port\", \"{{port}}\"] }})"
    )
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder that `scripts/engines/install.sh` installs into.
pub fn engines() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    std::env::var_os("LMRUN_ENGINES").map_or(home.join(".cache/lmrun-engines"), PathBuf::from)
}
