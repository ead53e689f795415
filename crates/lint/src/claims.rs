//! The claims of an attestation token: which there are, and those of the token that a workload gets.

use csign_contract::{Contract, GOOGLE_ISSUER};
use csign_oci::Digest;
use serde_json::{Map, Value, json};

/// What a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// One of these texts; any, if there are none.
    Text(&'static [&'static str]),
    /// A boolean.
    Bool,
    /// A number.
    Number,
    /// A list of these texts; of any, if there are none.
    Texts(&'static [&'static str]),
    /// A list of objects, whose members are listed beside it.
    Objects,
    /// An object, whose members are listed beside it.
    Object,
    /// Anything, and whatever is below it.
    Any,
}

/// Claims of a token (`eat_profile`: Confidential Space token claims), without `assertion.`.
const CLAIMS: &[(&str, Holds)] = &[
    ("aud", Holds::Text(&[])),
    ("exp", Holds::Number),
    ("iat", Holds::Number),
    ("nbf", Holds::Number),
    ("iss", Holds::Text(&[])),
    ("sub", Holds::Text(&[])),
    ("eat_profile", Holds::Text(&[])),
    ("eat_nonce", Holds::Any),
    ("secboot", Holds::Bool),
    ("oemid", Holds::Number),
    ("hwmodel", Holds::Text(&["GCP_AMD_SEV", "GCP_AMD_SEV_ES", "GCP_INTEL_TDX", "GCP_SHIELDED_VM"])),
    ("swname", Holds::Text(&["CONFIDENTIAL_SPACE", "GCE"])),
    ("swversion", Holds::Texts(&[])),
    ("attester_tcb", Holds::Texts(&[])),
    ("dbgstat", Holds::Text(&["disabled-since-boot", "enabled"])),
    ("google_service_accounts", Holds::Texts(&[])),
    ("tdx", Holds::Any),
    ("submods", Holds::Object),
    ("submods.tdx", Holds::Any),
    ("submods.confidential_space", Holds::Object),
    ("submods.confidential_space.monitoring_enabled", Holds::Any),
    ("submods.confidential_space.support_attributes", Holds::Texts(&["LATEST", "STABLE", "USABLE", "EXPERIMENTAL"])),
    ("submods.container", Holds::Object),
    ("submods.container.image_reference", Holds::Text(&[])),
    ("submods.container.image_digest", Holds::Text(&[])),
    ("submods.container.image_id", Holds::Text(&[])),
    ("submods.container.restart_policy", Holds::Text(&["Never", "Always", "OnFailure"])),
    ("submods.container.args", Holds::Texts(&[])),
    ("submods.container.env", Holds::Any),
    ("submods.container.env_override", Holds::Any),
    ("submods.container.cmd_override", Holds::Any),
    ("submods.container.image_signatures", Holds::Objects),
    ("submods.container.image_signatures[].key_id", Holds::Text(&[])),
    ("submods.container.image_signatures[].signature", Holds::Text(&[])),
    (
        "submods.container.image_signatures[].signature_algorithm",
        Holds::Text(&["ECDSA_P256_SHA256", "RSASSA_PSS_SHA256", "RSASSA_PKCS1V15_SHA256"]),
    ),
    ("submods.gce", Holds::Object),
    ("submods.gce.zone", Holds::Text(&[])),
    ("submods.gce.project_id", Holds::Text(&[])),
    ("submods.gce.project_number", Holds::Text(&[])),
    ("submods.gce.instance_name", Holds::Text(&[])),
    ("submods.gce.instance_id", Holds::Text(&[])),
    ("submods.nvidia_gpu", Holds::Any),
];

/// What the claim at `path` (`submods.gce.zone`, an element of a list is `[]`) holds; nothing if there is no such claim.
pub(crate) fn claim(path: &str) -> Option<Holds> {
    for (name, holds) in CLAIMS {
        if *name == path {
            return Some(*holds);
        }
        let Some(below) = path.strip_prefix(name) else { continue };
        match holds {
            Holds::Any if below.starts_with(['.', '[']) => return Some(Holds::Any),
            Holds::Texts(values) if below == "[]" => return Some(Holds::Text(values)),
            Holds::Objects if below == "[]" => return Some(Holds::Object),
            _ => {}
        }
    }
    None
}

