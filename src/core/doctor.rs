//! The findings of `lmrun doctor` on this machine, each with advice if something is missing.

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

/// The timeout of a program that prints its version. Some load large libraries first.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A program that some tests need.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoctorProgram {
    /// The name.
    pub name: String,
    /// The program, and the arguments that print its version.
    pub command: Vec<String>,
    /// The pattern of its version in its output.
    pub version: String,
    /// The Python package that it belongs to. For a Python script, the package's version is read
    /// instead, which is faster.
    #[serde(default)]
    pub python: Option<String>,
    /// The advice for installing it.
    pub remedy: String,
}

/// The state of one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// It is available.
    Good,
    /// It is missing, but not every run needs it.
    Absent,
    /// Runs work, but not well.
    Poor,
    /// Runs do not work.
    Blocking,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The section on the screen.
    pub section: &'static str,
    /// The name.
    pub name: String,
    /// The state.
    pub state: FindingState,
    /// The description.
    pub found: String,
    /// The advice, if something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn good(section: &'static str, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            section,
            name: name.into(),
            state: FindingState::Good,
            found: found.into(),
            remedy: None,
        }
    }

    fn with_advice(self, state: FindingState, remedy: impl Into<String>) -> Self {
        Self {
            state,
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// Examines this machine. Starts `programs` under `watchdogs` to read their versions.
pub async fn diagnose(
    programs: Vec<DoctorProgram>,
    ports: &[u16],
    watchdogs: Watchdogs,
) -> Vec<Finding> {
    let watchdogs = Arc::new(watchdogs);
    let mut searches = Vec::new();
    for program in programs {
        searches.push(tokio::spawn(find_program(program, watchdogs.clone())));
    }
    let docker = tokio::spawn(async { docker(container::version().await) });
    let here = std::env::current_dir().unwrap_or_default();
    let mut findings = machine(&Machine::this());
    findings.push(disk(&here, machine::disk_free(&here)));
    findings.extend(gpus(gpu::driver_and_gpus()));
    findings.extend(leftovers::find().iter().map(orphans));
    findings.extend(
        ports
            .iter()
            .map(|port| port_finding(*port, port::use_of(*port))),
    );
    for search in searches {
        findings.extend(search.await);
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
    let slow = "reading the time takes microseconds: see the book on measures";
    vec![
        cores,
        match machine.memory_free {
            0..GIB => memory.with_advice(
                FindingState::Poor,
                "stop programs that use it: without free memory, the system kills engines",
            ),
            _ => memory,
        },
        match machine.files {
            0..64 => files.with_advice(
                FindingState::Blocking,
                "raise the limit: `ulimit -Hn 65536`",
            ),
            64..4096 => files.with_advice(
                FindingState::Poor,
                "each request in flight needs one: raise the limit, `ulimit -Hn 65536`",
            ),
            _ => files,
        },
        match machine.clock.as_str() {
            "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" => clock,
            _ => clock.with_advice(FindingState::Poor, slow),
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
                0..MIB => finding.with_advice(FindingState::Blocking, elsewhere),
                MIB..GIB => finding.with_advice(FindingState::Poor, elsewhere),
                _ => finding,
            }
        }
        Err(e) => Finding::good("machine", "disk", e.to_string())
            .with_advice(FindingState::Blocking, elsewhere),
    }
}

fn gpus(survey: Option<(String, Vec<Gpu>)>) -> Vec<Finding> {
    let section = "GPUs";
    let Some((driver, gpus)) = survey else {
        let none = "engines on another machine work (`std/openai`), and engines on the CPU";
        let found = "no NVIDIA driver (libnvidia-ml.so.1)";
        return vec![
            Finding::good(section, "driver", found).with_advice(FindingState::Absent, none),
        ];
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
        ("", false) => finding.with_advice(
            FindingState::Poor,
            "a process that cannot be seen from here uses the rest: see `nvidia-smi`",
        ),
        _ => finding.with_advice(
            FindingState::Poor,
            format!("in use by {users}: stop it, or use another GPU"),
        ),
    }
}

fn orphans(leftover: &Leftover) -> Finding {
    let found = format!("of `{}`: {}", leftover.program(), leftover.processes());
    let finding = Finding::good("processes", "left behind", found);
    finding.with_advice(
        FindingState::Poor,
        "their lmrun and its watchdog were killed: the next run ends them",
    )
}

fn port_finding(port: u16, used: PortUse) -> Finding {
    let finding = |found: String| Finding::good("ports", port.to_string(), found);
    let by = match used {
        PortUse::Free => return finding("free".into()),
        PortUse::Taken {
            by: Some((pid, name)),
        } => format!("{name} (process {pid}) listens"),
        PortUse::Taken { by: None } => "another user's process listens".into(),
    };
    finding(by).with_advice(FindingState::Poor, "end it, or choose others: `-p P1 P2`")
}

async fn find_program(wanted: DoctorProgram, watchdogs: Arc<Watchdogs>) -> Finding {
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
        return Finding::good(section, wanted.name, found)
            .with_advice(FindingState::Absent, wanted.remedy);
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
    let Some(printed) = program::output(&wanted.command, &watchdogs, VERSION_TIMEOUT).await else {
        let silent = at(format!("silent for {} s", VERSION_TIMEOUT.as_secs()));
        return silent.with_advice(
            FindingState::Poor,
            format!("see what `{}` does", wanted.command.join(" ")),
        );
    };
    match version_in(&printed.text, &wanted.version) {
        Some(version) => at(version),
        None if printed.success => at("of unknown version".into()),
        None => {
            let said = printed.text.lines().last().unwrap_or("nothing").to_owned();
            let broken = at("does not tell its version".into());
            broken.with_advice(
                FindingState::Poor,
                format!("it says: {said}; {}", wanted.remedy),
            )
        }
    }
}

/// Returns the version of the Python package that a script belongs to.
async fn version_of_package(
    script: &Path,
    package: Option<&str>,
    watchdogs: &Watchdogs,
) -> Option<String> {
    let mut question = program::python_of(script)?;
    let code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
    question.extend(["-c", code, package?].map(str::to_owned));
    let printed = program::output(&question, watchdogs, VERSION_TIMEOUT)
        .await
        .filter(|printed| printed.success)?;
    version_in(&printed.text, r"(?m)^(\d\S*)$")
}

/// Returns the first group of the pattern in a program's output, or the whole match.
fn version_in(printed: &str, pattern: &str) -> Option<String> {
    let pattern = Regex::new(pattern).ok()?;
    let found = pattern.captures(printed)?;
    Some(found.get(1).or_else(|| found.get(0))?.as_str().to_owned())
}

fn docker(version: Result<String, container::ContainerError>) -> Finding {
    match version {
        Ok(version) => Finding::good(
            "programs",
            "docker",
            format!("{version}, its daemon answers"),
        ),
        Err(error) => {
            let remedy = format!("only for `container`: {}", error.remedy());
            Finding::good("programs", "docker", error.to_string())
                .with_advice(FindingState::Absent, remedy)
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
    fn low_resources_are_poor_or_blocking() {
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
                .all(|finding| finding.state == FindingState::Good)
        );
        let poor = Machine {
            memory_free: MIB,
            files: 1024,
            clock: "hpet".into(),
            ..good.clone()
        };
        let states: Vec<FindingState> =
            machine(&poor).iter().map(|finding| finding.state).collect();
        assert_eq!(
            states,
            [
                FindingState::Good,
                FindingState::Poor,
                FindingState::Poor,
                FindingState::Poor
            ]
        );
        let none = Machine { files: 20, ..good };
        assert_eq!(machine(&none)[2].state, FindingState::Blocking);
        for (free, state) in [
            (0, FindingState::Blocking),
            (2 * MIB, FindingState::Poor),
            (2 * GIB, FindingState::Good),
        ] {
            assert_eq!(disk(Path::new("/"), Ok(free)).state, state);
        }
        let gone = std::io::Error::other("gone");
        assert_eq!(
            disk(Path::new("/"), Err(gone)).state,
            FindingState::Blocking
        );
    }

    #[test]
    fn processes_on_a_gpu_are_named() {
        let gpu = Gpu {
            name: "X".into(),
            memory_mib: 1000,
            free_mib: 990,
            processes: Vec::new(),
        };
        assert_eq!(one_gpu(0, &gpu).state, FindingState::Good);
        assert_eq!(
            one_gpu(
                0,
                &Gpu {
                    free_mib: 100,
                    ..gpu.clone()
                }
            )
            .state,
            FindingState::Poor
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
            remedy.ends_with(") with 300 MiB: stop it, or use another GPU"),
            "{remedy}"
        );
    }

    #[test]
    fn versions_are_found_by_pattern() {
        let found = |printed, pattern| version_in(printed, pattern).unwrap_or_default();
        assert_eq!(found("x: v=1.2.3 y", r"v=(\S+)"), "1.2.3");
        assert_eq!(
            found("INFO 10.1\n0.24.0+cpu", r"(?m)^\d+\.\d\S*"),
            "0.24.0+cpu"
        );
        assert_eq!(version_in("none", r"\d"), None);
    }
}
