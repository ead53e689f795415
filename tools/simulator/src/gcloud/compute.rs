//! Confidential Space machines: what `gcloud compute instances create` says is launched, as the launcher of such a machine
//! would, in the background.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    Context, Failure,
    records::{self, COMPUTE, Kind},
    show::{self, Shown},
};
use crate::{
    console::Launch,
    launcher::{Line, LogRedirect, MachineEnd, Running, Stream},
    respond::{Code, Timestamp},
};

/// The project of Confidential Space's images, and its families with the images that they boot here.
const IMAGES: &str = "confidential-space-images";
const FAMILIES: [(&str, &str); 2] = [("confidential-space", "production"), ("confidential-space-debug", "debug")];
/// `--confidential-compute-type` and the hardware that it means here.
const TECHNOLOGIES: [(&str, &str); 2] = [("TDX", "intel-tdx"), ("SEV", "amd-sev")];
/// The metadata that sends the program's output to the serial port or to the log.
const REDIRECT: &str = "tee-container-log-redirect";
/// How long a machine that is deleted may go on.
const GRACE: Duration = Duration::from_secs(10);

/// A machine and what runs on it.
pub(super) struct Machine {
    state: Arc<Mutex<State>>,
    launching: JoinHandle<()>,
    redirect: LogRedirect,
}

enum State {
    Launching,
    Running(Running),
    /// Why nothing was started.
    Failed(String),
}

const INSTANCE: Kind = Kind {
    group: "compute instances",
    path: "projects/{project}/zones/{zone}/instances/{name}",
    above: &[
        "projects/{project}/regions/{zone.region}/subnetworks/{subnet}",
        "projects/{project}/global/networks/{network}",
    ],
    content: machine,
    takes_along: false,
};

pub(super) const TEMPLATE: Kind = Kind {
    group: "compute instance-templates",
    path: "projects/{project}/global/instanceTemplates/{name}",
    above: &["projects/{project}/regions/{region}/subnetworks/{subnet}"],
    content: machine,
    takes_along: false,
};

/// What is shown of a machine.
fn machine(context: &mut Context<'_>, mut thing: Value) -> Result<Value, Failure> {
    let arguments = context.arguments;
    let project = context.project()?;
    let place = match arguments.get("zone") {
        Some(zone) => format!("projects/{project}/zones/{zone}"),
        None => format!("projects/{project}/global"),
    };
    if image(context).is_none() {
        return Err(Failure::api(
            Code::NotFound,
            format!(
                "The resource 'projects/{}/global/images/family/{}' was not found; the simulator has {} of {IMAGES}.",
                arguments.text("image-project"),
                arguments.text("image-family"),
                FAMILIES.map(|(family, _)| family).join(" and ")
            ),
        ));
    }
    if arguments.switch("shielded-secure-boot") != Some(true) {
        return Err(Failure::invalid(
            "A Confidential Space machine that is not booted securely is not attested: --shielded-secure-boot.",
        ));
    }
    let technology = technology(context)?.map(|(technology, _)| technology);
    let account = arguments.text("service-account");
    let known = super::projects::project_of_account(account)
        .map(|project| format!("projects/{project}/serviceAccounts/{account}"))
        .and_then(|path| context.cloud.records.get(&path));
    if known.is_none_or(|record| record.value["disabled"] == true) {
        return Err(Failure::api(
            Code::NotFound,
            format!("The resource '{account}' of type 'serviceAccount' was not found, or it is disabled."),
        ));
    }
    let region = arguments.get("region").or_else(|| arguments.text("zone").rsplit_once('-').map(|(region, _)| region));
    let mut interface = json!({});
    if let Some(network) = arguments.get("network") {
        interface["network"] = records::url(context, "global/networks", network)?;
    }
    if let Some(subnet) = arguments.get("subnet") {
        let place = format!("regions/{}/subnetworks", region.unwrap_or_default());
        interface["subnetwork"] = records::url(context, &place, subnet)?;
    }
    if arguments.switch("no-address").is_none() {
        interface["accessConfigs"] = json!([{"name": "external-nat"}]);
    }
    let items: Vec<Value> =
        metadata(context)?.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let machine_type = arguments.get("machine-type").unwrap_or("c3-standard-4");
    thing["machineType"] = json!(format!("{COMPUTE}{place}/machineTypes/{machine_type}"));
    thing["confidentialInstanceConfig"] = json!({"confidentialInstanceType": technology});
    thing["shieldedInstanceConfig"] = json!({"enableSecureBoot": true, "enableVtpm": true});
    let scopes = arguments.list("scopes").unwrap_or_default();
    thing["serviceAccounts"] = json!([{"email": account, "scopes": scopes}]);
    thing["networkInterfaces"] = json!([interface]);
    thing["tags"] = json!({"items": arguments.list("tags").unwrap_or_default()});
    thing["metadata"] = json!({"items": items});
    Ok(thing)
}

