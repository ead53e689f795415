//! One launch, from the operator's metadata to a running program.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use csign_oci::image::{ContainerConfig, ImageConfig};

use super::{
    LaunchRequest, Monitoring, RestartPolicy, Running,
    discover::{Found, discover},
    furnish,
    instances::{Instance, Instances},
    policy::Policy,
    process::{MachineEnd, Output, Program, Stream},
    pull::Puller,
    root::{User, confine},
    teeserver::TeeServer,
    unpack::{directory, existing_file, unpack},
};
use crate::{
    Error, Result,
    attestation::{Container, Issuer},
    audit::{Audit, Decision},
    metadata_server::MetadataIdentity,
    simulator::WorkDir,
};

/// Where the launcher puts the default token and the socket, inside the container.
const LAUNCHER_DIRECTORY: &str = "run/container_launcher";
/// Tells programs of this project where the simulator is.
const ADDRESS: &str = "CSIGN_SIMULATOR";
/// `PATH` of an image that sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the launcher works with.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) registry: SocketAddr,
    pub(crate) issuer: Issuer,
    pub(crate) audit: Audit,
    pub(crate) work_dir: Arc<WorkDir>,
    pub(crate) root_helper: Option<PathBuf>,
    pub(crate) metadata: MetadataIdentity,
    pub(crate) instances: Instances,
}

/// Starts containers the way that a Confidential Space VM does; clones share their directory.
#[derive(Clone, Debug)]
pub struct Launcher {
    setting: Setting,
    puller: Puller,
    launches: Arc<AtomicU64>,
}

impl Launcher {
    pub(crate) fn new(setting: Setting) -> Self {
        Self { puller: Puller::new(setting.registry), setting, launches: Arc::default() }
    }

    /// Launches a container, in this order: 1. pull; 2. ports and launch policy; 3. signatures; 4. unpack and furnish;
    /// 5. token service; 6. program. The program's environment is the image's, changed only as the image allows, and the
    /// machine's host name.
    ///
    /// # Errors
    /// The image cannot be pulled, its policy refuses the request, a layer must not be unpacked, or its program cannot
    /// be started. Nothing runs then.
    pub async fn launch(&self, request: LaunchRequest) -> Result<Running> {
        let (instance, image) = (request.vm.instance.clone(), request.image.to_string());
        let decision = Decision { service: "launcher", method: "launch", principal: &instance, resource: &image };
        let (restart, hardened) = (request.restart_policy, request.vm.image.is_hardened());
        let outcome = self.start(request).await;
        match &outcome {
            Ok(_) => self.setting.audit.allow(decision, "the image's launch policy"),
            Err(error) => {
                let end = end_of_failed_launch(error, restart, hardened);
                self.setting.audit.deny(decision, format!("{error}; {end}"));
            }
        }
        outcome
    }

    /// What discovery found is a decision of its own: it says what of the token's signatures was counted, and why not more.
    fn record_signatures(&self, request: &LaunchRequest, found: &Found) {
        let (instance, image) = (request.vm.instance.as_str(), request.image.to_string());
        let decision = Decision { service: "launcher", method: "signatures", principal: instance, resource: &image };
        let keys: Vec<&str> = found.signatures.iter().map(|found| found.key_id.as_str()).collect();
        let repositories = request.signed_image_repos.len();
        let count = format!("{} valid in {repositories} repositories", keys.len());
        let clause = [vec![count.as_str()], keys, found.notes.iter().map(String::as_str).collect()].concat().join("; ");
        if found.signatures.is_empty() && repositories > 0 {
            self.setting.audit.deny(decision, clause);
        } else {
            self.setting.audit.allow(decision, clause);
        }
    }

