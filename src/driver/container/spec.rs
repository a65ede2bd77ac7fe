//! The options of a container, with the names of `docker run`.

use super::docker::LABEL;
use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, PortBinding,
};
use schemars::JsonSchema;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// The host's network: the engine's port is a port of the host.
pub(crate) const HOST_NETWORK: &str = "host";

/// The options of a container. The command, its environment and its port come from the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// Image, as `docker run` names it.
    pub image: String,
    /// Visible GPUs: "all", or an array such as `[0, 1]`; in the container they are numbered from
    /// 0. By default, "all" if the engine uses any.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub gpus: Option<Gpus>,
    /// Mounts of folders, files and volumes: `"from:to"` or `"from:to:ro"`. An LMCache
    /// configuration is mounted automatically.
    #[serde(default)]
    pub mounts: Vec<String>,
    /// Environment variables to add, as a map. They override those of the engine.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of variables to pass from the environment of lmrun, such as `["HF_TOKEN"]`. Their
    /// values are written nowhere.
    #[serde(default)]
    pub env_from: Vec<String>,
    /// Docker network. Unless it is "host", the port of the engine is published.
    #[serde(default = "host_network")]
    pub network: String,
    /// IPC namespace: "host" for the shared memory of the host.
    #[serde(default)]
    pub ipc: Option<String>,
    /// Size of the shared memory, in GiB.
    #[serde(default = "shm_gib")]
    pub shm_gib: u32,
    /// Devices of the host, such as `["/dev/kfd", "/dev/dri"]`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// User, as `user` or `uid:gid`.
    #[serde(default)]
    pub user: Option<String>,
    /// Pull a missing image.
    #[serde(default = "pull")]
    pub pull: bool,
    /// Time to pull an image, in seconds.
    #[serde(default = "pull_timeout_s")]
    pub pull_timeout_s: f64,
}

fn host_network() -> String {
    HOST_NETWORK.into()
}

fn shm_gib() -> u32 {
    16
}

fn pull() -> bool {
    true
}

fn pull_timeout_s() -> f64 {
    3600.0
}

/// GPUs of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gpus {
    /// All GPUs.
    All,
    /// Some GPUs, by number or UUID. In the container they are numbered from 0.
    #[serde(untagged)]
    These(Vec<String>),
}

impl<'de> Deserialize<'de> for Gpus {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(GpusVisitor)
    }
}

struct GpusVisitor;

impl<'de> Visitor<'de> for GpusVisitor {
    type Value = Gpus;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"all\" or an array such as [0, 1]")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Gpus, E> {
        match word {
            "all" => Ok(Gpus::All),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Gpus, A::Error> {
        let mut these = Vec::new();
        while let Some(gpu) = array.next_element::<serde_json::Value>()? {
            these.push(gpu.as_str().map_or_else(|| gpu.to_string(), str::to_owned));
        }
        Ok(Gpus::These(these))
    }
}

impl ContainerSpec {
    /// Checks the options.
    ///
    /// # Errors
    /// Fails if an option is invalid.
    pub fn check(&self) -> Result<(), String> {
        if self.image.is_empty() {
            return Err("a container needs its `image`".into());
        }
        if let Some(mount) = self.mounts.iter().find(|mount| !mount.contains(':')) {
            return Err(format!("invalid mount `{mount}`: expected `from:to[:ro]`"));
        }
        for name in &self.env_from {
            if std::env::var_os(name).is_none() {
                return Err(format!(
                    "`env_from` names `{name}`, which the environment does not have"
                ));
            }
        }
        Ok(())
    }

    /// Returns the address on which a program in it must listen to be reached at `host`.
    pub fn listens_on<'a>(&self, host: &'a str) -> &'a str {
        if self.network == HOST_NETWORK {
            host
        } else {
            "0.0.0.0"
        }
    }

    /// Returns the environment as `name=value`: that of the engine, and the options' above it.
    fn environment(&self, engine: &BTreeMap<String, String>) -> Vec<String> {
        let mut all = BTreeMap::new();
        for name in &self.env_from {
            if let Ok(value) = std::env::var(name) {
                all.insert(name, value);
            }
        }
        for (name, value) in engine.iter().chain(&self.env) {
            all.insert(name, value.clone());
        }
        all.into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

/// A container to start, and the files for its output.
pub(crate) struct ContainerLine<'a> {
    /// The options.
    pub(crate) spec: &'a ContainerSpec,
    /// The program and its arguments, instead of the image's.
    pub(crate) argv: Vec<String>,
    /// The environment of the engine.
    pub(crate) env: BTreeMap<String, String>,
    /// The host address of its port.
    pub(crate) host: &'a str,
    /// The port.
    pub(crate) port: u16,
    /// The GPUs in it.
    pub(crate) gpus: Gpus,
    /// The file that standard output is appended to.
    pub(crate) stdout: PathBuf,
    /// The file that standard error is appended to.
    pub(crate) stderr: PathBuf,
}

