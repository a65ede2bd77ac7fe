//! What a container is made of, in the words of `docker run`.

use super::docker::LABEL;
use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, PortBinding,
};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The network of the host itself: the engine's port is the host's.
pub const HOST_NETWORK: &str = "host";

/// What a container is made of. The command, its environment and its port come from the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// The image, as `docker run` names it.
    pub image: String,
    /// The GPUs that it sees; all, where the engine uses any and nothing is said.
    #[serde(default)]
    pub gpus: Option<Gpus>,
    /// Folders, files and volumes in it, as `from:to` or `from:to:ro`.
    #[serde(default)]
    pub mounts: Vec<String>,
    /// Added to the environment of the engine.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables that it has from this program's environment. Their values are written nowhere.
    #[serde(default)]
    pub env_from: Vec<String>,
    /// Its network. On another than the host's, the engine's port is published.
    #[serde(default = "host_network")]
    pub network: String,
    /// Whose shared memory it sees: `host`, or its own.
    #[serde(default)]
    pub ipc: Option<String>,
    /// The size of its own shared memory, GiB.
    #[serde(default = "shm")]
    pub shm_gib: u32,
    /// Devices of the host in it, such as `/dev/kfd`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// As whom it runs, as `user` or `uid:gid`.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether an image that is not on this machine is fetched.
    #[serde(default = "yes")]
    pub pull: bool,
    /// How long that may take, seconds.
    #[serde(default = "pull_timeout")]
    pub pull_timeout_s: f64,
}

fn host_network() -> String {
    HOST_NETWORK.into()
}

fn shm() -> u32 {
    16
}

fn yes() -> bool {
    true
}

fn pull_timeout() -> f64 {
    3600.0
}

/// GPUs of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gpus {
    /// Every one.
    All,
    /// Some, by number or UUID. In the container they are numbered from 0.
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
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
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
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn check(&self) -> Result<(), String> {
        if self.image.is_empty() {
            return Err("a container needs its `image`".into());
        }
        if let Some(mount) = self.mounts.iter().find(|mount| !mount.contains(':')) {
            return Err(format!(
                "the mount `{mount}` is no `from:to` or `from:to:ro`"
            ));
        }
        let absent = |name: &&String| std::env::var_os(name).is_none();
        match self.env_from.iter().find(absent) {
            Some(name) => Err(format!(
                "`env_from` names `{name}`, which the environment does not have"
            )),
            None => Ok(()),
        }
    }

    /// Where a program in it listens so that it can be reached at `host` from outside.
    pub fn listens_on<'a>(&self, host: &'a str) -> &'a str {
        if self.network == HOST_NETWORK {
            host
        } else {
            "0.0.0.0"
        }
    }

    /// The container that runs `argv`, in the words of the API.
    pub(super) fn body(
        &self,
        argv: &[String],
        env: &BTreeMap<String, String>,
        port: Published<'_>,
        gpus: &Gpus,
        owner: String,
    ) -> ContainerCreateBody {
        let (program, words) = argv.split_at(argv.len().min(1));
        let published = (self.network != HOST_NETWORK).then(|| format!("{}/tcp", port.number));
        ContainerCreateBody {
            image: Some(self.image.clone()),
            // The engine's command takes the place of the image's.
            entrypoint: Some(program.to_vec()),
            cmd: Some(words.to_vec()),
            env: Some(self.environment(env)),
            user: self.user.clone(),
            labels: Some(HashMap::from([(LABEL.to_owned(), owner)])),
            exposed_ports: published.clone().map(|port| vec![port]),
            host_config: Some(HostConfig {
                binds: Some(self.mounts.clone()),
                network_mode: Some(self.network.clone()),
                port_bindings: published
                    .map(|inside| HashMap::from([(inside, Some(vec![port.binding()]))])),
                ipc_mode: self.ipc.clone(),
                shm_size: Some(i64::from(self.shm_gib) << 30),
                devices: Some(self.devices.iter().map(|path| device(path)).collect()),
                device_requests: requested(gpus).map(|request| vec![request]),
                // What it prints goes to lmrun's own files, and nowhere else.
                log_config: Some(HostConfigLogConfig {
                    typ: Some("none".into()),
                    config: None,
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }

    fn environment(&self, engine: &BTreeMap<String, String>) -> Vec<String> {
        let handed_on = self
            .env_from
            .iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)));
        let given = engine
            .iter()
            .chain(&self.env)
            .map(|(name, value)| (name, value.clone()));
        let all: BTreeMap<&String, String> = handed_on.chain(given).collect();
        all.into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

/// The port that the host has for it.
#[derive(Clone, Copy)]
pub(super) struct Published<'a> {
    pub host: &'a str,
    pub number: u16,
}

impl Published<'_> {
    fn binding(self) -> PortBinding {
        PortBinding {
            host_ip: Some(self.host.into()),
            host_port: Some(self.number.to_string()),
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

/// As `docker run --gpus` asks for them; `None` for none.
fn requested(gpus: &Gpus) -> Option<DeviceRequest> {
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

    fn body(spec: &ContainerSpec, gpus: &Gpus) -> serde_json::Value {
        let argv = ["serve", "--port", "8000"].map(String::from);
        let env = BTreeMap::from([
            ("A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "1".to_owned()),
        ]);
        let port = Published {
            host: "127.0.0.1",
            number: 8000,
        };
        serde_json::to_value(spec.body(&argv, &env, port, gpus, "me".into())).expect("JSON")
    }

    #[test]
    fn the_command_takes_the_place_of_the_images() {
        let body = body(&spec(r#"{"image": "i", "env": {"B": "2"}}"#), &Gpus::All);
        assert_eq!(body["Entrypoint"], serde_json::json!(["serve"]));
        assert_eq!(body["Cmd"], serde_json::json!(["--port", "8000"]));
        assert_eq!(body["Env"], serde_json::json!(["A=1", "B=2"]));
        assert_eq!(body["HostConfig"]["NetworkMode"], "host");
        assert_eq!(body["HostConfig"]["PortBindings"], serde_json::Value::Null);
        assert_eq!(body["HostConfig"]["DeviceRequests"][0]["Count"], -1);
        assert_eq!(body["Labels"]["lmrun.owner"], "me");
    }

    #[test]
    fn a_network_of_its_own_publishes_the_port() {
        let spec = spec(r#"{"image": "i", "network": "bridge", "gpus": [1, "GPU-x"]}"#);
        let gpus = spec.gpus.clone().expect("some");
        let body = body(&spec, &gpus);
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
    fn no_gpu_is_asked_for_where_none_is_wanted() {
        let body = body(&spec(r#"{"image": "i"}"#), &Gpus::These(Vec::new()));
        assert_eq!(
            body["HostConfig"]["DeviceRequests"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        for (json, problem) in [
            (r#"{"image": ""}"#, "a container needs its `image`"),
            (
                r#"{"image": "i", "mounts": ["/a"]}"#,
                "the mount `/a` is no `from:to` or `from:to:ro`",
            ),
            (
                r#"{"image": "i", "env_from": ["LMRUN_NO_SUCH"]}"#,
                "`env_from` names `LMRUN_NO_SUCH`, which the environment does not have",
            ),
        ] {
            assert_eq!(spec(json).check(), Err(problem.into()));
        }
        let error = serde_json::from_str::<ContainerSpec>(r#"{"image": "i", "gpus": "two"}"#);
        let error = error.expect_err("no number").to_string();
        assert!(
            error.contains("expected \"all\" or an array such as [0, 1]"),
            "{error}"
        );
    }
}
