//! The operator: a network of its own with one static address to the outside, the topic, and the machines.

use std::collections::BTreeMap;

use csign_contract::{LogRedirect, State};
use csign_oci::Digest;

use super::{Steps, operator, service_account};
use crate::{
    Input, Machine, On, RenderError, Resource,
    names::{self, path},
    settings::required,
};

/// Adds what the operator needs; returns the operator's project.
pub(super) fn steps(input: Input<'_>, steps: &mut Steps) -> Result<String, RenderError> {
    let (project, account) = operator(input)?;
    let wrong = |want| RenderError::Value { at: "operator.service_account".to_owned(), value: account.clone(), want };
    let account_id = account
        .strip_suffix(&format!("@{project}.iam.gserviceaccount.com"))
        .ok_or_else(|| wrong("service account of the operator's own project"))?;
    let workload = service_account(&account);
    steps.add(
        "What is used below.",
        Resource::Services {
            project: project.clone(),
            services: vec![
                "compute.googleapis.com",
                "confidentialcomputing.googleapis.com",
                "iam.googleapis.com",
                "logging.googleapis.com",
                "monitoring.googleapis.com",
                "pubsub.googleapis.com",
                "secretmanager.googleapis.com",
            ],
        },
    );
    steps.add(
        "Machines run as this; the contract names it.",
        Resource::ServiceAccount {
            project: project.clone(),
            id: names::NAME.check("operator.service_account", account_id)?,
        },
    );
    for (why, role) in [
        ("Machines are attested.", "roles/confidentialcomputing.workloadUser"),
        ("Machines write logs.", "roles/logging.logWriter"),
    ] {
        steps.grant(why, On::Project(project.clone()), role, vec![workload.clone()]);
    }
    if let State::Postgres { password_secret: Some(secret), .. } = &input.contract.state {
        let [owner, id, _] = path("state.password_secret", secret, ["projects", "secrets", "versions"])?;
        steps.grant(
            "Machines read the database's password, which its owner puts there.",
            On::Secret { project: owner, id },
            "roles/secretmanager.secretAccessor",
            vec![workload.clone()],
        );
    }
    messages(input, &workload, steps)?;
    machines(input, &project, &account, steps)?;
    steps.watch(
        input,
        &project,
        vec!["compute.googleapis.com", "iam.googleapis.com", "pubsub.googleapis.com"],
        vec![
            (
                "csign: messages were refused to someone",
                "protoPayload.serviceName=\"pubsub.googleapis.com\" AND protoPayload.status.code=7".to_owned(),
            ),
            (
                "csign: the workload's machine changed",
                "protoPayload.serviceName=\"compute.googleapis.com\" AND protoPayload.methodName:(\"instances.insert\" OR \
                 \"instances.delete\" OR \"instances.setMetadata\")"
                    .to_owned(),
            ),
        ],
    )?;
    Ok(project)
}

/// The topic, the subscription, and where poison goes.
fn messages(input: Input<'_>, workload: &str, steps: &mut Steps) -> Result<(), RenderError> {
    let (messages, settings) = (&input.contract.messages, &input.settings.operator);
    let [topic_project, topic] = path("messages.topic", &messages.topic, ["projects", "topics"])?;
    let [project, subscription] = path("messages.subscription", &messages.subscription, ["projects", "subscriptions"])?;
    steps.add("Collaborators publish here.", Resource::Topic { project: topic_project.clone(), id: topic.clone() });
    let publishers =
        required(settings.publishers.as_ref(), "operator.publishers", "who may publish messages: the collaborators")?;
    let publishers = names::MEMBER.check_all("operator.publishers", publishers)?;
    steps.grant(
        "The collaborators.",
        On::Topic { project: topic_project, id: topic },
        "roles/pubsub.publisher",
        publishers,
    );
    let mut dead_letter = None;
    if let Some(name) = &messages.dead_letter {
        let [project, id] = path("messages.dead_letter", name, ["projects", "topics"])?;
        steps.add(
            "What can never be processed goes here.",
            Resource::Topic { project: project.clone(), id: id.clone() },
        );
        steps.add(
            "Without a subscription it would be gone.",
            Resource::Subscription {
                project: project.clone(),
                id: format!("{id}-kept"),
                topic: name.clone(),
                ack_seconds: settings.ack_seconds,
                dead_letter: None,
            },
        );
        let mut writers = vec![workload.to_owned()];
        if let Some(attempts) = settings.max_delivery_attempts {
            writers.push(pubsub_agent(input)?);
            dead_letter = Some((name.clone(), attempts));
        }
        steps.grant("The workload sets poison aside.", On::Topic { project, id }, "roles/pubsub.publisher", writers);
    } else if settings.max_delivery_attempts.is_some() {
        return Err(RenderError::Value {
            at: "operator.max_delivery_attempts".to_owned(),
            value: "set".to_owned(),
            want: "setting of a contract without messages.dead_letter",
        });
    }
    let mut readers = vec![workload.to_owned()];
    if dead_letter.is_some() {
        readers.push(pubsub_agent(input)?);
    }
    steps.add(
        "The workload pulls from here.",
        Resource::Subscription {
            project: project.clone(),
            id: subscription.clone(),
            topic: messages.topic.clone(),
            ack_seconds: settings.ack_seconds,
            dead_letter,
        },
    );
    steps.grant("The workload.", On::Subscription { project, id: subscription }, "roles/pubsub.subscriber", readers);
    Ok(())
}

