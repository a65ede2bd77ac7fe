//! What a machine has for a run, and what is to be done about what it lacks.

use crate::driver::container;
use crate::driver::gpu::{self, Gpu};
use crate::driver::leftovers::{self, Leftover};
use crate::driver::machine::{self, Machine};
use crate::driver::port::{self, PortUse};
use crate::driver::program;
use crate::driver::watchdog::Watchdogs;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a program may take to tell its version. Some load half a library first.
const VERSION: Duration = Duration::from_secs(20);

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A program that some tests need.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What people call it.
    pub name: String,
    /// The program that is looked for, and what makes it tell its version.
    pub command: Vec<String>,
    /// The pattern of its version in what it prints.
    pub version: String,
    /// The Python package that it belongs to: where a Python runs it, that is asked in its place, which is
    /// quick.
    #[serde(default)]
    pub python: Option<String>,
    /// How to have it.
    pub remedy: String,
}

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is there.
    Good,
    /// It is not there, and not every run needs it.
    Absent,
    /// A run works, and not as well as it could.
    Poor,
    /// No run works.
    Blocking,
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it belongs to.
    pub section: &'static str,
    /// What it is.
    pub name: String,
    /// How it stands with it.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do, where there is something to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn good(section: &'static str, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            section,
            name: name.into(),
            state: State::Good,
            found: found.into(),
            remedy: None,
        }
    }

    fn but(self, state: State, remedy: impl Into<String>) -> Self {
        Self {
            state,
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// Looks at this machine; `wanted` programs are started under `watchdogs`, and `ports` are asked after.
pub async fn checkup(wanted: Vec<Wanted>, ports: &[u16], watchdogs: Watchdogs) -> Vec<Finding> {
    let watchdogs = Arc::new(watchdogs);
    let look = |wanted| tokio::spawn(look_for(wanted, watchdogs.clone()));
    let programs: Vec<_> = wanted.into_iter().map(look).collect();
    let docker = tokio::spawn(async { daemon(container::version().await) });
    let here = std::env::current_dir().unwrap_or_default();
    let mut findings = machine(&Machine::this());
    findings.push(disk(&here, machine::disk_free(&here)));
    findings.extend(gpus(gpu::driver_and_gpus()));
    findings.extend(leftovers::find().iter().map(left_behind));
    findings.extend(ports.iter().map(|port| taken(*port, port::use_of(*port))));
    for program in programs {
        findings.extend(program.await);
    }
    findings.extend(docker.await);
    findings
}

fn machine(machine: &Machine) -> Vec<Finding> {
    let section = "machine";
    let cores = Finding::good(section, "cores", machine.cores.to_string());
    let of = format!(
        "{:.1} of {:.1} GiB free",
        gib(machine.memory_free),
        gib(machine.memory)
    );
    let memory = Finding::good(section, "memory", of);
    let files = Finding::good(section, "open files", format!("up to {}", machine.files));
    let clock = Finding::good(section, "clock", machine.clock.clone());
    let slow =
        "the time is read through the kernel, which costs microseconds: see the book on measures";
    vec![
        cores,
        match machine.memory_free {
            0..GIB => memory.but(
                State::Poor,
                "end what needs it: engines are killed where there is none left",
            ),
            _ => memory,
        },
        match machine.files {
            0..64 => files.but(State::Blocking, "raise it: `ulimit -Hn 65536`"),
            64..4096 => files.but(
                State::Poor,
                "a request under way takes one: raise it, `ulimit -Hn 65536`",
            ),
            _ => files,
        },
        match machine.clock.as_str() {
            "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" => clock,
            _ => clock.but(State::Poor, slow),
        },
    ]
}

fn disk(folder: &Path, free: std::io::Result<u64>) -> Finding {
    let elsewhere = "make room, or write elsewhere: `-o DIR`";
    match free {
        Ok(free) => {
            let found = format!("{:.1} GiB free in {}", gib(free), folder.display());
            let finding = Finding::good("machine", "disk", found);
            match free {
                0..MIB => finding.but(State::Blocking, elsewhere),
                MIB..GIB => finding.but(State::Poor, elsewhere),
                _ => finding,
            }
        }
        Err(e) => Finding::good("machine", "disk", e.to_string()).but(State::Blocking, elsewhere),
    }
}

fn gpus(survey: Option<(String, Vec<Gpu>)>) -> Vec<Finding> {
    let section = "GPUs";
    let Some((driver, gpus)) = survey else {
        let none = "engines that need one run elsewhere: `std/openai`; others on the CPU; `lmrun sim` anywhere";
        let found = "no NVIDIA driver (libnvidia-ml.so.1)";
        return vec![Finding::good(section, "driver", found).but(State::Absent, none)];
    };
    let driver = Finding::good(section, "driver", driver);
    let found = gpus
        .iter()
        .enumerate()
        .map(|(index, gpu)| one_gpu(index, gpu));
    std::iter::once(driver).chain(found).collect()
}

fn one_gpu(index: usize, gpu: &Gpu) -> Finding {
    let Gpu {
        name,
        memory_mib,
        free_mib,
        processes,
    } = gpu;
    let found = format!("{name}, {free_mib} of {memory_mib} MiB free");
    let finding = Finding::good("GPUs", format!("gpu {index}"), found);
    let users = processes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match (users.as_str(), free_mib * 10 >= memory_mib * 9) {
        ("", true) => finding,
        ("", false) => finding.but(
            State::Poor,
            "somebody whom this process cannot see has the rest: `nvidia-smi`",
        ),
        _ => finding.but(
            State::Poor,
            format!("in use by {users}: end it, or use another"),
        ),
    }
}

fn left_behind(leftover: &Leftover) -> Finding {
    let found = format!("of `{}`: {}", leftover.program(), leftover.processes());
    let finding = Finding::good("processes", "left behind", found);
    finding.but(
        State::Poor,
        "their lmrun and its watchdog were killed: the next run ends them",
    )
}

fn taken(port: u16, used: PortUse) -> Finding {
    let finding = |found: String| Finding::good("ports", port.to_string(), found);
    let by = match used {
        PortUse::Free => return finding("free".into()),
        PortUse::Taken {
            by: Some((pid, name)),
        } => format!("{name} (process {pid}) listens"),
        PortUse::Taken { by: None } => "another user's process listens".into(),
    };
    finding(by).but(State::Poor, "end it, or choose others: `-p P1 P2`")
}

async fn look_for(wanted: Wanted, watchdogs: Arc<Watchdogs>) -> Finding {
    let section = "programs";
    let Some(path) = wanted
        .command
        .first()
        .and_then(|program| program::find(program))
    else {
        let found = format!(
            "no `{}` on the PATH",
            wanted.command.first().map_or("", String::as_str)
        );
        return Finding::good(section, wanted.name, found).but(State::Absent, wanted.remedy);
    };
    let at = |found: String| {
        Finding::good(
            section,
            &wanted.name,
            format!("{found}, {}", path.display()),
        )
    };
    if let Some(version) = version_of_package(&path, wanted.python.as_deref(), &watchdogs).await {
        return at(version);
    }
    let Some(printed) = program::output(&wanted.command, &watchdogs, VERSION).await else {
        let silent = at(format!("silent for {} s", VERSION.as_secs()));
        return silent.but(
            State::Poor,
            format!("see what `{}` does", wanted.command.join(" ")),
        );
    };
    match version_in(&printed.text, &wanted.version) {
        Some(version) => at(version),
        None if printed.success => at("of unknown version".into()),
        None => {
            let said = printed.text.lines().last().unwrap_or("nothing").to_owned();
            let broken = at("does not tell its version".into());
            broken.but(State::Poor, format!("it says: {said}; {}", wanted.remedy))
        }
    }
}

/// The version of the package that a Python script belongs to.
async fn version_of_package(
    script: &Path,
    package: Option<&str>,
    watchdogs: &Watchdogs,
) -> Option<String> {
    let mut question = program::python_of(script)?;
    let code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
    question.extend(["-c", code, package?].map(str::to_owned));
    let printed = program::output(&question, watchdogs, VERSION)
        .await
        .filter(|printed| printed.success)?;
    version_in(&printed.text, r"(?m)^(\d\S*)$")
}

/// The first group of the pattern in what a program printed, else all that it found.
fn version_in(printed: &str, pattern: &str) -> Option<String> {
    let pattern = Regex::new(pattern).ok()?;
    let found = pattern.captures(printed)?;
    Some(found.get(1).or_else(|| found.get(0))?.as_str().to_owned())
}

fn daemon(version: Result<String, container::ContainerError>) -> Finding {
    match version {
        Ok(version) => Finding::good(
            "programs",
            "docker",
            format!("{version}, its daemon answers"),
        ),
        Err(error) => {
            let remedy = format!("only for `container`: {}", error.remedy());
            Finding::good("programs", "docker", error.to_string()).but(State::Absent, remedy)
        }
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::gpu::GpuProcess;

    #[test]
    fn what_is_too_little_is_said() {
        let good = Machine {
            cores: 8,
            memory: 64 * GIB,
            memory_free: 60 * GIB,
            files: 1 << 20,
            clock: "tsc".into(),
        };
        assert!(
            machine(&good)
                .iter()
                .all(|finding| finding.state == State::Good)
        );
        let poor = Machine {
            memory_free: MIB,
            files: 1024,
            clock: "hpet".into(),
            ..good.clone()
        };
        let states: Vec<State> = machine(&poor).iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Good, State::Poor, State::Poor, State::Poor]);
        let none = Machine { files: 20, ..good };
        assert_eq!(machine(&none)[2].state, State::Blocking);
        for (free, state) in [
            (0, State::Blocking),
            (2 * MIB, State::Poor),
            (2 * GIB, State::Good),
        ] {
            assert_eq!(disk(Path::new("/"), Ok(free)).state, state);
        }
        let gone = std::io::Error::other("gone");
        assert_eq!(disk(Path::new("/"), Err(gone)).state, State::Blocking);
    }

    #[test]
    fn who_uses_a_gpu_is_named() {
        let gpu = Gpu {
            name: "X".into(),
            memory_mib: 1000,
            free_mib: 990,
            processes: Vec::new(),
        };
        assert_eq!(one_gpu(0, &gpu).state, State::Good);
        assert_eq!(
            one_gpu(
                0,
                &Gpu {
                    free_mib: 100,
                    ..gpu.clone()
                }
            )
            .state,
            State::Poor
        );
        let me = GpuProcess {
            pid: std::process::id() as i32,
            mib: Some(300),
        };
        let remedy = one_gpu(
            0,
            &Gpu {
                processes: vec![me],
                ..gpu
            },
        )
        .remedy
        .expect("a remedy");
        assert!(
            remedy.starts_with(&format!("in use by process {} (", std::process::id())),
            "{remedy}"
        );
        assert!(
            remedy.ends_with(") with 300 MiB: end it, or use another"),
            "{remedy}"
        );
    }

    #[test]
    fn a_version_is_found_by_its_pattern() {
        let found = |printed, pattern| version_in(printed, pattern).unwrap_or_default();
        assert_eq!(found("x: v=1.2.3 y", r"v=(\S+)"), "1.2.3");
        assert_eq!(
            found("INFO 10.1\n0.24.0+cpu", r"(?m)^\d+\.\d\S*"),
            "0.24.0+cpu"
        );
        assert_eq!(version_in("none", r"\d"), None);
    }
}
