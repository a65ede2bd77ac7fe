//! Containers that are always owned, through the Docker Engine API: started, watched, and removed
//! with all that is in them. What a killed owner left, the next one finds by its label.

mod docker;
mod orphans;
mod running;
mod spec;

pub use docker::{ContainerError, version};
pub use orphans::{remove_orphans, remove_orphans_now};
pub use running::{Container, ContainerLine};
pub use spec::{ContainerSpec, Gpus, HOST_NETWORK};