/// The image that the family boots here.
fn image(context: &Context<'_>) -> Option<&'static str> {
    let family = context.arguments.text("image-family");
    let found = FAMILIES.iter().find(|(name, _)| *name == family).map(|(_, image)| *image);
    found.filter(|_| context.arguments.text("image-project") == IMAGES)
}

/// Google's name of the technology and the simulator's; none is a shielded machine.
fn technology(context: &Context<'_>) -> Result<Option<(&'static str, &'static str)>, Failure> {
    let given = context.arguments.get("confidential-compute-type");
    let given = given.or(context.arguments.switch("confidential-compute").map(|_| "SEV"));
    let Some(given) = given else { return Ok(None) };
    let found = TECHNOLOGIES.into_iter().find(|(name, _)| given.eq_ignore_ascii_case(name));
    found.map(Some).ok_or_else(|| Failure::invalid(format!("The simulator has no machines with {given}.")))
}

fn metadata(context: &Context<'_>) -> Result<BTreeMap<String, String>, Failure> {
    context.arguments.map("metadata").transpose().map(Option::unwrap_or_default).map_err(Failure::Text)
}

/// Makes the machine; the launch goes on in the background, as a machine boots.
pub(super) fn create(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let path = INSTANCE.path_of(context)?;
    context.about(&path);
    let metadata = metadata(context)?;
    records::create(context, &INSTANCE, &path)?;
    let project = context.project()?;
    let id = context.cloud.number().to_string();
    let hardware = technology(context)?.map_or("shielded-vm", |(_, hardware)| hardware);
    let number = context.cloud.projects.get(&project).map(|project| project.number.clone()).unwrap_or_default();
    let created = Timestamp::of(context.services.clock.now()).text();
    if let Some(record) = context.cloud.records.get_mut(&path) {
        record.value["kind"] = json!("compute#instance");
        record.value["selfLink"] = json!(format!("{COMPUTE}{path}"));
        let license = format!("{COMPUTE}projects/{IMAGES}/global/licenses/{}", context.arguments.text("image-family"));
        record.value["disks"] = json!([{"boot": true, "licenses": [license]}]);
        record.value["id"] = json!(id);
        record.value["zone"] = json!(format!("{COMPUTE}projects/{project}/zones/{}", context.arguments.text("zone")));
        record.value["creationTimestamp"] = json!(created);
    }
    let vm = json!({
        "project": project,
        "project_number": number,
        "zone": context.arguments.text("zone"),
        "instance": context.arguments.positional(0),
        "instance_id": id,
        "service_account": context.arguments.text("service-account"),
        "image": image(context),
        "platform": {"hardware": hardware},
    });
    let redirect =
        metadata.get(REDIRECT).and_then(|value| LogRedirect::ALL.into_iter().find(|all| all.as_str() == value));
    let launch = Launch { metadata, machine: vm.as_object().cloned().unwrap_or_default() };
    let machine = Machine::start(context, launch, redirect.unwrap_or_default());
    context.cloud.machines.insert(path, machine);
    Ok(Shown::Nothing)
}

impl Machine {
    fn start(context: &Context<'_>, launch: Launch, redirect: LogRedirect) -> Self {
        let state = Arc::new(Mutex::new(State::Launching));
        let (control, slot) = (context.control.clone(), Arc::clone(&state));
        let launching = Handle::current().spawn(async move {
            let launched = match control.boot(launch).await {
                Ok(running) => State::Running(running),
                Err(error) => State::Failed(error.to_string()),
            };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = launched;
        });
        Self { state, launching, redirect }
    }

    fn status(&self) -> &'static str {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Launching => "STAGING",
            State::Failed(_) => "TERMINATED",
            State::Running(running) => match running.machine_end() {
                None | Some(MachineEnd::Hold | MachineEnd::Reboot) => "RUNNING",
                Some(MachineEnd::Finished | MachineEnd::Failed) => "TERMINATED",
            },
        }
    }

    /// What the launcher says, and what the program says if it is sent to one of these places.
    fn lines(&self, places: &[LogRedirect]) -> Vec<Line> {
        let launcher = |text: String| Line { stream: Stream::Launcher, text };
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Launching => vec![launcher("the machine boots".to_owned())],
            State::Failed(why) => vec![launcher(format!("the program was not started: {why}"))],
            State::Running(running) => {
                let shown = places.contains(&self.redirect);
                running.lines().into_iter().filter(|line| shown || line.stream == Stream::Launcher).collect()
            }
        }
    }

    /// Ends what runs, and waits until it has ended.
    fn stop(self) {
        self.launching.abort();
        let state =
            std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Launching);
        if let State::Running(running) = state {
            // What could not be waited for is killed with the last handle to it.
            let _ = Handle::current().block_on(running.stop(GRACE));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.launching.abort();
    }
}

