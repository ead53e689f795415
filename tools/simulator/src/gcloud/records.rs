//! Things without a counterpart in the simulator: they are kept as records, so that scripts find, check and remove them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Context, Failure, show::Shown, yaml};
use crate::respond::Code;

/// What is done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Delete,
    Describe,
    List,
    Update,
}

/// A kind of thing.
pub(super) struct Kind {
    pub(super) group: &'static str,
    /// Its full name. `{name}` is the positional argument or `--name`, `{project}` the project, `{zone.region}` the region
    /// of a zone, and everything else the flag of that name.
    pub(super) path: &'static str,
    /// What must be there before, as far as flags name it.
    pub(super) above: &'static [&'static str],
    /// What is shown of it, after these flags.
    pub(super) content: fn(&mut Context<'_>, Value) -> Result<Value, Failure>,
    /// Whether what rests on it goes with it.
    pub(super) takes_along: bool,
}

/// A thing that was made.
pub(super) struct Record {
    kind: &'static str,
    pub(super) value: Value,
    /// What it rests on.
    above: Vec<String>,
}

impl Record {
    pub(super) fn new(kind: &'static str, value: Value, above: Vec<String>) -> Self {
        Self { kind, value, above }
    }
}

/// What the names of Compute Engine's things begin with.
pub(super) const COMPUTE: &str = "https://www.googleapis.com/compute/v1/";

pub(super) const REPOSITORY: Kind = Kind {
    group: "artifacts repositories",
    path: "projects/{project}/locations/{location}/repositories/{name}",
    above: &[],
    content: |context, mut thing| {
        match context.arguments.get("repository-format").map(str::to_ascii_lowercase).as_deref() {
            Some("docker") => thing["format"] = json!("DOCKER"),
            Some(other) => {
                return Err(Failure::invalid(format!("The simulator has no repositories of format {other}.")));
            }
            None => {}
        }
        thing["dockerConfig"] = match context.arguments.switch("immutable-tags") {
            Some(immutable) => json!({"immutableTags": immutable}),
            None => thing.get("dockerConfig").cloned().unwrap_or(json!({})),
        };
        full_name(context, &REPOSITORY, thing)
    },
    takes_along: false,
};

pub(super) const NETWORK: Kind = Kind {
    group: "compute networks",
    path: "projects/{project}/global/networks/{name}",
    above: &[],
    content: |context, mut thing| {
        thing["autoCreateSubnetworks"] = json!(context.arguments.text("subnet-mode") != "custom");
        Ok(thing)
    },
    takes_along: false,
};

pub(super) const SUBNET: Kind = Kind {
    group: "compute networks subnets",
    path: "projects/{project}/regions/{region}/subnetworks/{name}",
    above: &["projects/{project}/global/networks/{network}"],
    content: |context, mut thing| {
        if let Some(network) = context.arguments.get("network") {
            thing["network"] = url(context, "global/networks", network)?;
            thing["ipCidrRange"] = json!(context.arguments.text("range"));
        }
        let private = context.arguments.switch("enable-private-ip-google-access");
        if let Some(private) = private.or(thing.get("privateIpGoogleAccess").is_none().then_some(false)) {
            thing["privateIpGoogleAccess"] = json!(private);
        }
        Ok(thing)
    },
    takes_along: false,
};

pub(super) const ADDRESS: Kind = Kind {
    group: "compute addresses",
    path: "projects/{project}/regions/{region}/addresses/{name}",
    above: &[],
    content: |context, mut thing| {
        thing["address"] = context.cloud.address();
        thing["status"] = json!("RESERVED");
        Ok(thing)
    },
    takes_along: false,
};

pub(super) const ROUTER: Kind = Kind {
    group: "compute routers",
    path: "projects/{project}/regions/{region}/routers/{name}",
    above: &["projects/{project}/global/networks/{network}"],
    content: |context, mut thing| {
        thing["network"] = url(context, "global/networks", context.arguments.text("network"))?;
        Ok(thing)
    },
    takes_along: true,
};

