//! One resource as one call of the script's functions: `ensure_KIND` and `remove_KIND` take the same arguments.

use super::shell::word;
use crate::{Machine, On, Purpose, Resource};

/// A call.
pub(crate) struct Call {
    /// Which file of functions it needs.
    pub(super) file: &'static str,
    kind: &'static str,
    /// How many of the arguments name it: what its removal needs.
    names: usize,
    arguments: Vec<String>,
    is_gone: bool,
}

/// As many characters as a line may have.
const LINE: usize = 110;

impl Call {
    /// The call for a resource.
    pub(crate) fn of(resource: &Resource) -> Self {
        let (file, kind, names, arguments) = match resource {
            Resource::ProjectNumber { project, number } => ("project", "project_number", 1, words([project, number])),
            Resource::Services { project, services } => {
                ("services", "services", 1, [words([project]), words(services)].concat())
            }
            Resource::ServiceAccount { project, id } => ("service_account", "service_account", 2, words([project, id])),
            Resource::Repository { project, location, id } => {
                ("repository", "repository", 3, words([project, location, id]))
            }
            Resource::KeyRing { project, location, id } => ("key", "key_ring", 3, words([project, location, id])),
            Resource::Key { project, location, ring, id, purpose, protection } => {
                let (purpose, algorithm) = match purpose {
                    Purpose::Encryption => ("encryption", "google-symmetric-encryption"),
                    Purpose::Signing(algorithm) => ("asymmetric-signing", *algorithm),
                };
                let key = words([project, location, ring, id]);
                ("key", "key", 4, [key, words([purpose, algorithm, protection])].concat())
            }
            Resource::Bucket { project, location, name } => ("bucket", "bucket", 3, words([project, location, name])),
            Resource::Trigger { project, region, name, repository, branch, config, account } => {
                ("trigger", "trigger", 3, words([project, region, name, repository, branch, config, account]))
            }
            Resource::Network { project, name } => ("network", "network", 2, words([project, name])),
            Resource::Subnet { project, region, name, network, range } => {
                ("network", "subnet", 3, words([project, region, name, network, range]))
            }
            Resource::Address { project, region, name } => ("network", "address", 3, words([project, region, name])),
            Resource::Router { project, region, name, network } => {
                ("network", "router", 3, words([project, region, name, network]))
            }
            Resource::Nat { project, region, name, router, address } => {
                ("network", "nat", 4, words([project, region, name, router, address]))
            }
            Resource::Firewall { project, name, network, tag, port, sources } => {
                let rule = words([project, name, network, tag, &port.to_string()]);
                ("firewall", "firewall", 2, [rule, sources.clone()].concat())
            }
            Resource::Topic { project, id } => ("pubsub", "topic", 2, words([project, id])),
            Resource::Subscription { project, id, topic, ack_seconds, dead_letter } => {
                let mut arguments = words([project, id, topic, &ack_seconds.to_string()]);
                if let Some((topic, attempts)) = dead_letter {
                    arguments.extend(words([topic, &attempts.to_string()]));
                }
                ("pubsub", "subscription", 2, arguments)
            }
            Resource::Pool { project, id } => ("pool", "pool", 2, words([project, id])),
            Resource::Provider { project, pool, id, issuer, audience, rules } => {
                let mut arguments = words([project, pool, id, issuer, audience, &rules.condition]);
                let mapping = rules.mapping.iter();
                arguments.extend(mapping.map(|(attribute, expression)| format!("{attribute}={expression}")));
                ("pool", "provider", 3, arguments)
            }
            Resource::Members { on, role, members, exclusive } => {
                let how = if *exclusive { "exclusive" } else { "shared" };
                let arguments = [words([how, *role]), on.arguments(), words(["--"]), members.clone()].concat();
                ("members", "members", arguments.len(), arguments)
            }
            Resource::AuditLogs { project, services } => {
                ("audit", "audit_logs", 1, [words([project]), words(services)].concat())
            }
            Resource::Alert { project, title, filter, channels } => {
                let policy = crate::roles::alert_policy(title, filter, channels).to_string();
                ("alert", "alert", 2, words([project, *title, filter, &channels.join(";"), &policy]))
            }
            Resource::Instance(machine) => ("machine", "instance", 3, machine.arguments()),
            Resource::Template(machine) => ("machine", "template", 3, machine.arguments()),
            Resource::Group { project, zone, name, template, size } => {
                ("machine", "group", 3, words([project, zone, name, template, &size.to_string()]))
            }
            Resource::Gone(resource) => return Self { is_gone: true, ..Self::of(resource) },
            Resource::Used { project, pool, digest } => {
                let filter = format!(
                    "logName:\"cloudaudit.googleapis.com\" AND protoPayload.serviceName=\"cloudkms.googleapis.com\" AND \
                     protoPayload.methodName=\"Decrypt\" AND NOT protoPayload.status.code>0 AND \
                     protoPayload.authenticationInfo.principalSubject:\"{pool}/subject/gcpcs::{digest}::\""
                );
                ("evidence", "used", 2, words([project.as_str(), &digest.to_string(), &filter]))
            }
            Resource::NoMachine { project, reference } => ("evidence", "no_machine", 2, words([project, reference])),
            Resource::Perimeter { policy, name, number, services, ingress } => {
                let rules = words([policy, name, number, &ingress.to_string(), &crate::vpc_sc::as_read(ingress)]);
                ("perimeter", "perimeter", 2, [rules, words(services)].concat())
            }
        };
        Self { file, kind, names, arguments, is_gone: false }
    }

