//! `gcloud` for the simulated cloud: the commands that set up a deployment, answered by the running simulator.
//!
//! What has a counterpart here changes the simulated service; the rest is kept as a record, so that scripts find what they
//! made. Whoever holds the control token is the owner of every project. What is not in the table of commands is refused:
//! a flag that nobody reads would be a setting that nobody has made.

mod arguments;
mod cloud;
mod commands;
mod compute;
mod identity;
mod kms;
mod local;
mod policy;
mod projects;
mod pubsub;
mod records;
mod show;
mod storage;
mod yaml;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::arguments::Refusal;
use self::{arguments::Arguments, cloud::Cloud, commands::Run, show::Shown};
use crate::{
    Config, Error,
    audit::Decision,
    console::Control,
    iam::{Call, Identity},
    respond::{ApiError, Code, Rest},
    simulator::Services,
};

/// Environment variables that decide what a command does, and their properties.
pub const PROPERTIES: [(&str, &str); 3] = [
    ("CLOUDSDK_CORE_ACCOUNT", "account"),
    ("CLOUDSDK_CORE_PROJECT", "project"),
    ("CLOUDSDK_ACTIVE_CONFIG_NAME", "configuration"),
];
/// Seconds that the token of one command lives.
const TOKEN_LIFETIME: u64 = 60;

/// A command as it was typed, with what it reads. Its debug form leaves the files out.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The arguments, without the program.
    pub arguments: Vec<String>,
    /// The files that [`files`] names, in base64.
    pub files: BTreeMap<String, String>,
    /// What [`PROPERTIES`] say.
    pub environment: BTreeMap<String, String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

/// What a command prints, writes and returns.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// 0 done, 1 it failed, 2 no such command.
    pub status: u8,
    /// For programs.
    pub stdout: String,
    /// For people.
    pub stderr: String,
    /// Files to write, in base64.
    pub files: BTreeMap<String, String>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("stderr", &self.stderr).finish_non_exhaustive()
    }
}

/// The files that a command reads.
///
/// # Errors
/// No such command or flag.
pub fn files(typed: &[String]) -> Result<Vec<String>, Refusal> {
    Arguments::parse(typed).map(|arguments| arguments.files)
}

/// The commands, one a line, in the notation of the table.
pub fn supported() -> impl Iterator<Item = &'static str> {
    commands::COMMANDS.iter().map(|command| command.line)
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// As the API of Google's service says it.
    Api(ApiError),
    /// As gcloud says it.
    Text(String),
}

impl Failure {
    fn api(code: Code, message: impl Into<String>) -> Self {
        Self::Api(ApiError::new(code, message))
    }

    fn not_found(what: impl fmt::Display) -> Self {
        Self::api(Code::NotFound, format!("The resource '{what}' was not found"))
    }

