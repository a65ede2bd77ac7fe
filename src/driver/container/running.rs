//! A container that runs.

use super::docker::{ANSWER, ContainerError, connect, is_unknown, reason};
use super::spec::{ContainerSpec, Gpus, Published};
use crate::driver::logs::{Log, Logs};
use crate::driver::owner::Owner;
use crate::driver::process::{Graces, KILL_S, open_log};
use crate::driver::secrets;
use crate::driver::text::printable;
use crate::driver::tree::descendants;
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, CreateImageOptions, KillContainerOptions,
    RemoveContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// How long removing may take: the daemon unmounts what the container had.
const REMOVE: Duration = Duration::from_mins(1);
/// How long the last lines of a container that has ended may be on their way.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What to start, and where its output goes.
pub struct ContainerLine<'a> {
    /// What it is made of.
    pub spec: &'a ContainerSpec,
    /// Program and arguments, in the place of the image's own.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Where it is reached.
    pub host: &'a str,
    /// Its port there.
    pub port: u16,
    /// The GPUs that it sees.
    pub gpus: Gpus,
    /// Where standard output goes; appended to.
    pub stdout: PathBuf,
    /// Where standard error goes; appended to.
    pub stderr: PathBuf,
}

/// A started container. Dropping it removes it.
pub struct Container {
    docker: Docker,
    id: String,
    exit: watch::Receiver<Option<String>>,
    logs: Logs,
    removed: AtomicBool,
    runtime: tokio::runtime::Handle,
}

impl Container {
    /// Starts `line`, and fetches its image first where it has to; `told` hears how far that is.
    ///
    /// # Errors
    /// When there is no daemon, no image, no log file, or the daemon refuses.
    pub async fn start(
        line: &ContainerLine<'_>,
        told: impl Fn(String),
    ) -> Result<Self, ContainerError> {
        let docker = connect().await?;
        ensure_image(&docker, line.spec, told).await?;
        secrets::learn_flags(&line.argv);
        let given = line.env.iter().chain(&line.spec.env);
        secrets::learn(given.map(|(name, value)| (name.as_str(), value.as_str())));
        let (stdout, to_stdout) = open_log(&line.stdout)?;
        let (stderr, to_stderr) = open_log(&line.stderr)?;
        let owner = Owner::this().map(|owner| owner.label()).unwrap_or_default();
        let port = Published {
            host: line.host,
            number: line.port,
        };
        let body = line
            .spec
            .body(&line.argv, &line.env, port, &line.gpus, owner);
        let created = docker
            .create_container(None::<CreateContainerOptions>, body)
            .await;
        let (exited, exit) = watch::channel(None);
        let container = Self {
            docker,
            id: printable(
                &created
                    .map_err(ContainerError::refused("make the container"))?
                    .id,
            ),
            exit,
            logs: Logs([stdout, stderr]),
            removed: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::current(),
        };
        if let Err(error) = container.run(exited, to_stdout, to_stderr).await {
            // What people are to read is why it did not start.
            let _ = container.remove().await;
            return Err(error);
        }
        Ok(container)
    }

    /// What people call it.
    pub fn id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// How it ended, once it did: to be waited for apart from it.
    pub fn end(&self) -> watch::Receiver<Option<String>> {
        self.exit.clone()
    }

    /// What it writes.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The ids of its processes; `None` where they are not this machine's, or not seen from here.
    pub async fn members(&self) -> Option<Vec<i32>> {
        let asked =
            tokio::time::timeout(ANSWER, self.docker.inspect_container(&self.id, None)).await;
        let first = asked.ok()?.ok()?.state?.pid? as i32;
        // In another process-id namespace the number is another process's.
        let groups = std::fs::read_to_string(format!("/proc/{first}/cgroup")).ok()?;
        let members = descendants([first]).into_iter().map(|process| process.pid);
        groups
            .contains(&self.id)
            .then(|| std::iter::once(first).chain(members).collect())
    }

    /// Ends it: interrupt, then terminate, then kill, each with its grace; then removes it.
    ///
    /// # Errors
    /// When the daemon does not remove it.
    pub async fn close(&self, graces: Graces) -> Result<(), ContainerError> {
        let ladder = [
            ("SIGINT", graces.interrupt_s),
            ("SIGTERM", graces.terminate_s),
            ("SIGKILL", KILL_S),
        ];
        for (signal, grace_s) in ladder {
            if self.exit.borrow().is_some() {
                break;
            }
            let options = KillContainerOptions {
                signal: signal.into(),
            };
            // One that has just ended cannot be signalled.
            let _ = self.docker.kill_container(&self.id, Some(options)).await;
            let mut end = self.end();
            let ended = end.wait_for(Option::is_some);
            let _ = tokio::time::timeout(Duration::from_secs_f64(grace_s), ended).await;
        }
        let logs = self.logs.clone();
        let clean = move || logs.0.iter().for_each(Log::remove_secrets);
        let _ = tokio::task::spawn_blocking(clean).await; // a runtime that ends waits for nothing
        self.remove().await
    }