fn named(context: &mut Context<'_>) -> Result<String, Failure> {
    let path = INSTANCE.path_of(context)?;
    context.about(&path);
    match context.cloud.machines.contains_key(&path) {
        true => Ok(path),
        false => Err(Failure::not_found(path)),
    }
}

fn described(context: &Context<'_>, path: &str) -> Value {
    let mut value = context.cloud.records.get(path).map(|record| record.value.clone()).unwrap_or_default();
    value["status"] = json!(context.cloud.machines.get(path).map(Machine::status));
    value
}

pub(super) fn describe(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let path = named(context)?;
    Ok(Shown::One(described(context, &path)))
}

pub(super) fn list(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let prefix = format!("projects/{}/", context.project()?);
    let paths = context.cloud.machines.keys().filter(|path| path.starts_with(&prefix));
    Ok(Shown::Many(paths.map(|path| described(context, path)).collect()))
}

pub(super) fn delete(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let path = named(context)?;
    records::delete(context, &path, false)?;
    if let Some(machine) = context.cloud.machines.remove(&path) {
        machine.stop();
    }
    context.note(format!("Deleted [{path}]."));
    Ok(Shown::Nothing)
}

pub(super) fn serial_port(context: &mut Context<'_>) -> Result<Shown, Failure> {
    if context.arguments.get("port").is_some_and(|port| port != "1") {
        return Err(Failure::invalid("The simulator's machines have serial port 1."));
    }
    let path = named(context)?;
    let lines =
        context.cloud.machines.get(&path).map(|machine| machine.lines(&[LogRedirect::Serial, LogRedirect::Everywhere]));
    let text = lines.unwrap_or_default().into_iter().map(|line| match line.stream {
        Stream::Launcher => format!("launcher: {}\n", line.text),
        Stream::Stdout | Stream::Stderr => format!("{}\n", line.text),
    });
    Ok(Shown::Text(text.collect()))
}

/// What the machines of the project wrote to Cloud Logging, the newest line first unless `--order=asc`.
pub(super) fn logs(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let project = context.project()?;
    context.about(format!("projects/{project}/logs"));
    let prefix = format!("projects/{project}/");
    let mut entries = Vec::new();
    for (path, machine) in context.cloud.machines.iter().filter(|(path, _)| path.starts_with(&prefix)) {
        let value = context.cloud.records.get(path).map(|record| record.value.clone()).unwrap_or_default();
        let labels = json!({"instance_id": value["id"], "project_id": project, "zone": path.split('/').nth(3)});
        for line in machine.lines(&[LogRedirect::CloudLogging, LogRedirect::Everywhere]) {
            entries.push(json!({
                "logName": format!("projects/{project}/logs/confidential-space-launcher"),
                "resource": {"type": "gce_instance", "labels": labels},
                "jsonPayload": {"MESSAGE": line.text, "_HOSTNAME": value["name"]},
                "severity": if line.stream == Stream::Stderr { "ERROR" } else { "INFO" },
            }));
        }
    }
    let mut entries = show::filter(entries, context.arguments.positional(0)).map_err(Failure::Text)?;
    match context.arguments.get("order") {
        None | Some("desc") => entries.reverse(),
        Some("asc") => {}
        Some(other) => return Err(Failure::Text(format!("argument --order: Invalid choice: '{other}'."))),
    }
    if let Some(limit) = context.arguments.get("limit") {
        let limit = limit.parse().map_err(|_| Failure::Text(format!("argument --limit: {limit} is no number")))?;
        entries.truncate(limit);
    }
    Ok(Shown::Many(entries))
}