pub(super) const NAT: Kind = Kind {
    group: "compute routers nats",
    path: "projects/{project}/regions/{region}/routers/{router}/nats/{name}",
    above: &["projects/{project}/regions/{region}/routers/{router}"],
    content: |context, mut thing| {
        if let Some(addresses) = context.arguments.list("nat-external-ip-pool") {
            let place = format!("regions/{}/addresses", context.arguments.text("region"));
            let urls = addresses.iter().map(|address| url(context, &place, address)).collect::<Result<Vec<_>, _>>()?;
            thing["natIps"] = json!(urls);
        }
        if context.arguments.switch("nat-all-subnet-ip-ranges").is_some() {
            thing["sourceSubnetworkIpRangesToNat"] = json!("ALL_SUBNETWORKS_ALL_IP_RANGES");
        }
        Ok(thing)
    },
    takes_along: false,
};

pub(super) const FIREWALL: Kind = Kind {
    group: "compute firewall-rules",
    path: "projects/{project}/global/firewalls/{name}",
    above: &["projects/{project}/global/networks/{network}"],
    content: |context, mut thing| {
        if thing.get("network").is_none() {
            thing["network"] = url(context, "global/networks", context.arguments.get("network").unwrap_or("default"))?;
            thing["direction"] = json!(context.arguments.get("direction").unwrap_or("INGRESS").to_ascii_uppercase());
        }
        if let Some(allowed) = context.arguments.list("allow") {
            let rules = allowed.iter().map(|rule| match rule.split_once(':') {
                Some((protocol, port)) => json!({"IPProtocol": protocol, "ports": [port]}),
                None => json!({"IPProtocol": rule}),
            });
            thing["allowed"] = rules.collect();
        }
        for (flag, member) in [("target-tags", "targetTags"), ("source-ranges", "sourceRanges")] {
            if let Some(list) = context.arguments.list(flag) {
                thing[member] = json!(list);
            }
        }
        let disabled = context.arguments.switch("disabled");
        if let Some(disabled) = disabled.or(thing.get("disabled").is_none().then_some(false)) {
            thing["disabled"] = json!(disabled);
        }
        Ok(thing)
    },
    takes_along: false,
};

pub(super) const GROUP: Kind = Kind {
    group: "compute instance-groups managed",
    path: "projects/{project}/zones/{zone}/instanceGroupManagers/{name}",
    above: &["projects/{project}/global/instanceTemplates/{template}"],
    content: |context, mut thing| {
        let version = context.arguments.get("version").and_then(|version| version.strip_prefix("template="));
        if let Some(template) = context.arguments.get("template").or(version) {
            thing["instanceTemplate"] = url(context, "global/instanceTemplates", template)?;
        }
        if let Some(size) = context.arguments.get("size") {
            let size: u32 = size.parse().map_err(|_| Failure::Text(format!("argument --size: {size} is no number")))?;
            thing["targetSize"] = json!(size);
        }
        Ok(thing)
    },
    takes_along: false,
};

pub(super) const TRIGGER: Kind = Kind {
    group: "builds triggers",
    path: "projects/{project}/locations/{region}/triggers/{name}",
    above: &[],
    content: |context, mut thing| {
        let source = match (context.arguments.get("repository"), context.arguments.get("repo")) {
            (Some(repository), _) => ("repository", repository),
            (None, Some(uri)) => ("uri", uri),
            (None, None) => return Err(Failure::Text("one of --repository and --repo must be specified".to_owned())),
        };
        let branch = format!("refs/heads/{}", context.arguments.text("branch"));
        thing["gitFileSource"] = json!({"path": context.arguments.text("build-config"), source.0: source.1});
        thing["sourceToBuild"] = json!({"ref": branch, source.0: source.1});
        thing["serviceAccount"] = json!(context.arguments.text("service-account"));
        Ok(thing)
    },
    takes_along: false,
};

