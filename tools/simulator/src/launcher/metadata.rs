//! Reads what the operator says about a launch: the instance metadata `tee-*`, with the launcher's own words for what is
//! wrong.

use std::collections::BTreeMap;

use csign_oci::{Reference, Repository};

use super::request::{LaunchRequest, LogRedirect, Monitoring, Mount, RestartPolicy};
use crate::{Error, Result, attestation::Vm};

const ENV: &str = "tee-env-";
const MONITORING: &str = "tee-monitoring-enable";
const MEMORY_MONITORING: &str = "tee-monitoring-memory-enable";

impl LaunchRequest {
    /// Reads instance metadata, as an operator gives them to `gcloud compute instances create --metadata`. Keys that do
    /// not start with `tee-` are somebody else's.
    ///
    /// # Errors
    /// A `tee-` key that the simulator does not know, which the real launcher passes over; a value of another form; no
    /// image reference, or one that is not pinned, which the real launcher takes.
    pub fn from_metadata(metadata: &BTreeMap<String, String>, vm: Vm) -> Result<Self> {
        let get = |key: &str| metadata.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let wrong = |why: String| Error::Metadata(why);
        let image = get("tee-image-reference")
            .ok_or_else(|| wrong("tee-image-reference is not specified in the custom metadata".to_owned()))?;
        let image = match Reference::parse(image) {
            Ok(Reference::Pinned(pinned)) => pinned,
            Ok(Reference::Tagged(..)) => return Err(wrong(format!("tee-image-reference: {image} is not pinned"))),
            Err(error) => return Err(wrong(format!("tee-image-reference: {error}"))),
        };
        let mut request = Self { signed_image_repos: Vec::new(), ..Self::new(image, vm) };
        if metadata.contains_key(MONITORING) && metadata.contains_key(MEMORY_MONITORING) {
            let both = format!("both {MEMORY_MONITORING} and {MONITORING} are specified, only one is permitted");
            return Err(wrong(both));
        }
        for (key, value) in metadata {
            match key.strip_prefix(ENV) {
                Some("") => return Err(wrong(format!("{key} names no variable"))),
                Some(name) => drop(request.env.insert(name.to_owned(), value.clone())),
                None if key.starts_with("tee-") && !value.is_empty() => request.set(key, value).map_err(wrong)?,
                None => {}
            }
        }
        Ok(request)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let flag = || bool_of(value).ok_or_else(|| format!("invalid value for {key} (not a boolean): {value:?}"));
        let strings = || serde_json::from_str(value).map_err(|error| format!("{key}: not a JSON array: {error}"));
        match key {
            "tee-image-reference" => {}
            "tee-cmd" => self.cmd = Some(strings()?),
            "tee-restart-policy" => {
                let policies = [RestartPolicy::Never, RestartPolicy::Always, RestartPolicy::OnFailure];
                let policy = policies.into_iter().find(|policy| policy.as_str() == value);
                self.restart_policy = policy.ok_or_else(|| format!("invalid restart policy: {value}"))?;
            }
            "tee-signed-image-repos" => {
                for name in value.split(',') {
                    let repository = Repository::parse(name.trim()).map_err(|error| format!("{key}: {error}"))?;
                    self.signed_image_repos.push(repository);
                }
            }
            "tee-impersonate-service-accounts" => {
                self.vm.platform.impersonated.extend(value.split(',').map(str::to_owned));
            }
            "tee-container-log-redirect" => {
                self.log_redirect =
                    LogRedirect::ALL.into_iter().find(|place| place.as_str() == value).ok_or_else(|| {
                        let all = LogRedirect::ALL.map(LogRedirect::as_str).join(" ");
                        format!("invalid logging redirect location {value}, expect one of [{all}]")
                    })?;
            }
            MONITORING => self.monitoring = Monitoring::parse(value)?,
            MEMORY_MONITORING => self.monitoring = if flag()? { Monitoring::MemoryOnly } else { Monitoring::None },
            "tee-dev-shm-size-kb" => {
                let size = value.parse().map_err(|_| format!("failed to convert {key} into uint64, got: {value}"))?;
                self.dev_shm_kib = fits_into_memory(size)?;
            }
            "tee-mount" => {
                for mount in value.split(';') {
                    let mount = Mount::parse(mount)?;
                    fits_into_memory(mount.size.unwrap_or(0) / 1024)
                        .map_err(|why| format!("failed to validate mounts: {why}"))?;
                    self.mounts.push(mount);
                }
            }
            "tee-added-capabilities" => self.capabilities = strings()?,
            "tee-cgroup-ns" => self.cgroup_namespace = flag()?,
            // Known, and without a meaning here: there is no GPU, and the default token is always refreshed.
            "tee-install-gpu-driver" | "tee-disable-gca-refresh" => drop(flag()?),
            _ => return Err(format!("{key}: the simulator does not know this key")),
        }
        Ok(())
    }
}

impl Mount {
    /// `type=tmpfs,source=tmpfs,destination=/path[,size=BYTES]`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut options = BTreeMap::new();
        for option in text.split(',') {
            let (name, value) =
                option.split_once('=').ok_or_else(|| format!("failed to parse mount option: {option}"))?;
            if !["type", "source", "destination", "size"].contains(&name) {
                return Err(format!(
                    "found unknown mount option: {option}, expect keys of [type source destination size]"
                ));
            }
            options.insert(name, value);
        }
        if options.get("type") != Some(&"tmpfs") {
            return Err(format!("found unknown or unspecified mount type: [{text}], expect one of types [tmpfs]"));
        }
        let source = options.get("source").copied().unwrap_or_default();
        if source != "tmpfs" {
            return Err(format!("received wrong mount source {source}, expected tmpfs"));
        }
        let destination = options.get("destination").copied().unwrap_or_default();
        if destination.is_empty() {
            return Err("mount type \"tmpfs\" must have destination specified".to_owned());
        }
        let size = options
            .get("size")
            .map(|size| size.parse().map_err(|_| format!("failed to convert size option \"{size}\" to uint64")));
        Ok(Self { destination: format!("/{}", destination.trim_start_matches('/')), size: size.transpose()? })
    }
}