/// What stands in the token that the right workload gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// Project in which the VM runs.
    pub project: String,
    /// Its number.
    pub project_number: String,
    /// Zone.
    pub zone: String,
    /// Instance's name.
    pub instance: String,
    /// Instance's id.
    pub instance_id: String,
    /// The VM's service account.
    pub service_account: String,
    /// `hwmodel`.
    pub hardware: String,
    /// Repository, digest and what else the operator gave as `tee-image-reference`.
    pub image_reference: String,
    /// The image's digest.
    pub image_digest: String,
    /// Key id and algorithm of each signature that the attestation service found.
    pub signers: Vec<(String, String)>,
    /// `support_attributes`; none on a debug image.
    pub support: Option<Vec<String>>,
    /// What the operator replaced of the environment.
    pub env_override: Vec<(String, String)>,
    /// What the operator replaced of the command.
    pub cmd_override: Vec<String>,
    /// `iat`, in seconds since 1970.
    pub time: u64,
}

/// Seconds that a token lives.
const LIFETIME: u64 = 3600;
/// A time for tokens that nobody checks the time of.
const SOME_TIME: u64 = 1_757_097_315;

impl Default for TokenFacts {
    fn default() -> Self {
        let digest = Digest::of("the right image").to_string();
        Self {
            issuer: GOOGLE_ISSUER.to_owned(),
            audience: String::new(),
            project: "operator-project".to_owned(),
            project_number: "123456789012".to_owned(),
            zone: "us-central1-a".to_owned(),
            instance: "workload-1".to_owned(),
            instance_id: "1234567890123456789".to_owned(),
            service_account: "workload@operator-project.iam.gserviceaccount.com".to_owned(),
            hardware: "GCP_INTEL_TDX".to_owned(),
            image_reference: format!("us-central1-docker.pkg.dev/builder-project/repo/workload@{digest}"),
            image_digest: digest,
            signers: Vec::new(),
            support: Some(["LATEST", "STABLE", "USABLE"].map(str::to_owned).to_vec()),
            env_override: Vec::new(),
            cmd_override: Vec::new(),
            time: SOME_TIME,
        }
    }
}

impl TokenFacts {
    /// What a contract says about the token: where it runs, as whom, on what, and whose signatures it has.
    #[must_use]
    pub fn of_contract(mut self, contract: &Contract) -> Self {
        self.issuer = contract.environment.issuer().to_owned();
        self.project.clone_from(&contract.operator.project_id);
        self.service_account.clone_from(&contract.operator.service_account);
        self.image_reference = format!("{}@{}", contract.image.repository, self.image_digest);
        if let Some(hardware) = contract.platform.hardware.first() {
            self.hardware.clone_from(hardware);
        }
        let seen = contract.parties.iter().filter(|party| {
            // Confidential Space leaves out what it cannot verify.
            party.public_key.algorithm().is_read_by_confidential_space()
        });
        self.signers =
            seen.map(|party| (party.public_key.id().to_string(), party.public_key.algorithm().to_string())).collect();
        self
    }

    /// The claims.
    pub fn claims(&self) -> Value {
        let Self { project, zone, instance, .. } = self;
        let hardened = self.support.is_some();
        let mut claims = json!({
            "aud": self.audience,
            "exp": self.time.saturating_add(LIFETIME),
            "iat": self.time,
            "nbf": self.time,
            "iss": self.issuer,
            "sub": format!("https://www.googleapis.com/compute/v1/projects/{project}/zones/{zone}/instances/{instance}"),
            "eat_profile": "https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims",
            "secboot": true,
            "oemid": 11129,
            "hwmodel": self.hardware,
            "swname": "CONFIDENTIAL_SPACE",
            "swversion": ["250800"],
            "dbgstat": if hardened { "disabled-since-boot" } else { "enabled" },
            "google_service_accounts": [self.service_account],
            "submods": {
                "confidential_space": {"monitoring_enabled": {"memory": false}},
                "container": {
                    "image_reference": self.image_reference,
                    "image_digest": self.image_digest,
                    "image_id": Digest::of("the image's configuration"),
                    "restart_policy": "Never",
                    "args": ["/workload"],
                    "env": {},
                    "env_override": null,
                    "cmd_override": null,
                },
                "gce": {
                    "zone": zone,
                    "project_id": project,
                    "project_number": self.project_number,
                    "instance_name": instance,
                    "instance_id": self.instance_id,
                },
            },
        });
        if let Some(support) = &self.support {
            set(&mut claims, "submods.confidential_space.support_attributes", json!(support));
        }
        if self.hardware == "GCP_INTEL_TDX" {
            set(&mut claims, "attester_tcb", json!(["INTEL"]));
        }
        if !self.env_override.is_empty() {
            let overrides: Map<String, Value> =
                self.env_override.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            set(&mut claims, "submods.container.env_override", overrides.into());
        }
        if !self.cmd_override.is_empty() {
            set(&mut claims, "submods.container.cmd_override", json!(self.cmd_override));
        }
        set_signers(&mut claims, &self.signers);
        claims
    }
}