pub(super) const PERIMETER: Kind = Kind {
    group: "access-context-manager perimeters",
    path: "accessPolicies/{policy}/servicePerimeters/{name}",
    above: &[],
    content: |context, mut thing| {
        let mut status = thing.get("status").cloned().unwrap_or(json!({}));
        for (flag, member) in [("resources", "resources"), ("restricted-services", "restrictedServices")] {
            let list = context.arguments.list(flag).or_else(|| context.arguments.list(&format!("set-{flag}")));
            if let Some(list) = list {
                status[member] = json!(list);
            }
        }
        let file = context.arguments.get("ingress-policies").or(context.arguments.get("set-ingress-policies"));
        if let Some(file) = file {
            let text =
                String::from_utf8(context.file(file)?).map_err(|_| Failure::Text(format!("{file} is not UTF-8")))?;
            status["ingressPolicies"] = yaml::read(&text).map_err(|why| Failure::Text(format!("{file}: {why}")))?;
        }
        if context.arguments.switch("enable-vpc-accessible-services").is_some() {
            let before = status["vpcAccessibleServices"]["allowedServices"].as_array().cloned().unwrap_or_default();
            let added = context.arguments.list("vpc-allowed-services");
            let added = added.or_else(|| context.arguments.list("add-vpc-allowed-services")).unwrap_or_default();
            let kept = match context.arguments.switch("clear-vpc-allowed-services") {
                Some(_) => Vec::new(),
                None => before,
            };
            let allowed: Vec<Value> = kept.into_iter().chain(added.into_iter().map(Value::from)).collect();
            status["vpcAccessibleServices"] = json!({"enableRestriction": true, "allowedServices": allowed});
        }
        thing["status"] = status;
        Ok(thing)
    },
    takes_along: false,
};

/// A thing of Compute Engine, by name or by address.
pub(super) fn url(context: &Context<'_>, place: &str, name: &str) -> Result<Value, Failure> {
    let name = name.rsplit('/').next().unwrap_or_default();
    Ok(json!(format!("{COMPUTE}projects/{}/{place}/{name}", context.project()?)))
}

/// Things outside of Compute Engine show their full names.
fn full_name(context: &Context<'_>, kind: &Kind, mut thing: Value) -> Result<Value, Failure> {
    thing["name"] = json!(kind.path_of(context)?);
    Ok(thing)
}

impl Kind {
    /// The full name of the thing that the arguments name.
    pub(super) fn path_of(&self, context: &Context<'_>) -> Result<String, Failure> {
        fill(self.path, context)?.ok_or_else(|| Failure::Text(format!("nothing names the place of the {}", self.group)))
    }
}

/// Fills a path; `None` if a flag of it was not given.
pub(super) fn fill(template: &str, context: &Context<'_>) -> Result<Option<String>, Failure> {
    let mut path = String::new();
    for part in template.split('/') {
        if !path.is_empty() {
            path.push('/');
        }
        let Some(field) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            path.push_str(part);
            continue;
        };
        let arguments = context.arguments;
        let value = match field {
            "project" => context.project()?,
            "name" => match arguments.positional(0) {
                "" => arguments.text("name").to_owned(),
                name => name.to_owned(),
            },
            "zone.region" => {
                arguments.text("zone").rsplit_once('-').map(|(region, _)| region.to_owned()).unwrap_or_default()
            }
            "region" => arguments.get("region").unwrap_or("global").to_owned(),
            flag => arguments.text(flag).rsplit('/').next().unwrap_or_default().to_owned(),
        };
        if value.is_empty() {
            return Ok(None);
        }
        if value.contains(['/', ' ']) {
            return Err(Failure::Text(format!("{value:?} is no name in the simulator's gcloud")));
        }
        path.push_str(&value);
    }
    Ok(Some(path))
}