/// As Go reads a boolean, which is what the launcher does.
pub(super) fn bool_of(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// More than this machine has free is refused. Where that cannot be found out, nothing is.
fn fits_into_memory(kib: u64) -> Result<u64, String> {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = memory.lines().find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB")?.parse().ok());
    match free {
        Some(free) if kib > free => Err(format!("got a /dev/shm size ({kib}) larger than free memory ({free}) kB")),
        _ => Ok(kib),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Image;

    fn vm() -> Vm {
        let text = str::to_owned;
        Vm {
            project: text("p"),
            project_number: text("1"),
            zone: text("z"),
            instance: text("i"),
            instance_id: text("2"),
            service_account: text("sa@p"),
            image: Image::Production,
            platform: Default::default(),
        }
    }

    fn read(pairs: &[(&str, &str)]) -> Result<LaunchRequest> {
        let image = format!("registry.simulator.localhost/app@sha256:{}", "0".repeat(64));
        let mut metadata = BTreeMap::from([("tee-image-reference".to_owned(), image)]);
        metadata.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        LaunchRequest::from_metadata(&metadata, vm())
    }

    #[test]
    fn metadata_become_a_request() {
        let request = read(&[
            ("tee-env-A", "1"),
            ("tee-cmd", "[\"x\",\"y\"]"),
            ("tee-restart-policy", "OnFailure"),
            ("tee-signed-image-repos", "registry.simulator.localhost/app, registry.simulator.localhost/other"),
            ("tee-impersonate-service-accounts", "a@p,b@p"),
            ("tee-container-log-redirect", "cloud_logging"),
            ("tee-monitoring-enable", "memoryOnly"),
            ("tee-mount", "type=tmpfs,source=tmpfs,destination=/a;type=tmpfs,source=tmpfs,destination=b,size=4096"),
            ("tee-dev-shm-size-kb", "64"),
            ("tee-added-capabilities", "[\"CAP_NET_ADMIN\"]"),
            ("tee-cgroup-ns", "True"),
            ("enable-oslogin", "TRUE"),
        ])
        .expect("reads");
        assert_eq!(request.env["A"], "1");
        assert_eq!(request.cmd.expect("cmd"), ["x", "y"]);
        assert_eq!(request.restart_policy, RestartPolicy::OnFailure);
        assert_eq!(request.signed_image_repos.len(), 2);
        assert_eq!(request.vm.platform.impersonated, ["a@p", "b@p"]);
        assert_eq!(request.log_redirect, LogRedirect::CloudLogging);
        assert_eq!(request.monitoring, Monitoring::MemoryOnly);
        assert_eq!(request.mounts[0], Mount { destination: "/a".to_owned(), size: None });
        assert_eq!(request.mounts[1], Mount { destination: "/b".to_owned(), size: Some(4096) });
        assert_eq!((request.dev_shm_kib, request.cgroup_namespace), (64, true));
        assert_eq!(request.capabilities, ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn malformed_metadata_are_refused_in_the_launchers_words() {
        for (key, value, words) in [
            ("tee-cmd", "x y", "tee-cmd"),
            ("tee-restart-policy", "never", "invalid restart policy: never"),
            ("tee-signed-image-repos", "not a repository", "tee-signed-image-repos"),
            ("tee-env-", "x", "tee-env-"),
            ("tee-unknown", "x", "does not know"),
            ("tee-image-reference", "registry.simulator.localhost/app:latest", "not pinned"),
            ("tee-image-reference", "", "tee-image-reference is not specified in the custom metadata"),
            (
                "tee-container-log-redirect",
                "stdout",
                "invalid logging redirect location stdout, expect one of [true cloud_logging serial false]",
            ),
            ("tee-monitoring-enable", "some", "invalid monitoring type some"),
            ("tee-monitoring-memory-enable", "yes", "invalid value for tee-monitoring-memory-enable (not a boolean)"),
            ("tee-cgroup-ns", "yes", "invalid value for tee-cgroup-ns (not a boolean)"),
            ("tee-dev-shm-size-kb", "-1", "failed to convert tee-dev-shm-size-kb into uint64, got: -1"),
            ("tee-dev-shm-size-kb", "18446744073709551615", "larger than free memory"),
            ("tee-mount", "type=bind,source=/,destination=/a", "expect one of types [tmpfs]"),
            ("tee-mount", "type=tmpfs,source=/,destination=/a", "received wrong mount source /, expected tmpfs"),
            ("tee-mount", "type=tmpfs,source=tmpfs", "must have destination specified"),
            ("tee-mount", "type=tmpfs,source=tmpfs,destination=/a,mode=1", "found unknown mount option: mode=1"),
            ("tee-mount", "type=tmpfs,source=tmpfs,destination=/a,size=1k", "failed to convert size option \"1k\""),
        ] {
            let error = read(&[(key, value)]).expect_err(key).to_string();
            assert!(error.contains(words), "{key}={value}: {error}");
        }
        let both = read(&[(MONITORING, "all"), (MEMORY_MONITORING, "true")]).expect_err("both").to_string();
        assert!(both.contains("only one is permitted"), "{both}");
    }
}
