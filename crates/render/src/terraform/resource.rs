//! One resource as blocks of the `google` provider.

use serde_json::{Value, json};

use super::literal;
use crate::{Machine, On, Purpose, Resource};

/// A block.
pub(super) struct Block {
    /// The resource type.
    pub(super) kind: &'static str,
    /// A label, not yet unique.
    pub(super) label: String,
    pub(super) body: Value,
    /// Is it read rather than made?
    pub(super) is_data: bool,
}

/// The blocks for a resource.
pub(super) fn blocks(resource: &Resource) -> Vec<Block> {
    let block = |kind, name: &str, body| Block { kind, label: label(name), body: escaped(body), is_data: false };
    match resource {
        Resource::ProjectNumber { project, number } => vec![Block {
            kind: "google_project",
            label: label(project),
            // The one template in the whole configuration: a check that Terraform makes. The number has digits only.
            body: json!({
                "project_id": literal(project),
                "lifecycle": {"postcondition": {
                    "condition": format!("${{self.number == \"{number}\"}}"),
                    "error_message": "The contract names identity pools of a project with another number.",
                }},
            }),
            is_data: true,
        }],
        Resource::Services { project, services } => services
            .iter()
            .map(|service| {
                let body = json!({"project": project, "service": service, "disable_on_destroy": false});
                block("google_project_service", service, body)
            })
            .collect(),
        Resource::ServiceAccount { project, id } => {
            vec![block("google_service_account", id, json!({"project": project, "account_id": id}))]
        }
        Resource::Repository { project, location, id } => vec![block(
            "google_artifact_registry_repository",
            id,
            json!({"project": project, "location": location, "repository_id": id, "format": "DOCKER"}),
        )],
        Resource::KeyRing { project, location, id } => {
            vec![block("google_kms_key_ring", id, json!({"project": project, "location": location, "name": id}))]
        }
        Resource::Key { project, location, ring, id, purpose, protection } => {
            let (purpose, algorithm) = match purpose {
                Purpose::Encryption => ("ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION".to_owned()),
                Purpose::Signing(algorithm) => ("ASYMMETRIC_SIGN", algorithm.to_uppercase().replace('-', "_")),
            };
            let template = json!({"algorithm": algorithm, "protection_level": protection.to_uppercase()});
            let ring = format!("projects/{project}/locations/{location}/keyRings/{ring}");
            let mut body = json!({"name": id, "key_ring": ring, "purpose": purpose, "version_template": template});
            // Whoever destroys the configuration by mistake keeps the data.
            body["lifecycle"] = json!({"prevent_destroy": true});
            vec![block("google_kms_crypto_key", id, body)]
        }
        Resource::Bucket { project, location, name } => vec![block(
            "google_storage_bucket",
            name,
            json!({
                "project": project, "name": name, "location": location,
                "uniform_bucket_level_access": true, "public_access_prevention": "enforced",
            }),
        )],
        Resource::Trigger { project, region, name, repository, branch, config, account } => {
            let (at, kind) =
                if repository.starts_with("projects/") { ("repository", "UNKNOWN") } else { ("uri", "GITHUB") };
            let reference = format!("refs/heads/{branch}");
            let body = json!({
                "project": project, "location": region, "name": name,
                "service_account": format!("projects/{project}/serviceAccounts/{account}"),
                "source_to_build": {at: repository, "ref": reference, "repo_type": kind},
                "git_file_source": {"path": config, at: repository, "revision": reference, "repo_type": kind},
            });
            vec![block("google_cloudbuild_trigger", name, body)]
        }
        Resource::Network { project, name } => vec![block(
            "google_compute_network",
            name,
            json!({"project": project, "name": name, "auto_create_subnetworks": false}),
        )],
        Resource::Subnet { project, region, name, network, range } => vec![block(
            "google_compute_subnetwork",
            name,
            json!({
                "project": project, "region": region, "name": name, "network": network, "ip_cidr_range": range,
                "private_ip_google_access": true,
            }),
        )],
        Resource::Address { project, region, name } => {
            vec![block("google_compute_address", name, json!({"project": project, "region": region, "name": name}))]
        }
        Resource::Router { project, region, name, network } => vec![block(
            "google_compute_router",
            name,
            json!({"project": project, "region": region, "name": name, "network": network}),
        )],
        Resource::Nat { project, region, name, router, address } => vec![block(
            "google_compute_router_nat",
            name,
            json!({
                "project": project, "region": region, "name": name, "router": router,
                "nat_ip_allocate_option": "MANUAL_ONLY",
                "nat_ips": [format!("projects/{project}/regions/{region}/addresses/{address}")],
                "source_subnetwork_ip_ranges_to_nat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
            }),
        )],
        Resource::Firewall { project, name, network, tag, port, sources } => vec![block(
            "google_compute_firewall",
            name,
            json!({
                "project": project, "name": name, "network": network, "direction": "INGRESS",
                "allow": [{"protocol": "tcp", "ports": [port.to_string()]}],
                "source_ranges": sources, "target_tags": [tag],
            }),
        )],
        Resource::Topic { project, id } => {
            vec![block("google_pubsub_topic", id, json!({"project": project, "name": id}))]
        }
        Resource::Subscription { project, id, topic, ack_seconds, dead_letter } => {
            let mut body = json!({
                "project": project, "name": id, "topic": topic, "ack_deadline_seconds": ack_seconds,
                "expiration_policy": {"ttl": ""},
            });
            if let Some((topic, attempts)) = dead_letter {
                body["dead_letter_policy"] = json!({"dead_letter_topic": topic, "max_delivery_attempts": attempts});
            }
            vec![block("google_pubsub_subscription", id, body)]
        }
        Resource::Pool { project, id } => vec![block(
            "google_iam_workload_identity_pool",
            id,
            json!({"project": project, "workload_identity_pool_id": id}),
        )],
        Resource::Provider { project, pool, id, issuer, audience, rules } => vec![block(
            "google_iam_workload_identity_pool_provider",
            id,
            json!({
                "project": project, "workload_identity_pool_id": pool, "workload_identity_pool_provider_id": id,
                "attribute_mapping": rules.mapping, "attribute_condition": rules.condition,
                "oidc": {"issuer_uri": issuer, "allowed_audiences": [audience]},
            }),
        )],
        Resource::Members { on, role, members, exclusive } => members_of(on, role, members, *exclusive),
        Resource::AuditLogs { project, services } => services
            .iter()
            .map(|service| {
                let kinds = ["ADMIN_READ", "DATA_READ", "DATA_WRITE"].map(|kind| json!({"log_type": kind}));
                let body = json!({"project": project, "service": service, "audit_log_config": kinds});
                block("google_project_iam_audit_config", service, body)
            })
            .collect(),
        Resource::Alert { project, title, filter, channels } => vec![block(
            "google_monitoring_alert_policy",
            title,
            json!({
                "project": project, "display_name": title, "combiner": "OR", "enabled": true,
                "conditions": [{"display_name": title, "condition_matched_log": {"filter": filter}}],
                "alert_strategy": {"notification_rate_limit": {"period": "300s"}, "auto_close": "1800s"},
                "notification_channels": channels,
            }),
        )],
        Resource::Instance(machine) => {
            let mut body = machine_body(machine);
            body["zone"] = json!(machine.zone);
            body["boot_disk"] = json!({"initialize_params": {"image": image()}});
            vec![block("google_compute_instance", &machine.name, body)]
        }
        Resource::Template(machine) => {
            let mut body = machine_body(machine);
            body["disk"] = json!([{"source_image": image(), "boot": true, "auto_delete": true}]);
            body["lifecycle"] = json!({"create_before_destroy": true});
            vec![block("google_compute_instance_template", &machine.name, body)]
        }
        Resource::Group { project, zone, name, template, size } => vec![block(
            "google_compute_instance_group_manager",
            name,
            json!({
                "project": project, "zone": zone, "name": name, "base_instance_name": name, "target_size": size,
                "version": [{"instance_template": format!("projects/{project}/global/instanceTemplates/{template}")}],
                "update_policy": {
                    "type": "PROACTIVE", "minimal_action": "REPLACE", "replacement_method": "SUBSTITUTE",
                    "max_unavailable_fixed": 1,
                },
            }),
        )],
        // What is not in a configuration is removed, and what is no resource cannot be in it.
        Resource::Gone(_) | Resource::Used { .. } | Resource::NoMachine { .. } => Vec::new(),
        Resource::Perimeter { policy, name, number, services, ingress } => {
            let policy = format!("accessPolicies/{policy}");
            let body = json!({
                "parent": policy, "name": format!("{policy}/servicePerimeters/{name}"), "title": name,
                "status": {
                    "resources": [format!("projects/{number}")], "restricted_services": services,
                    "vpc_accessible_services": {"enable_restriction": true, "allowed_services": ["RESTRICTED-SERVICES"]},
                    "ingress_policies": snake(ingress),
                },
            });
            vec![block("google_access_context_manager_service_perimeter", name, body)]
        }
    }
}