/// Makes, shows, changes or removes a record.
pub(super) fn run(context: &mut Context<'_>, verb: Verb, kind: &'static Kind) -> Result<Shown, Failure> {
    if verb == Verb::List {
        return list(context, kind);
    }
    let path = kind.path_of(context)?;
    context.about(&path);
    match verb {
        Verb::Create => {
            create(context, kind, &path)?;
            context.recorded(kind.group);
            Ok(Shown::Nothing)
        }
        Verb::Describe | Verb::List => {
            context.cloud.records.get(&path).map(|record| Shown::One(record.value.clone())).ok_or_else(|| absent(&path))
        }
        Verb::Update => {
            let old =
                context.cloud.records.get(&path).map(|record| record.value.clone()).ok_or_else(|| absent(&path))?;
            let new = (kind.content)(context, old)?;
            let above = above(context, kind)?;
            if let Some(record) = context.cloud.records.get_mut(&path) {
                record.value = new;
                if !above.is_empty() {
                    record.above = above;
                }
            }
            context.note(format!("Updated [{path}]."));
            Ok(Shown::Nothing)
        }
        Verb::Delete => {
            delete(context, &path, kind.takes_along)?;
            context.services.iam.forget(&path);
            context.note(format!("Deleted [{path}]."));
            Ok(Shown::Nothing)
        }
    }
}

/// Makes a record, after what it rests on.
pub(super) fn create(context: &mut Context<'_>, kind: &'static Kind, path: &str) -> Result<(), Failure> {
    if context.cloud.records.contains_key(path) {
        return Err(Failure::exists(path));
    }
    let above = above(context, kind)?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let value = (kind.content)(context, json!({"name": name}))?;
    context.cloud.records.insert(path.to_owned(), Record::new(kind.group, value, above));
    context.note(format!("Created [{path}]."));
    Ok(())
}

/// Removes a record, unless something rests on it.
pub(super) fn delete(context: &mut Context<'_>, path: &str, takes_along: bool) -> Result<(), Failure> {
    if !context.cloud.records.contains_key(path) {
        return Err(absent(path));
    }
    let rests = |record: &Record| record.above.iter().any(|above| above == path);
    let resting: Vec<String> = names(&context.cloud.records, rests);
    if !takes_along && !resting.is_empty() {
        let message = format!("The resource '{path}' is already being used by '{}'", resting.join("', '"));
        return Err(Failure::api(Code::FailedPrecondition, message));
    }
    for path in resting {
        context.cloud.records.remove(&path);
    }
    context.cloud.records.remove(path);
    Ok(())
}

fn names(records: &BTreeMap<String, Record>, wanted: impl Fn(&Record) -> bool) -> Vec<String> {
    records.iter().filter(|(_, record)| wanted(record)).map(|(path, _)| path.clone()).collect()
}

fn list(context: &mut Context<'_>, kind: &Kind) -> Result<Shown, Failure> {
    let prefix = format!("projects/{}/", context.project()?);
    let found =
        context.cloud.records.iter().filter(|(path, record)| record.kind == kind.group && path.starts_with(&prefix));
    Ok(Shown::Many(found.map(|(_, record)| record.value.clone()).collect()))
}

/// What it rests on, all of which must be there.
fn above(context: &Context<'_>, kind: &Kind) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for template in kind.above {
        let Some(path) = fill(template, context)? else { continue };
        if !context.cloud.records.contains_key(&path) {
            return Err(absent(&path));
        }
        all.push(path);
    }
    Ok(all)
}

fn absent(path: &str) -> Failure {
    Failure::not_found(path)
}

impl Context<'_> {
    /// Tells people once that nothing but a record comes of a kind of thing.
    pub(super) fn recorded(&mut self, kind: &'static str) {
        if self.cloud.told.insert(kind) {
            self.note(format!("note: {kind}: the simulator keeps a record of them, and nothing else comes of it"));
        }
    }
}
