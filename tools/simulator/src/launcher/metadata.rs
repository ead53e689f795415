//! What the operator says about a launch: the instance metadata `tee-*`.

use std::collections::BTreeMap;

use csign_oci::{Pinned, Reference, Repository};

use crate::{Error, Result, attestation::Vm};

/// When the launcher starts the program again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    Never,
    /// Whenever it ends.
    Always,
    /// When it ends with another status than 0.
    OnFailure,
}

impl RestartPolicy {
    /// The metadata's and the token's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "Never",
            Self::Always => "Always",
            Self::OnFailure => "OnFailure",
        }
    }
}

/// What to launch, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// `tee-image-reference`.
    pub image: Pinned,
    /// `tee-env-NAME`.
    pub env: BTreeMap<String, String>,
    /// `tee-cmd`: replaces the image's command, not its entry point.
    pub cmd: Option<Vec<String>>,
    /// `tee-restart-policy`.
    pub restart_policy: RestartPolicy,
    /// `tee-signed-image-repos`.
    pub signed_image_repos: Vec<Repository>,
    /// The machine.
    pub vm: Vm,
}

impl LaunchRequest {
    /// A launch of `image` on `vm` that overrides nothing and looks for signatures in the image's own repository.
    pub fn new(image: Pinned, vm: Vm) -> Self {
        let signed_image_repos = vec![image.repository.clone()];
        Self { image, env: BTreeMap::new(), cmd: None, restart_policy: RestartPolicy::Never, signed_image_repos, vm }
    }

    /// Reads instance metadata, as an operator gives them to `gcloud compute instances create --metadata`.
    ///
    /// # Errors
    /// A key that the simulator does not know, a value of another form, no image reference, or one that is not pinned.
    pub fn from_metadata(metadata: &BTreeMap<String, String>, vm: Vm) -> Result<Self> {
        let wrong = |key: &str, why: String| Error::Metadata(format!("{key}: {why}"));
        let image = metadata.get("tee-image-reference").ok_or_else(|| {
            Error::Metadata("tee-image-reference is missing; it names the image to launch".to_owned())
        })?;
        let image = match Reference::parse(image) {
            Ok(Reference::Pinned(pinned)) => pinned,
            Ok(Reference::Tagged(..)) => return Err(wrong("tee-image-reference", format!("{image} is not pinned"))),
            Err(error) => return Err(wrong("tee-image-reference", error.to_string())),
        };
        let mut request = Self { signed_image_repos: Vec::new(), ..Self::new(image, vm) };
        for (key, value) in metadata {
            match key.as_str() {
                "tee-image-reference" => {}
                "tee-cmd" => {
                    let cmd = serde_json::from_str(value).map_err(|e| wrong(key, format!("not a JSON array: {e}")))?;
                    request.cmd = Some(cmd);
                }
                "tee-restart-policy" => {
                    let policies = [RestartPolicy::Never, RestartPolicy::Always, RestartPolicy::OnFailure];
                    let policy = policies.into_iter().find(|policy| policy.as_str() == value);
                    request.restart_policy =
                        policy.ok_or_else(|| wrong(key, format!("{value:?} is not Never, Always or OnFailure")))?;
                }
                "tee-signed-image-repos" => {
                    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                        let repository = Repository::parse(name).map_err(|e| wrong(key, e.to_string()))?;
                        request.signed_image_repos.push(repository);
                    }
                }
                // The program's output always goes to whoever launched it.
                "tee-container-log-redirect" => {}
                _ => match key.strip_prefix("tee-env-") {
                    Some(name) if !name.is_empty() => {
                        request.env.insert(name.to_owned(), value.clone());
                    }
                    _ => return Err(wrong(key, "the simulator does not know this key".to_owned())),
                },
            }
        }
        Ok(request)
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
        ])
        .expect("reads");
        assert_eq!(request.env["A"], "1");
        assert_eq!(request.cmd.expect("cmd"), ["x", "y"]);
        assert_eq!(request.restart_policy, RestartPolicy::OnFailure);
        assert_eq!(request.signed_image_repos.len(), 2);
    }

    #[test]
    fn malformed_metadata_are_refused() {
        for pair in [
            ("tee-cmd", "x y"),
            ("tee-restart-policy", "never"),
            ("tee-signed-image-repos", "not a repository"),
            ("tee-env-", "x"),
            ("tee-unknown", "x"),
            ("tee-image-reference", "registry.simulator.localhost/app:latest"),
        ] {
            assert!(read(&[pair]).is_err(), "{pair:?} was accepted");
        }
    }
}