/// Pub/Sub's own account, which forwards messages that were delivered too often.
fn pubsub_agent(input: Input<'_>) -> Result<String, RenderError> {
    let number = required(
        input.settings.operator.project_number.as_ref(),
        "operator.project_number",
        "the number of the operator's project, by which Pub/Sub's own account is named",
    )?;
    let number = names::NUMBER.check("operator.project_number", number)?;
    Ok(service_account(&format!("service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com")))
}

/// Network, address and machines.
fn machines(input: Input<'_>, project: &str, account: &str, steps: &mut Steps) -> Result<(), RenderError> {
    let settings = &input.settings.operator;
    let region = required(settings.region.as_ref(), "operator.region", "the region of network and address")?;
    let region = names::NAME.check("operator.region", region)?;
    let zone = required(settings.zone.as_ref(), "operator.zone", "the zone of the machines")?;
    let zone = names::NAME.check("operator.zone", zone)?;
    let project = project.to_owned();
    let network = names::NAME.check("operator.network", &settings.network)?;
    let part = |what: &str| format!("{network}-{what}");
    let instance = names::NAME.check("operator.instance", &settings.instance)?;
    steps.add("For these machines alone.", Resource::Network { project: project.clone(), name: network.clone() });
    steps.add(
        "Machines have no address of their own and reach Google's APIs all the same.",
        Resource::Subnet {
            project: project.clone(),
            region: region.clone(),
            name: part("subnet"),
            network: network.clone(),
            range: names::RANGE.check("operator.subnet_range", &settings.subnet_range)?,
        },
    );
    steps.add(
        "From where the workload is seen by others; collaborators may allow it in their own firewalls.",
        Resource::Address { project: project.clone(), region: region.clone(), name: part("nat") },
    );
    steps.add(
        "Carries the NAT.",
        Resource::Router {
            project: project.clone(),
            region: region.clone(),
            name: part("router"),
            network: network.clone(),
        },
    );
    steps.add(
        "The way out, by that address alone.",
        Resource::Nat {
            project: project.clone(),
            region: region.clone(),
            name: part("nat"),
            router: part("router"),
            address: part("nat"),
        },
    );
    let firewall = |what: &str, port, sources| Resource::Firewall {
        project: project.clone(),
        name: part(what),
        network: network.clone(),
        tag: instance.clone(),
        port,
        sources,
    };
    if let Some(ingest) = input.contract.ingest {
        let ranges = required(
            settings.ingest_ranges.as_ref(),
            "operator.ingest_ranges",
            "from where collaborators reach the contract's ingest port",
        )?;
        let ranges = names::RANGE.check_all("operator.ingest_ranges", ranges)?;
        steps
            .add("Collaborators send data over TLS with client certificates.", firewall("ingest", ingest.port, ranges));
    }
    if let Some(health) = input.contract.health
        && !settings.health_ranges.is_empty()
    {
        let ranges = names::RANGE.check_all("operator.health_ranges", &settings.health_ranges)?;
        steps.add("Health and metrics, without content.", firewall("health", health.port, ranges));
    }

    let digest = match input.digests {
        [] => return Err(RenderError::NoDigest("the operator's machine")),
        [digest] => *digest,
        several => return Err(RenderError::ManyDigests(several.len())),
    };
    let (technology, usual) = technology(&input.contract.platform.hardware)?;
    let machine = Machine {
        project: project.clone(),
        zone: zone.clone(),
        name: instance.clone(),
        machine_type: names::NAME.check("operator.machine_type", settings.machine_type.as_deref().unwrap_or(usual))?,
        technology,
        service_account: account.to_owned(),
        region,
        subnet: part("subnet"),
        tag: instance.clone(),
        metadata: metadata(input, digest),
    };
    match settings.group_size {
        None => steps.add("The workload, without an address of its own.", Resource::Instance(machine)),
        Some(size) => {
            let content = Digest::of(format!("{machine:?}")).to_string();
            let suffix: String = content.chars().skip("sha256:".len()).take(10).collect();
            let template = format!("{instance}-{suffix}");
            steps.add("What each machine is.", Resource::Template(Machine { name: template.clone(), ..machine }));
            steps.add(
                "Replaces a machine that stopped.",
                Resource::Group { project, zone, name: instance, template, size },
            );
        }
    }
    Ok(())
}

/// What the launcher reads. Nothing else belongs there: the image allows no override.
fn metadata(input: Input<'_>, digest: Digest) -> BTreeMap<&'static str, String> {
    let repository = &input.contract.image.repository;
    let mut metadata = BTreeMap::from([
        ("tee-image-reference", repository.at(digest).to_string()),
        ("tee-signed-image-repos", repository.to_string()),
        ("tee-restart-policy", "Never".to_owned()),
    ]);
    if input.contract.launch.log_redirect == LogRedirect::Always {
        metadata.insert("tee-container-log-redirect", "cloud_logging".to_owned());
    }
    metadata
}

/// Google's name of the hardware, and a machine type that has it.
fn technology(hardware: &[String]) -> Result<(&'static str, &'static str), RenderError> {
    let known = hardware.iter().find_map(|model| match model.as_str() {
        "GCP_INTEL_TDX" => Some(("TDX", "c3-standard-4")),
        "GCP_AMD_SEV" => Some(("SEV", "n2d-standard-2")),
        _ => None,
    });
    known.ok_or_else(|| RenderError::Value {
        at: "platform.hardware".to_owned(),
        value: hardware.join(", "),
        want: "hardware that a machine can be made with: GCP_INTEL_TDX or GCP_AMD_SEV",
    })
}