    async fn start(&self, mut request: LaunchRequest) -> Result<Running> {
        let output = Arc::new(Output::default());
        let pull_error = |reason: String| Error::Pull { reference: request.image.to_string(), reason };
        // 1.
        let pulled = self.puller.image(&request.image).await?;
        let config = ImageConfig::parse(&pulled.config).map_err(|e| pull_error(e.to_string()))?;
        // 2.
        let ports = ports(&config.config)?;
        let policy = Policy::parse(&config.config.labels)?;
        if request.tells_address && policy.lets_set(ADDRESS) {
            request.env.entry(ADDRESS.to_owned()).or_insert_with(|| self.setting.registry.to_string());
        }
        policy.admit(&request)?;
        request.vm.platform.memory_monitoring |= request.monitoring != Monitoring::None;
        // 3.
        let found = discover(&self.puller, &request.signed_image_repos, &request.image.digest).await;
        let found = found.map_err(pull_error)?;
        self.record_signatures(&request, &found);
        for note in &found.notes {
            output.push(Stream::Launcher, note.clone());
        }
        for port in &ports {
            output.push(Stream::Launcher, format!("open to everyone: {port}"));
        }
        // 4.
        let root = self.fresh_root()?;
        let (layers, diff_ids, unpacked) = (pulled.layers, config.rootfs.diff_ids.clone(), root.clone());
        tokio::task::spawn_blocking(move || unpack(&unpacked, &layers, &diff_ids))
            .await
            .map_err(|e| Error::Resource(format!("unpacking the image: {e}")))??;
        let place = directory(&root, LAUNCHER_DIRECTORY).map_err(|reason| {
            let entry = LAUNCHER_DIRECTORY.to_owned();
            Error::Layer { layer: request.image.digest.to_string(), entry, reason }
        })?;
        let user = user_of(&config.config.user, &root)?;
        let args = arguments(&config.config, request.cmd.as_deref())?;
        let env = environment(&config.config, &request.env, &request.vm.instance)?;
        let working = if config.config.working_dir.is_empty() { "/" } else { &config.config.working_dir };
        furnish::furnish(&root, working, &request, &output).map_err(|(entry, reason)| Error::Layer {
            layer: request.image.digest.to_string(),
            entry,
            reason,
        })?;
        // 5.
        let container = Container {
            image_reference: request.image.to_string(),
            image_digest: request.image.digest,
            image_id: pulled.config_digest,
            restart_policy: request.restart_policy.as_str().to_owned(),
            args: args.clone(),
            env: env.iter().cloned().collect(),
            env_override: request.env,
            cmd_override: request.cmd.unwrap_or_default(),
            image_signatures: found.signatures,
        };
        let instance = Instance::new(&request.vm, &container, &output);
        self.setting.metadata.booted(&request.vm.service_account);
        let hardened = request.vm.image.is_hardened();
        let tee = TeeServer::start(&place, self.setting.issuer.clone(), request.vm, container)?;
        // 6.
        output.push(Stream::Launcher, request.log_redirect.notice());
        let program = Program {
            file: find_program(&root, &args[0], &env)?,
            args: args[1..].to_vec(),
            env,
            directory: PathBuf::from(working),
            restart: request.restart_policy,
            hardened,
        };
        let program = confine(program, &root, user, self.setting.root_helper.as_deref(), &output);
        let running = Running::start(program, output, tee, root)?;
        self.setting.instances.add(instance);
        Ok(running)
    }

    fn fresh_root(&self) -> Result<PathBuf> {
        let number = self.launches.fetch_add(1, Ordering::Relaxed);
        let root = self.setting.work_dir.path().join(format!("container-{}-{number}", std::process::id())).join("root");
        fs::create_dir_all(&root).map_err(Error::io(format!("creating {}", root.display())))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).map_err(Error::io("opening the root to all"))?;
        Ok(root)
    }
}

/// The registry or the machine may be better next time; an image and an operator's request stay what they are.
fn end_of_failed_launch(error: &Error, restart: RestartPolicy, hardened: bool) -> MachineEnd {
    let restart = match error {
        Error::Pull { .. } | Error::Io { .. } | Error::Resource(_) => restart,
        _ => RestartPolicy::Never,
    };
    MachineEnd::after(false, restart, hardened)
}

/// Entry point, then the operator's or the image's command. The command alone is not enough: an operator who may replace
/// it must not replace the program.
fn arguments(config: &ContainerConfig, cmd: Option<&[String]>) -> Result<Vec<String>> {
    let args: Vec<String> = config.entrypoint.iter().chain(cmd.unwrap_or(&config.cmd)).cloned().collect();
    if args.is_empty() {
        return Err(Error::LaunchPolicy("the image has neither an entry point nor a command".to_owned()));
    }
    match cmd {
        Some(cmd) if args.len() <= cmd.len() => Err(Error::LaunchPolicy(format!(
            "length of Args [{}] is shorter or equal to the length of the given Cmd [{}], maybe the Entrypoint is set to \
             empty in the image?",
            args.len(),
            cmd.len()
        ))),
        _ => Ok(args),
    }
}

/// What the image exposes, the only ports that the machine opens (`8080/tcp`).
fn ports(config: &ContainerConfig) -> Result<Vec<String>> {
    let Some(exposed) = config.extra.get("ExposedPorts").filter(|exposed| !exposed.is_null()) else {
        return Ok(Vec::new());
    };
    let malformed = |text: &str| {
        Error::LaunchPolicy(format!("failed to parse port and protocol: got {text}, expected [port]/[protocol] 80/tcp"))
    };
    let exposed = exposed.as_object().ok_or_else(|| malformed("no object"))?;
    for text in exposed.keys() {
        let (port, protocol) = text.split_once('/').ok_or_else(|| malformed(text))?;
        if port.parse::<u16>().is_err() {
            return Err(Error::LaunchPolicy(format!("received invalid port number: {port}")));
        }
        if !["tcp", "udp"].contains(&protocol) {
            return Err(Error::LaunchPolicy(format!("received unknown protocol: got {protocol}, expected tcp or udp")));
        }
    }
    Ok(exposed.keys().cloned().collect())
}

