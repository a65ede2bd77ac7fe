//! A running container.

use super::docker::{ANSWER_TIMEOUT, ContainerError, connect, is_unknown, reason};
use super::spec::{ContainerLine, ContainerSpec};
use crate::driver::logs::Logs;
use crate::driver::owner::OwnerId;
use crate::driver::process_id::descendants;
use crate::driver::process_tree::{Graces, KILL_S, open_log};
use crate::driver::secrets;
use crate::driver::text::printable;
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, CreateImageOptions, KillContainerOptions,
    RemoveContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// The time within which a container must be removed: the daemon unmounts its file systems.
const REMOVE_TIMEOUT: Duration = Duration::from_mins(1);
/// The time to wait for the last output of a container that has exited.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(2);

/// A started container. Dropping it removes it.
pub(crate) struct Container {
    docker: Docker,
    id: String,
    exit: watch::Receiver<Option<String>>,
    logs: Logs,
    removed: AtomicBool,
    runtime: tokio::runtime::Handle,
}

impl Container {
    /// Starts a container, and fetches its image first if it is missing; `progress` gets messages
    /// about that.
    ///
    /// # Errors
    /// Fails if the daemon or the image is missing, a log file cannot be written, or the daemon
    /// refuses.
    pub(crate) async fn start(
        line: &ContainerLine<'_>,
        progress: impl Fn(String),
    ) -> Result<Self, ContainerError> {
        let docker = connect().await?;
        ensure_image(&docker, line.spec, progress).await?;
        secrets::register_flags(&line.argv);
        let variables = line.env.iter().chain(&line.spec.env);
        secrets::register(variables.map(|(name, value)| (name.as_str(), value.as_str())));
        let (stdout, to_stdout) = open_log(&line.stdout)?;
        let (stderr, to_stderr) = open_log(&line.stderr)?;
        // Without an owner it is not removed after a kill of lmrun.
        let owner = OwnerId::current().map(|owner| owner.label());
        let created = docker
            .create_container(
                None::<CreateContainerOptions>,
                line.create_body(owner.unwrap_or_default()),
            )
            .await
            .map_err(ContainerError::refused("create the container"))?;
        let (exit_sender, exit) = watch::channel(None);
        let container = Self {
            docker,
            id: printable(&created.id),
            exit,
            logs: Logs([stdout, stderr]),
            removed: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::current(),
        };
        if let Err(error) = container.run(exit_sender, to_stdout, to_stderr).await {
            // Report the reason why it did not start, not a failed removal.
            let _ = container.remove().await;
            return Err(error);
        }
        Ok(container)
    }

    /// Returns its short id.
    pub(crate) fn id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Returns a receiver of its exit status, as text. It does not borrow the container.
    pub(crate) fn exit(&self) -> watch::Receiver<Option<String>> {
        self.exit.clone()
    }