    /// Lets it run; `exited` hears how it ends.
    async fn run(
        &self,
        exited: watch::Sender<Option<String>>,
        stdout: File,
        stderr: File,
    ) -> Result<(), ContainerError> {
        let logging = tokio::spawn(keep_log(self.attach().await?, stdout, stderr));
        let started = self.docker.start_container(&self.id, None).await;
        started.map_err(ContainerError::refused("start the container"))?;
        let (docker, id, logs) = (self.docker.clone(), self.id.clone(), self.logs.clone());
        tokio::spawn(async move {
            let end = tokio::select! {
                end = end_of(&docker, &id) => end,
                never = logs.keep_short() => match never {},
            };
            // Its last words say why.
            let _ = tokio::time::timeout(LAST_WORDS, logging).await;
            exited.send(Some(end))
        });
        Ok(())
    }

    async fn remove(&self) -> Result<(), ContainerError> {
        let removed = tokio::time::timeout(REMOVE, remove(&self.docker, &self.id)).await;
        let silent = |_| ContainerError::Refused {
            what: "remove the container",
            reason: format!("silent for {} s", REMOVE.as_secs()),
        };
        removed.map_err(silent)??;
        self.removed.store(true, Relaxed);
        Ok(())
    }

    /// Its output from the very beginning.
    async fn attach(&self) -> Result<AttachContainerResults, ContainerError> {
        let options = AttachContainerOptions {
            stream: true,
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let attached = self.docker.attach_container(&self.id, Some(options)).await;
        attached.map_err(ContainerError::refused("show what the container prints"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.removed.load(Relaxed) {
            let (docker, id) = (self.docker.clone(), self.id.clone());
            self.runtime
                .spawn(async move { remove(&docker, &id).await });
        }
    }
}

async fn remove(docker: &Docker, id: &str) -> Result<(), ContainerError> {
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..Default::default()
    };
    match docker.remove_container(id, Some(options)).await {
        Err(e) if !is_unknown(&e) => Err(ContainerError::refused("remove the container")(e)),
        _ => Ok(()),
    }
}

async fn ensure_image(
    docker: &Docker,
    spec: &ContainerSpec,
    told: impl Fn(String),
) -> Result<(), ContainerError> {
    let image = &spec.image;
    match docker.inspect_image(image).await {
        Ok(_) => return Ok(()),
        Err(e) if !is_unknown(&e) => return Err(ContainerError::refused("look for the image")(e)),
        Err(_) => {}
    }
    let missing = |reason: String| ContainerError::NoImage {
        image: image.clone(),
        reason,
    };
    if !spec.pull {
        return Err(missing(", and `pull` is false".into()));
    }
    let limit = Duration::try_from_secs_f64(spec.pull_timeout_s).unwrap_or(Duration::MAX);
    match tokio::time::timeout(limit, pull(docker, image, told)).await {
        Ok(pulled) => {
            pulled.map_err(|e| missing(format!(", and cannot be fetched: {}", reason(&e))))
        }
        Err(_) => Err(missing(format!(
            ", and was not fetched within {} s",
            spec.pull_timeout_s
        ))),
    }
}

async fn pull(
    docker: &Docker,
    image: &str,
    told: impl Fn(String),
) -> Result<(), bollard::errors::Error> {
    // Without a tag the API would fetch every one.
    let last = image.rsplit('/').next().unwrap_or_default();
    let named = if last.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:latest")
    };
    let options = CreateImageOptions {
        from_image: Some(named),
        ..Default::default()
    };
    let mut steps = docker.create_image(Some(options), None, None);
    while let Some(step) = steps.next().await {
        told(format!(
            "fetching {image}: {}",
            printable(&step?.status.unwrap_or_default())
        ));
    }
    Ok(())
}

/// Writes what the container prints to its log files, as it comes.
async fn keep_log(
    mut output: AttachContainerResults,
    stdout: File,
    stderr: File,
) -> std::io::Result<()> {
    let (mut stdout, mut stderr) = (
        tokio::fs::File::from_std(stdout),
        tokio::fs::File::from_std(stderr),
    );
    while let Some(Ok(written)) = output.output.next().await {
        let file = if matches!(written, LogOutput::StdErr { .. }) {
            &mut stderr
        } else {
            &mut stdout
        };
        file.write_all(&written.into_bytes()).await?;
        file.flush().await?;
    }
    Ok(())
}

/// Waits until the container has ended; says how.
async fn end_of(docker: &Docker, id: &str) -> String {
    loop {
        // What it says is asked for below; an error may be only the connection's.
        docker
            .wait_container(id, None::<WaitContainerOptions>)
            .next()
            .await;
        let state = match tokio::time::timeout(ANSWER, docker.inspect_container(id, None)).await {
            Ok(Ok(container)) => container.state.unwrap_or_default(),
            Ok(Err(e)) => return format!("Docker says of it: {}", reason(&e)),
            Err(_) => return "Docker does not answer any more".into(),
        };
        if state.running != Some(true) {
            let memory = if state.oom_killed == Some(true) {
                ", out of memory"
            } else {
                ""
            };
            let code = state
                .exit_code
                .map_or_else(|| "unknown".into(), |code| code.to_string());
            return format!("exit status: {code}{memory}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