/// The search path where the image sets none, the image's variables, the host's name, then the overrides. Nothing of this
/// process's environment.
fn environment(
    config: &ContainerConfig,
    overrides: &BTreeMap<String, String>,
    host: &str,
) -> Result<Vec<(String, String)>> {
    let mut env = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    for pair in &config.env {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Error::LaunchPolicy(format!("the image's variable {pair:?} is not NAME=VALUE")))?;
        env.insert(name.to_owned(), value.to_owned());
    }
    env.insert("HOSTNAME".to_owned(), host.to_owned());
    env.extend(overrides.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(env.into_iter().collect())
}

/// The program's path inside the root: as written, or found in the image's `PATH`.
fn find_program(root: &Path, name: &str, env: &[(String, String)]) -> Result<PathBuf> {
    if name.contains('/') {
        return Ok(Path::new("/").join(name));
    }
    let path = env.iter().find(|(variable, _)| variable == "PATH").map_or("/usr/bin:/bin", |(_, value)| value);
    let candidates = path.split(':').map(|directory| Path::new("/").join(directory).join(name));
    let inside = |candidate: &Path| root.join(candidate.strip_prefix("/").unwrap_or(candidate));
    let mut existing = candidates.filter(|candidate| fs::symlink_metadata(inside(candidate)).is_ok());
    existing.next().ok_or_else(|| Error::File { path: name.into(), reason: format!("not in the image's PATH {path}") })
}

/// `USER[:GROUP]`, each a number or a name of the image's own `/etc/passwd` and `/etc/group`; empty is root.
fn user_of(text: &str, root: &Path) -> Result<User> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let lookup = |file: &str, name: &str, by_number: bool| -> Option<Vec<u32>> {
        let content = fs::read_to_string(existing_file(root, &format!("etc/{file}"))?).ok()?;
        let mut lines = content.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = lines.find(|fields| fields.get(usize::from(by_number) * 2) == Some(&name))?;
        Some(found.iter().skip(2).take(2).filter_map(|field| field.parse().ok()).collect())
    };
    let unknown = |what: &str| Error::LaunchPolicy(format!("the image's user {text:?} names an unknown {what}"));
    let (uid, default_gid) = if user.is_empty() {
        (0, 0)
    } else if let Ok(uid) = user.parse() {
        (uid, lookup("passwd", user, true).and_then(|ids| ids.get(1).copied()).unwrap_or(0))
    } else {
        match lookup("passwd", user, false).as_deref() {
            Some([uid, gid]) => (*uid, *gid),
            _ => return Err(unknown("user")),
        }
    };
    let gid = match group {
        None => default_gid,
        Some(group) => match group.parse() {
            Ok(gid) => gid,
            Err(_) => {
                lookup("group", group, false).and_then(|ids| ids.first().copied()).ok_or_else(|| unknown("group"))?
            }
        },
    };
    Ok(User { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_user_is_a_number_or_a_name_of_its_own_files() {
        let root = tempfile::tempdir().expect("root");
        fs::create_dir(root.path().join("etc")).expect("etc");
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:\nworkload:x:65532:65533::/:\n").expect("passwd");
        fs::write(root.path().join("etc/group"), "root:x:0:\nworkers:x:70:\n").expect("group");
        for (text, uid, gid) in [
            ("", 0, 0),
            ("65532", 65532, 65533),
            ("7", 7, 0),
            ("7:8", 7, 8),
            ("workload", 65532, 65533),
            ("workload:workers", 65532, 70),
        ] {
            assert_eq!(user_of(text, root.path()).expect(text), User { uid, gid }, "{text:?}");
        }
        for unknown in ["nobody", "workload:nobody", "-1", ":8x"] {
            assert!(user_of(unknown, root.path()).is_err(), "{unknown:?} was accepted");
        }
    }

    #[test]
    fn a_users_file_that_is_a_link_is_not_read() {
        let (root, outside) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("outside"));
        fs::write(outside.path().join("passwd"), "workload:x:0:0::/:\n").expect("passwd");
        std::os::unix::fs::symlink(outside.path(), root.path().join("etc")).expect("link");
        assert!(user_of("workload", root.path()).is_err());
    }
}
