//! The Docker daemon and its errors.

use crate::driver::process_tree::StartError;
use crate::driver::text::printable;
use bollard::Docker;
use bollard::errors::Error as DockerError;
use std::time::Duration;
use thiserror::Error;

/// The label of lmrun's containers. Its value is the label of their owner.
pub(super) const LABEL: &str = "lmrun.owner";

/// The time within which the daemon must answer a simple request.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why a container was not started, or not removed.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// The daemon does not answer.
    #[error("no Docker daemon answers at {address}: {reason}")]
    NoDaemon {
        /// The address of the daemon.
        address: String,
        /// The system's message.
        reason: String,
    },
    /// The image is missing.
    #[error("the image `{image}` is not on this machine{reason}")]
    NoImage {
        /// The name of the image.
        image: String,
        /// The reason why it was not fetched.
        reason: String,
    },
    /// The daemon refused a request.
    #[error("Docker cannot {action}: {reason}")]
    Refused {
        /// The requested action.
        action: &'static str,
        /// The daemon's message.
        reason: String,
    },
    /// A log file cannot be written.
    #[error(transparent)]
    Log(#[from] StartError),
}

impl ContainerError {
    /// Returns a function that makes an error of a failed `action` from the daemon's.
    pub(super) fn refused(action: &'static str) -> impl Fn(DockerError) -> Self {
        move |e| Self::Refused {
            action,
            reason: reason(&e),
        }
    }

    /// Returns the error of an `action` that was not answered within `limit`.
    pub(super) fn silent(action: &'static str, limit: Duration) -> Self {
        Self::Refused {
            action,
            reason: no_answer(limit),
        }
    }

    /// Returns advice for the user.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoDaemon { .. } => {
                "start Docker, get permission to use it, or set DOCKER_HOST to another daemon"
            }
            Self::NoImage { .. } => "fetch it with `docker pull`, which also knows your registries",
            Self::Refused { .. } => {
                "see Docker's message; if the program is not on the image's PATH, set `program`"
            }
            Self::Log(error) => error.remedy(),
        }
    }
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// Returns the daemon's message, without bollard's additions.
pub(super) fn reason(error: &DockerError) -> String {
    match error {
        DockerError::DockerResponseServerError { message, .. } => printable(message.trim()),
        other => printable(&root_cause(other)),
    }
}

/// Returns true if the daemon does not know the image or container of the request.
pub(super) fn is_unknown(error: &DockerError) -> bool {
    matches!(
        error,
        DockerError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

/// Returns the version of the daemon.
///
/// # Errors
/// Fails if no daemon answers.
pub(crate) async fn version() -> Result<String, ContainerError> {
    const ACTION: &str = "report its version";
    let docker = connect().await?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, docker.version())
        .await
        .map_err(|_| ContainerError::silent(ACTION, ANSWER_TIMEOUT))?
        .map_err(ContainerError::refused(ACTION))?;
    Ok(answer
        .version
        .unwrap_or_else(|| "of unknown version".into()))
}

/// Returns the address of the daemon: `DOCKER_HOST`, or else this machine's socket.
fn address() -> String {
    std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "unix:///var/run/docker.sock".into())
}

/// The machine of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DaemonHost {
    /// This machine.
    Local,
    /// Possibly another machine.
    Remote,
}

impl DaemonHost {
    /// Returns the machine of the daemon at [`address`].
    pub(super) fn current() -> Self {
        if address().starts_with("unix://") {
            Self::Local
        } else {
            Self::Remote
        }
    }
}

/// Connects to the daemon, in a version of its API that both know.
pub(super) async fn connect() -> Result<Docker, ContainerError> {
    let address = address();
    let connected = async {
        let docker = Docker::connect_with_host(&address).map_err(|e| reason(&e))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, docker.negotiate_version()).await {
            Ok(docker) => docker.map_err(|e| reason(&e)),
            Err(_) => Err(no_answer(ANSWER_TIMEOUT)),
        }
    };
    connected.await.map_err(|reason| ContainerError::NoDaemon {
        address: address.clone(),
        reason,
    })
}
