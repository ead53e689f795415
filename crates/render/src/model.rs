//! What a role needs to exist. `gcloud` and `terraform` are both printed from this, so they cannot disagree.

use std::collections::BTreeMap;

use csign_oci::Digest;

use crate::Rules;

/// Everything that a role needs, in the order in which it can be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The role, as on the command line.
    pub(crate) role: String,
    /// The role's own project.
    pub(crate) project: String,
    /// The contract that it follows from.
    pub(crate) contract: Digest,
    /// What must exist.
    pub(crate) steps: Vec<Step>,
    /// What wrote it, for those who read what was written.
    pub(crate) command: String,
    /// Is it everything that the role needs? Part of it cannot be torn down.
    pub(crate) is_whole: bool,
}

/// One thing, and why it is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// For people; one line of ours, nothing foreign in it.
    pub(crate) why: &'static str,
    /// What must exist.
    pub(crate) resource: Resource,
}

/// Something that exists in a project.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resource {
    /// The project has this number: an identity pool is named by number, everything else by id.
    ProjectNumber { project: String, number: String },
    /// APIs that are switched on.
    Services { project: String, services: Vec<&'static str> },
    /// A service account.
    ServiceAccount { project: String, id: String },
    /// A repository of container images.
    Repository { project: String, location: String, id: String },
    /// A key ring. It cannot be deleted.
    KeyRing { project: String, location: String, id: String },
    /// A key. It cannot be deleted; its versions can be destroyed.
    Key { project: String, location: String, ring: String, id: String, purpose: Purpose, protection: &'static str },
    /// A bucket for builds.
    Bucket { project: String, location: String, name: String },
    /// A build that people start.
    Trigger {
        project: String,
        region: String,
        name: String,
        repository: String,
        branch: String,
        config: String,
        account: String,
    },
    /// A network without subnets of its own making.
    Network { project: String, name: String },
    /// A subnet whose machines reach Google's APIs without an address of their own.
    Subnet { project: String, region: String, name: String, network: String, range: String },
    /// A static address.
    Address { project: String, region: String, name: String },
    /// A router.
    Router { project: String, region: String, name: String, network: String },
    /// NAT with that address.
    Nat { project: String, region: String, name: String, router: String, address: String },
    /// Lets these ranges reach a port of machines with a tag.
    Firewall { project: String, name: String, network: String, tag: String, port: u16, sources: Vec<String> },
    /// A topic.
    Topic { project: String, id: String },
    /// A subscription that does not expire.
    Subscription { project: String, id: String, topic: String, ack_seconds: u32, dead_letter: Option<(String, u32)> },
    /// A workload identity pool.
    Pool { project: String, id: String },
    /// An OIDC provider in it.
    Provider { project: String, pool: String, id: String, issuer: String, audience: String, rules: Rules },
    /// Who holds a role on something; if exclusive, nobody else does.
    Members { on: On, role: &'static str, members: Vec<String>, exclusive: bool },
    /// Audit logs of everything that these services do with data.
    AuditLogs { project: String, services: Vec<&'static str> },
    /// An alert on entries of the log.
    Alert { project: String, title: &'static str, filter: String, channels: Vec<String> },
    /// A Confidential Space machine.
    Instance(Machine),
    /// A template of such machines. Its name changes with its content, since a template does not.
    Template(Machine),
    /// A managed group of such machines.
    Group { project: String, zone: String, name: String, template: String, size: u32 },
    /// This must not be there any more: a right, a provider, a machine.
    Gone(Box<Resource>),
    /// The workload of this image used a key of the project, as its audit log of these days says.
    Used { project: String, pool: String, digest: Digest },
    /// No machine of the project runs this image.
    NoMachine { project: String, reference: String },
    /// A service perimeter.
    Perimeter { policy: String, name: String, number: String, services: Vec<&'static str>, ingress: serde_json::Value },
}

/// What a role is held on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// A project.
    Project(String),
    /// A repository of images.
    Repository { project: String, location: String, id: String },
    /// A key.
    Key { project: String, location: String, ring: String, id: String },
    /// A bucket.
    Bucket { project: String, name: String },
    /// A topic.
    Topic { project: String, id: String },
    /// A subscription.
    Subscription { project: String, id: String },
    /// A secret.
    Secret { project: String, id: String },
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Encrypting and decrypting.
    Encryption,
    /// Signing under this algorithm, as Cloud KMS names it (`ec-sign-p256-sha256`).
    Signing(&'static str),
}

/// A Confidential Space machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) project: String,
    pub(crate) zone: String,
    pub(crate) name: String,
    /// For instance `c3-standard-4`.
    pub(crate) machine_type: String,
    /// `TDX` or `SEV`.
    pub(crate) technology: &'static str,
    pub(crate) service_account: String,
    pub(crate) region: String,
    pub(crate) subnet: String,
    pub(crate) tag: String,
    /// What the launcher reads.
    pub(crate) metadata: BTreeMap<&'static str, String>,
}

impl Machine {
    /// Where the image comes from.
    pub(crate) const IMAGE_PROJECT: &str = "confidential-space-images";
    /// The production image; `confidential-space-debug` is the one that no contract accepts.
    pub(crate) const IMAGE_FAMILY: &str = "confidential-space";
}
