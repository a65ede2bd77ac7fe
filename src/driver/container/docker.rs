//! The daemon, and what it can be wrong with.

use crate::driver::text::printable;
use bollard::Docker;
use std::time::Duration;
use thiserror::Error;

/// The label by which lmrun's containers are found; its value says whose each is.
pub const LABEL: &str = "lmrun.owner";

/// How long the daemon may take for an answer that costs it nothing.
pub const ANSWER: Duration = Duration::from_secs(10);

/// Why there is no container.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// Nobody to ask.
    #[error("no Docker daemon answers at {address}: {reason}")]
    NoDaemon {
        /// Where it was looked for.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// No image.
    #[error("the image `{image}` is not on this machine{reason}")]
    NoImage {
        /// Its name.
        image: String,
        /// Why it is not fetched.
        reason: String,
    },
    /// The daemon does not want to.
    #[error("Docker does not {what}: {reason}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// No log file.
    #[error(transparent)]
    Log(#[from] crate::driver::process::StartError),
}

impl ContainerError {
    pub(super) fn refused(what: &'static str) -> impl Fn(bollard::errors::Error) -> Self {
        move |e| Self::Refused {
            what,
            reason: reason(&e),
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoDaemon { .. } => {
                "start it, be allowed to use it, or name another in DOCKER_HOST"
            }
            Self::NoImage { .. } => "fetch it with `docker pull`, which also knows your registries",
            Self::Refused { .. } => {
                "see what it says; a program that is not on the image's PATH is given with `program`"
            }
            Self::Log(error) => error.remedy(),
        }
    }
}

/// What the daemon said, without what bollard puts around it.
pub fn reason(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => {
            printable(message.trim())
        }
        other => printable(&root_cause(other)),
    }
}

/// Whether the daemon does not know what it was asked about.
pub fn is_unknown(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

/// The version of the daemon.
///
/// # Errors
/// When none answers.
pub async fn version() -> Result<String, ContainerError> {
    let docker = connect().await?;
    let asked = tokio::time::timeout(ANSWER, docker.version()).await;
    let silent = |_| ContainerError::Refused {
        what: "tell its version",
        reason: "silent".into(),
    };
    let told = asked
        .map_err(silent)?
        .map_err(ContainerError::refused("tell its version"))?;
    Ok(told.version.unwrap_or_else(|| "of unknown version".into()))
}

/// Where the daemon is: `DOCKER_HOST`, else this machine's.
pub fn address() -> String {
    let named = std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty());
    named.unwrap_or_else(|| "unix:///var/run/docker.sock".into())
}

/// Whether the daemon is one of this machine.
pub fn is_local() -> bool {
    address().starts_with("unix://")
}

/// The daemon, in a version of its API that both know.
pub async fn connect() -> Result<Docker, ContainerError> {
    let address = address();
    let absent = |reason| ContainerError::NoDaemon {
        address: address.clone(),
        reason,
    };
    let docker = Docker::connect_with_host(&address).map_err(|e| absent(reason(&e)))?;
    match tokio::time::timeout(ANSWER, docker.negotiate_version()).await {
        Ok(docker) => docker.map_err(|e| absent(reason(&e))),
        Err(_) => Err(absent(format!("silent for {} s", ANSWER.as_secs()))),
    }
}