    /// Returns the log files.
    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Returns the PIDs of its processes, or `None` if they are not on this machine, or cannot be
    /// seen from here.
    pub(crate) async fn members(&self) -> Option<Vec<i32>> {
        let inspect = self.docker.inspect_container(&self.id, None);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, inspect).await;
        let first = answer.ok()?.ok()?.state?.pid? as i32;
        // In another process-id namespace the PID is another process's.
        let groups = std::fs::read_to_string(format!("/proc/{first}/cgroup")).ok()?;
        if !groups.contains(&self.id) {
            return None;
        }
        let mut members = vec![first];
        members.extend(descendants([first]).iter().map(|process| process.pid));
        Some(members)
    }

    /// Sends SIGINT, then SIGTERM, then SIGKILL, each with its grace period, until it has exited;
    /// then removes it.
    ///
    /// # Errors
    /// Fails if the daemon does not remove it.
    pub(crate) async fn close(&self, graces: Graces) -> Result<(), ContainerError> {
        for (signal, grace_s) in [
            ("SIGINT", graces.interrupt_s),
            ("SIGTERM", graces.terminate_s),
            ("SIGKILL", KILL_S),
        ] {
            if self.exit.borrow().is_some() {
                break;
            }
            let options = KillContainerOptions {
                signal: signal.into(),
            };
            // Fails if it has just exited.
            let _ = self.docker.kill_container(&self.id, Some(options)).await;
            let mut exit = self.exit();
            let exits = exit.wait_for(Option::is_some);
            let _ = tokio::time::timeout(Duration::from_secs_f64(grace_s), exits).await;
        }
        self.logs.remove_secrets().await;
        self.remove().await
    }

    /// Starts it, and a task that writes its logs and reports its exit to `exit`.
    async fn run(
        &self,
        exit: watch::Sender<Option<String>>,
        stdout: File,
        stderr: File,
    ) -> Result<(), ContainerError> {
        let output = self.attach().await?;
        let logging = tokio::spawn(write_logs(output, stdout, stderr));
        self.docker
            .start_container(&self.id, None)
            .await
            .map_err(ContainerError::refused("start the container"))?;
        let docker = self.docker.clone();
        let id = self.id.clone();
        let logs = self.logs.clone();
        tokio::spawn(async move {
            let status = tokio::select! {
                status = exit_status(&docker, &id) => status,
                never = logs.keep_short() => match never {},
            };
            // Its last output has the reason of its exit.
            let _ = tokio::time::timeout(LAST_OUTPUT_TIMEOUT, logging).await;
            exit.send(Some(status))
        });
        Ok(())
    }

    async fn remove(&self) -> Result<(), ContainerError> {
        tokio::time::timeout(REMOVE_TIMEOUT, remove(&self.docker, &self.id))
            .await
            .map_err(|_| ContainerError::silent("remove the container", REMOVE_TIMEOUT))??;
        self.removed.store(true, Relaxed);
        Ok(())
    }

    /// Attaches to its output, from the first byte.
    async fn attach(&self) -> Result<AttachContainerResults, ContainerError> {
        let options = AttachContainerOptions {
            stream: true,
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let attached = self.docker.attach_container(&self.id, Some(options)).await;
        attached.map_err(ContainerError::refused("attach to the container's output"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.removed.load(Relaxed) {
            let docker = self.docker.clone();
            let id = self.id.clone();
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

/// Fetches the image of a container if it is missing and `pull` is true.
async fn ensure_image(
    docker: &Docker,
    spec: &ContainerSpec,
    progress: impl Fn(String),
) -> Result<(), ContainerError> {
    match docker.inspect_image(&spec.image).await {
        Ok(_) => return Ok(()),
        Err(e) if !is_unknown(&e) => return Err(ContainerError::refused("look for the image")(e)),
        Err(_) => {}
    }
    let limit = Duration::try_from_secs_f64(spec.pull_timeout_s).unwrap_or(Duration::MAX);
    let reason = if spec.pull {
        match tokio::time::timeout(limit, pull(docker, &spec.image, progress)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(e)) => format!(", and cannot be fetched: {}", reason(&e)),
            Err(_) => format!(", and was not fetched within {} s", spec.pull_timeout_s),
        }
    } else {
        ", and `pull` is false".into()
    };
    Err(ContainerError::NoImage {
        image: spec.image.clone(),
        reason,
    })
}

async fn pull(
    docker: &Docker,
    image: &str,
    progress: impl Fn(String),
) -> Result<(), bollard::errors::Error> {
    // Without a tag the API would fetch all of them.
    let (_, name) = image.rsplit_once('/').unwrap_or(("", image));
    let with_tag = if name.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:latest")
    };
    let options = CreateImageOptions {
        from_image: Some(with_tag),
        ..Default::default()
    };
    let mut steps = docker.create_image(Some(options), None, None);
    while let Some(step) = steps.next().await {
        if let Some(status) = step?.status {
            progress(format!("fetching {image}: {}", printable(&status)));
        }
    }
    Ok(())
}

/// Writes the output of a container to its log files as it arrives.
async fn write_logs(
    mut output: AttachContainerResults,
    stdout: File,
    stderr: File,
) -> std::io::Result<()> {
    let mut stdout = tokio::fs::File::from_std(stdout);
    let mut stderr = tokio::fs::File::from_std(stderr);
    while let Some(Ok(written)) = output.output.next().await {
        let file = match written {
            LogOutput::StdErr { .. } => &mut stderr,
            _ => &mut stdout,
        };
        file.write_all(&written.into_bytes()).await?;
        file.flush().await?;
    }
    Ok(())
}

/// Waits until the container has exited, and returns its status as text.
async fn exit_status(docker: &Docker, id: &str) -> String {
    loop {
        // It may fail with the connection, so the state is requested afterwards.
        docker
            .wait_container(id, None::<WaitContainerOptions>)
            .next()
            .await;
        let inspect = docker.inspect_container(id, None);
        let state = match tokio::time::timeout(ANSWER_TIMEOUT, inspect).await {
            Ok(Ok(container)) => container.state.unwrap_or_default(),
            Ok(Err(e)) => return format!("exit status unknown: {}", reason(&e)),
            Err(_) => return "exit status unknown: Docker does not answer".into(),
        };
        if state.running != Some(true) {
            let code = match state.exit_code {
                Some(code) => code.to_string(),
                None => "unknown".into(),
            };
            let memory = match state.oom_killed {
                Some(true) => ", out of memory",
                _ => "",
            };
            return format!("exit status: {code}{memory}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