/// What a machine and a template of machines have in common.
fn machine_body(machine: &Machine) -> Value {
    let Machine { project, name, machine_type, technology, service_account, region, subnet, tag, metadata, .. } =
        machine;
    json!({
        "project": project, "name": name, "machine_type": machine_type, "tags": [tag], "metadata": metadata,
        "confidential_instance_config": {"confidential_instance_type": technology},
        "shielded_instance_config": {"enable_secure_boot": true},
        "scheduling": {"on_host_maintenance": "TERMINATE"},
        "network_interface": [{"subnetwork": format!("projects/{project}/regions/{region}/subnetworks/{subnet}")}],
        "service_account": {"email": service_account, "scopes": ["cloud-platform"]},
    })
}

fn image() -> String {
    format!("projects/{}/global/images/family/{}", Machine::IMAGE_PROJECT, Machine::IMAGE_FAMILY)
}

/// One block for each member, or one that is the whole truth about the role.
fn members_of(on: &On, role: &str, members: &[String], exclusive: bool) -> Vec<Block> {
    let (one, all, place, name) = match on {
        On::Project(project) => {
            ("google_project_iam_member", "google_project_iam_binding", json!({"project": project}), project)
        }
        On::Repository { project, location, id } => (
            "google_artifact_registry_repository_iam_member",
            "google_artifact_registry_repository_iam_binding",
            json!({"project": project, "location": location, "repository": id}),
            id,
        ),
        On::Key { project, location, ring, id } => (
            "google_kms_crypto_key_iam_member",
            "google_kms_crypto_key_iam_binding",
            json!({"crypto_key_id": format!("projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{id}")}),
            id,
        ),
        On::Bucket { name, .. } => {
            ("google_storage_bucket_iam_member", "google_storage_bucket_iam_binding", json!({"bucket": name}), name)
        }
        On::Topic { project, id } => (
            "google_pubsub_topic_iam_member",
            "google_pubsub_topic_iam_binding",
            json!({"project": project, "topic": id}),
            id,
        ),
        On::Subscription { project, id } => (
            "google_pubsub_subscription_iam_member",
            "google_pubsub_subscription_iam_binding",
            json!({"project": project, "subscription": id}),
            id,
        ),
        On::Secret { project, id } => (
            "google_secret_manager_secret_iam_member",
            "google_secret_manager_secret_iam_binding",
            json!({"project": project, "secret_id": id}),
            id,
        ),
    };
    let block = |kind, member: (&str, Value)| {
        let mut body = place.clone();
        body["role"] = json!(role);
        body[member.0] = member.1;
        let label = label(&format!("{name} {}", role.trim_start_matches("roles/")));
        Block { kind, label, body: escaped(body), is_data: false }
    };
    if exclusive {
        return vec![block(all, ("members", json!(members)))];
    }
    members.iter().map(|member| block(one, ("member", json!(member)))).collect()
}

/// A label: letters, digits and `_`, beginning with a letter.
fn label(name: &str) -> String {
    let label: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_lowercase()) { label } else { format!("x{label}") }
}

/// The same value, in which no text is a template.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(literal(&text)),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, escaped(value))).collect(),
        other => other,
    }
}

/// The provider's names of what Google's API calls `ingressFrom`.
fn snake(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(snake).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let mut snaked = String::new();
                for c in name.chars() {
                    if c.is_ascii_uppercase() {
                        snaked.push('_');
                    }
                    snaked.push(c.to_ascii_lowercase());
                }
                (snaked, snake(value))
            })
            .collect(),
        other => other.clone(),
    }
}
