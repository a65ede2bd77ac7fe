//! Containers of killed lmruns.

use super::docker::{DaemonHost, LABEL, connect};
use crate::driver::owner::{OwnerId, OwnerState};
use bollard::Docker;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use std::collections::HashMap;
use std::time::Duration;

/// The maximum time of a search. After it a run starts without the rest.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Removes the containers of owners that have exited. Returns a message about each. Removes none if
/// no daemon answers.
pub(crate) async fn remove_orphans() -> Vec<String> {
    tokio::time::timeout(SEARCH_TIMEOUT, search())
        .await
        .unwrap_or_default()
}

/// Does the same as [`remove_orphans`], outside of a runtime.
pub(crate) fn remove_orphans_blocking() {
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        runtime.block_on(remove_orphans());
    }
}

async fn search() -> Vec<String> {
    let Some(this) = OwnerId::current() else {
        return Vec::new();
    };
    let Ok(docker) = connect().await else {
        return Vec::new();
    };
    let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
    let options = ListContainersOptions {
        all: true,
        filters: Some(filters),
        ..Default::default()
    };
    let Ok(containers) = docker.list_containers(Some(options)).await else {
        return Vec::new();
    };
    let mut messages = Vec::new();
    for container in containers {
        if is_orphan(&container, &this, DaemonHost::current()) {
            messages.extend(remove(&docker, &container).await);
        }
    }
    messages
}

/// Returns true if the owner of a container has exited.
///
/// A local daemon keeps the containers of earlier boots, which have exited. Those of a remote
/// daemon may belong to an lmrun on its machine.
fn is_orphan(container: &ContainerSummary, this: &OwnerId, daemon: DaemonHost) -> bool {
    let label = container
        .labels
        .as_ref()
        .and_then(|labels| labels.get(LABEL));
    let Some(owner) = label.and_then(|label| OwnerId::from_label(label)) else {
        return false;
    };
    match owner.state(this) {
        OwnerState::Exited => true,
        OwnerState::OtherBoot => {
            daemon == DaemonHost::Local
                && container.state == Some(ContainerSummaryStateEnum::EXITED)
        }
        OwnerState::MayLive => false,
    }
}

async fn remove(docker: &Docker, container: &ContainerSummary) -> Option<String> {
    let id = container.id.as_ref()?;
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..Default::default()
    };
    // Fails if another lmrun removes it at the same time.
    docker.remove_container(id, Some(options)).await.ok()?;
    let image = container.image.as_deref().unwrap_or("unknown");
    let short_id = &id[..12.min(id.len())];
    Some(format!(
        "removed the container {short_id}, image {image}, left by a killed lmrun"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(label: &str, state: ContainerSummaryStateEnum) -> ContainerSummary {
        let labels = Some(HashMap::from([(LABEL.to_owned(), label.to_owned())]));
        ContainerSummary {
            labels,
            state: Some(state),
            ..Default::default()
        }
    }

    #[test]
    fn containers_of_living_owners_are_not_orphans() {
        use ContainerSummaryStateEnum::{EXITED, RUNNING};
        use DaemonHost::{Local, Remote};
        let this = OwnerId::current().expect("Linux");
        let own = this.label();
        let other_boot = format!("x{own}");
        let (owner, _) = own.rsplit_once('/').expect("a start");
        let exited = format!("{owner}/1");
        for (label, state, daemon, expected) in [
            (own.as_str(), RUNNING, Local, false),
            (&own, EXITED, Local, false),
            (&exited, RUNNING, Remote, true),
            (&other_boot, RUNNING, Local, false),
            (&other_boot, EXITED, Remote, false),
            (&other_boot, EXITED, Local, true),
            ("invalid", EXITED, Local, false),
        ] {
            assert_eq!(
                is_orphan(&container(label, state), &this, daemon),
                expected,
                "{label} {state:?} {daemon:?}"
            );
        }
        assert!(
            !is_orphan(&ContainerSummary::default(), &this, Local),
            "no label"
        );
    }
}