    /// What it is, and what names it.
    pub(crate) fn identity(&self) -> (&'static str, &[String]) {
        (self.kind, self.arguments.get(..self.names).unwrap_or(&self.arguments))
    }

    /// The line that makes it, or finds it right; or removes what is not to be there.
    pub(super) fn creation(&self) -> String {
        let (verb, arguments) = if self.is_gone { ("remove", self.identity().1) } else { ("ensure", &*self.arguments) };
        line(&format!("{verb}_{}", self.kind), arguments)
    }

    /// The line that removes it; none for a role that nobody holds.
    pub(super) fn removal(&self) -> Option<String> {
        let nobody = self.arguments.last().is_some_and(|last| last == "--");
        (!nobody).then(|| line(&format!("remove_{}", self.kind), self.identity().1))
    }
}

/// A command, broken between arguments where it gets too long.
fn line(command: &str, arguments: &[String]) -> String {
    let mut text = format!("  {command}");
    let mut length = text.len();
    for argument in arguments.iter().map(|argument| word(argument)) {
        let more = argument.chars().count() + 1;
        if length + more > LINE {
            text.push_str(" \\\n   ");
            length = 3;
        }
        text.push(' ');
        text.push_str(&argument);
        length += more;
    }
    text
}

fn words<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    texts.into_iter().map(|text| text.as_ref().to_owned()).collect()
}

impl On {
    /// gcloud's group of commands for it, as one argument, and how it is named there.
    fn arguments(&self) -> Vec<String> {
        let named = |group: &str, id: &str, flags: &[(&str, &str)]| {
            let mut arguments = words([group, id]);
            arguments.extend(flags.iter().map(|(flag, value)| format!("--{flag}={value}")));
            arguments
        };
        match self {
            Self::Project(project) => named("projects", project, &[]),
            Self::Repository { project, location, id } => {
                named("artifacts repositories", id, &[("location", location), ("project", project)])
            }
            Self::Key { project, location, ring, id } => {
                named("kms keys", id, &[("keyring", ring), ("location", location), ("project", project)])
            }
            Self::Bucket { name, .. } => named("storage buckets", &format!("gs://{name}"), &[]),
            Self::Topic { project, id } => named("pubsub topics", id, &[("project", project)]),
            Self::Subscription { project, id } => named("pubsub subscriptions", id, &[("project", project)]),
            Self::Secret { project, id } => named("secrets", id, &[("project", project)]),
        }
    }
}

impl Machine {
    fn arguments(&self) -> Vec<String> {
        let Self { project, zone, name, machine_type, service_account, region, subnet, tag, .. } = self;
        let mut arguments =
            words([project, zone, name, machine_type, self.technology, service_account, region, subnet]);
        arguments.extend(words([tag, Self::IMAGE_PROJECT, Self::IMAGE_FAMILY]));
        arguments.extend(self.metadata.iter().map(|(key, value)| format!("{key}={value}")));
        arguments
    }
}