    fn exists(what: impl fmt::Display) -> Self {
        Self::api(Code::AlreadyExists, format!("Resource '{what}' already exists"))
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::api(Code::InvalidArgument, message)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// What the library calls refuse.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Config(message) | Error::Resource(message) => Self::invalid(message),
            other => Self::Text(other.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => write!(f, "{}: {}", error.code.http().1, error.message),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The simulated cloud as gcloud sees it; clones share it.
#[derive(Clone)]
pub(crate) struct Gcloud {
    cloud: Arc<Mutex<Cloud>>,
}

impl Gcloud {
    /// A cloud with the projects of the configuration.
    pub(crate) fn new(config: &Config, services: &Services) -> Self {
        Self { cloud: Arc::new(Mutex::new(Cloud::new(config, services))) }
    }

    /// Runs a command. It may block: making an RSA key takes seconds.
    pub(crate) fn answer(&self, services: &Services, control: &Control, request: &Request) -> Answer {
        let arguments = match Arguments::parse(&request.arguments) {
            Ok(arguments) => arguments,
            Err(refusal) => {
                let decision = Decision {
                    service: "gcloud",
                    method: "unknown command",
                    principal: "the control token",
                    resource: request.arguments.first().map_or("", String::as_str),
                };
                services.audit.deny(decision, refusal.to_string());
                return Answer { status: 2, stderr: format!("ERROR: {refusal}\n"), ..Answer::default() };
            }
        };
        let mut cloud = self.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        run(&mut cloud, services, control, request, &arguments)
    }
}

fn run(cloud: &mut Cloud, services: &Services, control: &Control, request: &Request, arguments: &Arguments) -> Answer {
    let words: Vec<&str> = arguments::words(arguments.command.line).collect();
    let account = arguments.get("account").map(str::to_owned);
    let account = account.unwrap_or_else(|| cloud.property(&request.environment, "account").unwrap_or_default());
    let project = arguments.get("project").map(str::to_owned);
    let project = project.or_else(|| cloud.property(&request.environment, "project"));
    let member = if account.ends_with(".gserviceaccount.com") { "serviceAccount:" } else { "user:" };
    let principal = format!("{member}{account}");
    let mut context = Context {
        cloud,
        services,
        control,
        arguments,
        request,
        principal,
        project,
        resource: String::new(),
        notes: Vec::new(),
        files: BTreeMap::new(),
    };
    let shown = match arguments.command.run {
        Run::Own(run) => run(&mut context),
        Run::Record(verb, kind) => records::run(&mut context, verb, kind),
    };
    let printed = shown.and_then(|shown| context.print(shown));
    let Context { principal, resource, notes, files, .. } = context;
    let method = words.join(" ");
    let decision = Decision { service: "gcloud", method: &method, principal: &principal, resource: &resource };
    let mut stderr: String = notes.iter().map(|note| format!("{note}\n")).collect();
    match printed {
        Ok(stdout) => {
            services.audit.allow(decision, "the control token");
            Answer { status: 0, stdout, stderr, files }
        }
        Err(failure) => {
            services.audit.deny(decision, failure.to_string());
            stderr.push_str(&format!("ERROR: (gcloud.{}) {failure}\n", words.join(".")));
            Answer { status: 1, stderr, ..Answer::default() }
        }
    }
}

/// What a command works with.
struct Context<'a> {
    cloud: &'a mut Cloud,
    services: &'a Services,
    control: &'a Control,
    arguments: &'a Arguments,
    request: &'a Request,
    /// Under whose name, as a member of IAM.
    principal: String,
    project: Option<String>,
    /// What the command is about, for the log.
    resource: String,
    /// What people are told.
    notes: Vec<String>,
    files: BTreeMap<String, String>,
}

impl<'a> Context<'a> {
    /// The project that was named or is set, which must be there.
    fn project(&self) -> Result<String, Failure> {
        let missing = || {
            let text = "The required property [project] is not currently set. You may set it for your current workspace by \
                        running: gcloud config set project VALUE";
            Failure::Text(text.to_owned())
        };
        let id = self.project.clone().ok_or_else(missing)?;
        self.known(&id)?;
        Ok(id)
    }

    /// Refuses a project that there is not, in Google's words, which do not tell whether it is somebody else's.
    fn known(&self, id: &str) -> Result<(), Failure> {
        if self.cloud.projects.contains_key(id) {
            return Ok(());
        }
        Err(Failure::api(
            Code::PermissionDenied,
            format!(
                "{} does not have permission to access projects instance [{id}] (or it may not exist). In the simulator: \
                 gcloud projects create {id}",
                self.principal
            ),
        ))
    }

    /// Says what the command is about.
    fn about(&mut self, resource: impl Into<String>) {
        self.resource = resource.into();
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A file that was named, as the caller had it.
    fn file(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let encoded = self.request.files.get(name);
        let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        bytes.ok_or_else(|| Failure::Text(format!("Unable to read file [{name}]")))
    }

    /// Has the caller write a file.
    fn write(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.to_owned(), STANDARD.encode(bytes));
    }

    /// Asks a service over its REST interface, as the owner of everything.
    fn rest(&self, method: Method, resource: &str, query: Option<&str>, body: Value) -> Result<Value, Failure> {
        self.rest_as(Identity::Owner(self.principal.clone()), method, resource, query, body)
    }

    /// Asks a service over its REST interface with no more rights than the account has by IAM's bindings.
    fn rest_as_account(&self, method: Method, resource: &str, body: Value) -> Result<Value, Failure> {
        self.rest_as(Identity::Member(self.principal.clone()), method, resource, None, body)
    }

    fn rest_as(
        &self,
        identity: Identity,
        method: Method,
        resource: &str,
        query: Option<&str>,
        body: Value,
    ) -> Result<Value, Failure> {
        let token = self.services.iam.issue_for(identity, TOKEN_LIFETIME)?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let rest = Rest { method: &method, resource, query, token: Some(&token), body: body.as_bytes() };
        Ok(self.services.rest(&rest)?)
    }

    /// Asks IAM whether the account may do something, as the service would.
    fn allowed(&self, method: &str, permission: &str, resource: &str) -> Result<(), Failure> {
        let token = self.services.iam.issue_for(Identity::Member(self.principal.clone()), TOKEN_LIFETIME)?;
        let call = Call { service: "pubsub", method, token: Some(&token), permission, resource };
        Ok(self.services.iam.perform(call, || Ok(()))?)
    }

    fn print(&self, shown: Shown) -> Result<String, Failure> {
        let shown = match (shown, self.arguments.get("filter")) {
            (Shown::Many(things), Some(filter)) => Shown::Many(show::filter(things, filter).map_err(Failure::Text)?),
            (shown, _) => shown,
        };
        show::print(shown, self.arguments.get("flatten"), self.arguments.get("format")).map_err(Failure::Text)
    }
}
