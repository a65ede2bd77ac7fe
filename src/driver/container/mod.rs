//! Containers, through the Docker Engine API: started, watched, and removed with their volumes. The
//! next run finds the containers of a killed lmrun by their label.

mod docker;
mod orphans;
mod running;
mod spec;

pub(crate) use docker::{ContainerError, version};
pub(crate) use orphans::{remove_orphans, remove_orphans_blocking};
pub(crate) use running::Container;
pub(crate) use spec::{ContainerLine, ContainerSpec, Gpus, HOST_NETWORK};