impl ContainerLine<'_> {
    /// Returns the body of the API's request to create the container.
    pub(super) fn create_body(&self, owner: String) -> ContainerCreateBody {
        let spec = self.spec;
        let (program, arguments) = self.argv.split_at(self.argv.len().min(1));
        let published = (spec.network != HOST_NETWORK).then(|| format!("{}/tcp", self.port));
        ContainerCreateBody {
            image: Some(spec.image.clone()),
            // The engine's program replaces that of the image.
            entrypoint: Some(program.to_vec()),
            cmd: Some(arguments.to_vec()),
            env: Some(spec.environment(&self.env)),
            user: spec.user.clone(),
            labels: Some(HashMap::from([(LABEL.to_owned(), owner)])),
            exposed_ports: published.clone().map(|port| vec![port]),
            host_config: Some(HostConfig {
                binds: Some(spec.mounts.clone()),
                network_mode: Some(spec.network.clone()),
                port_bindings: published
                    .map(|port| HashMap::from([(port, Some(vec![self.port_binding()]))])),
                ipc_mode: spec.ipc.clone(),
                shm_size: Some(i64::from(spec.shm_gib) << 30),
                devices: Some(spec.devices.iter().map(|path| device(path)).collect()),
                device_requests: gpu_request(&self.gpus).map(|request| vec![request]),
                // Its output goes only to lmrun's log files.
                log_config: Some(HostConfigLogConfig {
                    typ: Some("none".into()),
                    config: None,
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }

    fn port_binding(&self) -> PortBinding {
        PortBinding {
            host_ip: Some(self.host.into()),
            host_port: Some(self.port.to_string()),
        }
    }
}

fn device(path: &str) -> DeviceMapping {
    let path = Some(path.to_owned());
    DeviceMapping {
        path_on_host: path.clone(),
        path_in_container: path,
        cgroup_permissions: Some("rwm".into()),
    }
}

/// Returns the request for GPUs that `docker run --gpus` makes, or `None` for no GPU.
fn gpu_request(gpus: &Gpus) -> Option<DeviceRequest> {
    let request = DeviceRequest {
        capabilities: Some(vec![vec!["gpu".into()]]),
        ..DeviceRequest::default()
    };
    match gpus {
        Gpus::All => Some(DeviceRequest {
            count: Some(-1),
            ..request
        }),
        Gpus::These(none) if none.is_empty() => None,
        Gpus::These(ids) => Some(DeviceRequest {
            device_ids: Some(ids.clone()),
            ..request
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> ContainerSpec {
        serde_json::from_str(json).expect("a spec")
    }

    fn body(spec: &ContainerSpec, gpus: Gpus) -> serde_json::Value {
        let line = ContainerLine {
            spec,
            argv: ["serve", "--port", "8000"].map(String::from).to_vec(),
            env: ["A", "B"].map(|name| (name.into(), "1".into())).into(),
            host: "127.0.0.1",
            port: 8000,
            gpus,
            stdout: PathBuf::new(),
            stderr: PathBuf::new(),
        };
        serde_json::to_value(line.create_body("me".into())).expect("JSON")
    }

    #[test]
    fn the_command_replaces_that_of_the_image() {
        let body = body(&spec(r#"{"image": "i", "env": {"B": "2"}}"#), Gpus::All);
        assert_eq!(body["Entrypoint"], serde_json::json!(["serve"]));
        assert_eq!(body["Cmd"], serde_json::json!(["--port", "8000"]));
        assert_eq!(body["Env"], serde_json::json!(["A=1", "B=2"]));
        assert_eq!(body["HostConfig"]["NetworkMode"], "host");
        assert_eq!(body["HostConfig"]["PortBindings"], serde_json::Value::Null);
        assert_eq!(body["HostConfig"]["DeviceRequests"][0]["Count"], -1);
        assert_eq!(body["Labels"]["lmrun.owner"], "me");
    }

    #[test]
    fn a_bridge_network_publishes_the_port() {
        let spec = spec(r#"{"image": "i", "network": "bridge", "gpus": [1, "GPU-x"]}"#);
        let gpus = spec.gpus.clone().expect("some");
        let body = body(&spec, gpus);
        let binding = &body["HostConfig"]["PortBindings"]["8000/tcp"][0];
        assert_eq!(
            (&binding["HostIp"], &binding["HostPort"]),
            (&"127.0.0.1".into(), &"8000".into())
        );
        let request = &body["HostConfig"]["DeviceRequests"][0];
        assert_eq!(request["DeviceIDs"], serde_json::json!(["1", "GPU-x"]));
        assert_eq!(spec.listens_on("127.0.0.1"), "0.0.0.0");
    }

    #[test]
    fn no_gpu_is_requested_for_an_empty_list() {
        let body = body(&spec(r#"{"image": "i"}"#), Gpus::These(Vec::new()));
        assert_eq!(
            body["HostConfig"]["DeviceRequests"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn invalid_options_are_errors() {
        for (json, problem) in [
            (r#"{"image": ""}"#, "a container needs its `image`"),
            (
                r#"{"image": "i", "mounts": ["/a"]}"#,
                "invalid mount `/a`: expected `from:to[:ro]`",
            ),
            (
                r#"{"image": "i", "env_from": ["LMRUN_NO_SUCH"]}"#,
                "`env_from` names `LMRUN_NO_SUCH`, which the environment does not have",
            ),
        ] {
            assert_eq!(spec(json).check(), Err(problem.into()));
        }
        let error = serde_json::from_str::<ContainerSpec>(r#"{"image": "i", "gpus": "two"}"#);
        let error = error.expect_err("not a list").to_string();
        assert!(
            error.contains("expected \"all\" or an array such as [0, 1]"),
            "{error}"
        );
    }
}
