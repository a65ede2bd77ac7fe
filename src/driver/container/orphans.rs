//! Containers whose lmrun was killed.

use super::docker::{LABEL, connect, is_local};
use crate::driver::owner::{Fate, Owner};
use bollard::Docker;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use std::collections::HashMap;
use std::time::Duration;

/// How long the whole search may take: without it a run starts all the same.
const LIMIT: Duration = Duration::from_secs(20);

/// Removes the containers of owners that have ended; says which. Where no daemon answers, there is
/// nothing to be removed.
pub async fn remove_orphans() -> Vec<String> {
    tokio::time::timeout(LIMIT, search())
        .await
        .unwrap_or_default()
}

/// The same, outside of a runtime.
pub fn remove_orphans_now() {
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        runtime.block_on(remove_orphans());
    }
}

async fn search() -> Vec<String> {
    let (Some(this), Ok(docker)) = (Owner::this(), connect().await) else {
        return Vec::new();
    };
    let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
    let options = ListContainersOptions {
        all: true,
        filters: Some(filters),
        ..Default::default()
    };
    let ours = docker
        .list_containers(Some(options))
        .await
        .unwrap_or_default();
    let mut removed = Vec::new();
    for container in ours
        .iter()
        .filter(|container| is_orphan(container, &this, is_local()))
    {
        removed.extend(remove(&docker, container).await);
    }
    removed
}

/// A daemon of this machine keeps what an earlier boot left, ended; that of another machine may
/// serve an lmrun there.
fn is_orphan(container: &ContainerSummary, this: &Owner, local: bool) -> bool {
    let label = container
        .labels
        .as_ref()
        .and_then(|labels| labels.get(LABEL));
    let Some(owner) = label.and_then(|label| Owner::of(label)) else {
        return false;
    };
    match owner.fate(this) {
        Fate::Ended => true,
        Fate::OtherBoot => local && container.state == Some(ContainerSummaryStateEnum::EXITED),
        Fate::MayLive => false,
    }
}

async fn remove(docker: &Docker, container: &ContainerSummary) -> Option<String> {
    let id = container.id.as_ref()?;
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..Default::default()
    };
    // One that another lmrun removes at the same moment is removed.
    docker.remove_container(id, Some(options)).await.ok()?;
    let image = container.image.as_deref().unwrap_or("no name");
    Some(format!(
        "removed the container {} of {image}, whose lmrun was killed",
        &id[..12.min(id.len())]
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
    fn a_live_owner_keeps_its_containers() {
        use ContainerSummaryStateEnum::{EXITED, RUNNING};
        let this = Owner::this().expect("Linux");
        let mine = this.label();
        let other_boot = format!("x{mine}");
        let ended = mine
            .rsplit_once('/')
            .map(|(owner, _)| format!("{owner}/1"))
            .expect("a start");
        for (label, state, local, is) in [
            (&mine, RUNNING, true, false),
            (&mine, EXITED, true, false),
            (&ended, RUNNING, false, true),
            (&other_boot, RUNNING, true, false),
            (&other_boot, EXITED, false, false),
            (&other_boot, EXITED, true, true),
            (&"somebody".to_owned(), EXITED, true, false),
        ] {
            assert_eq!(
                is_orphan(&container(label, state), &this, local),
                is,
                "{label} {state:?} {local}"
            );
        }
        assert!(
            !is_orphan(&ContainerSummary::default(), &this, true),
            "no label"
        );
    }
}
