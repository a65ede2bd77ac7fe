//! Simulated engines that the run under test has not started.

use super::{LMRUN, eventually, free_port, lmrun};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

/// A simulator that serves the model `m`. It ends with the test.
pub(crate) struct Simulator {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl Simulator {
    /// Starts a simulator on a free port.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_at(free_port(), args)
    }

    pub(crate) fn start_at(port: u16, args: &[&str]) -> Self {
        let child = lmrun()
            .args(["sim", "--model", "m", "--startup-s", "0"])
            .args(["--port", &port.to_string()])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a simulator");
        let simulator = Self { child, port };
        eventually("the simulator answers", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        simulator
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the number of requests that it has answered, from its metrics.
    pub(crate) fn requests(&self) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the simulator");
        let request = "GET /metrics HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("its metrics");
        let mut requests = 0.0;
        for line in answer.lines() {
            if line.starts_with("vllm:request_success_total") {
                let count = line.rsplit(' ').next().expect("a value");
                requests += count.parse::<f64>().expect("a number");
            }
        }
        requests as u64
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_none()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the call that makes an engine of a simulator which lmrun cannot recognize as one.
pub(crate) fn unrecognized_simulator(name: &str, options: &str) -> String {
    r#"command::engine(#{
        name: "NAME",
        model: "m",
        command: ["LMRUN", "sim", "--startup-s", "0", "--model", "m", "--port", "{port}"],
        OPTIONS
    })"#
    .replace("NAME", name)
    .replace("LMRUN", LMRUN)
    .replace("OPTIONS", options)
}