/// Lets exactly these keys have signed, each under the algorithm beside it.
pub(crate) fn set_signers(claims: &mut Value, signers: &[(String, String)]) {
    if signers.is_empty() {
        remove(claims, "submods.container.image_signatures");
        return;
    }
    let signatures: Vec<Value> = signers
        .iter()
        .map(|(id, algorithm)| json!({"key_id": id, "signature": "MAYCAQECAQE=", "signature_algorithm": algorithm}))
        .collect();
    set(claims, "submods.container.image_signatures", signatures.into());
}

/// The keys that signed, each with its algorithm.
pub(crate) fn signers(claims: &Value) -> Vec<(String, String)> {
    let signatures = get(claims, "submods.container.image_signatures").and_then(Value::as_array);
    let text = |signature: &Value, name: &str| Some(signature.get(name)?.as_str()?.to_owned());
    let pairs = signatures
        .into_iter()
        .flatten()
        .filter_map(|signature| Some((text(signature, "key_id")?, text(signature, "signature_algorithm")?)));
    pairs.collect()
}

/// The algorithm that most keys sign with.
pub(crate) const USUAL_ALGORITHM: &str = "ECDSA_P256_SHA256";

/// Lets a key have signed, under every algorithm that some signature has.
pub(crate) fn add_signer(claims: &mut Value, id: &str) {
    let mut all = signers(claims);
    let mut algorithms: Vec<String> = all.iter().map(|(_, algorithm)| algorithm.clone()).collect();
    algorithms.push(USUAL_ALGORITHM.to_owned());
    all.extend(algorithms.into_iter().map(|algorithm| (id.to_owned(), algorithm)));
    all.sort();
    all.dedup();
    set_signers(claims, &all);
}

/// Lets every key that signed have signed under this algorithm too.
pub(crate) fn add_algorithm(claims: &mut Value, algorithm: &str) {
    let mut all = signers(claims);
    let more: Vec<_> = all.iter().map(|(id, _)| (id.clone(), algorithm.to_owned())).collect();
    all.extend(more);
    all.sort();
    all.dedup();
    set_signers(claims, &all);
}

/// The key ids that stand in a text, alone or behind `ALGORITHM:`.
pub(crate) fn key_ids(text: &str) -> Vec<&str> {
    let hex = |part: &&str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(hex).collect()
}

/// The claim at a path of names.
pub(crate) fn get<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(claims, |value, name| value.get(name))
}

/// Sets the claim at a path of names; what is on the way becomes an object.
pub(crate) fn set(claims: &mut Value, path: &str, value: Value) {
    let mut place = claims;
    for name in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(members) = place.as_object_mut() else { return };
        place = members.entry(name).or_insert(Value::Null);
    }
    *place = value;
}

/// Removes the claim at a path of names.
pub(crate) fn remove(claims: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('.').map_or((None, path), |(parent, name)| (Some(parent), name));
    let parent = match parent {
        None => Some(claims),
        Some(parent) => parent.split('.').try_fold(claims, |value, name| value.get_mut(name)),
    };
    if let Some(members) = parent.and_then(Value::as_object_mut) {
        members.remove(name);
    }
}
