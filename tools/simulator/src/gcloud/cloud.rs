//! What the simulated cloud consists of beside the services: projects, records, machines, and gcloud's own properties.

use std::collections::{BTreeMap, BTreeSet};

use csign_oci::Digest;
use serde_json::{Value, json};

use super::{PROPERTIES, compute::Machine, records::Record};
use crate::{Config, simulator::Services};

/// Who works with gcloud as long as nobody says otherwise.
const ACCOUNT: &str = "owner@example.com";
/// gcloud's first configuration.
const CONFIGURATION: &str = "default";

/// A project.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) number: String,
    pub(super) services: BTreeSet<String>,
    /// `auditConfigs` of its policy.
    pub(super) audit: Vec<Value>,
    /// Alert policies.
    pub(super) alerts: Vec<Value>,
}

pub(super) struct Cloud {
    pub(super) projects: BTreeMap<String, Project>,
    /// By their full names.
    pub(super) records: BTreeMap<String, Record>,
    /// By their full names, as their records.
    pub(super) machines: BTreeMap<String, Machine>,
    /// gcloud's properties by configuration.
    pub(super) configurations: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) active: String,
    /// Kinds of things of which people were told that they are only recorded.
    pub(super) told: BTreeSet<&'static str>,
    /// How many numbers were given out.
    numbers: u64,
}

impl Cloud {
    pub(super) fn new(config: &Config, services: &Services) -> Self {
        let mut cloud = Self {
            projects: BTreeMap::new(),
            records: BTreeMap::new(),
            machines: BTreeMap::new(),
            configurations: BTreeMap::from([(CONFIGURATION.to_owned(), BTreeMap::new())]),
            active: CONFIGURATION.to_owned(),
            told: BTreeSet::new(),
            numbers: 0,
        };
        for project in &config.projects {
            cloud.add_project(&project.id, Some(project.number.clone()));
        }
        // The machine of the defaults gives way to a project that has its number.
        let machine = &config.machine;
        if cloud.project_with(&machine.project_number).is_none() {
            cloud.add_project(&machine.project, Some(machine.project_number.clone()));
        }
        cloud.add_project(&config.project, None);
        cloud.set("project", &config.project);
        cloud.adopt_account(&config.machine.service_account);
        for provider in services.sts.providers() {
            super::identity::adopt(&mut cloud, &provider);
        }
        cloud
    }

    /// A project is there from now on; without a number it gets one that follows from its name.
    pub(super) fn add_project(&mut self, id: &str, number: Option<String>) {
        let number = number.unwrap_or_else(|| number_of(id));
        self.projects.entry(id.to_owned()).or_insert(Project { number, ..Project::default() });
    }

    /// The service account of the configured machine is there from the start, if its project is.
    fn adopt_account(&mut self, email: &str) {
        if let Some(project) = super::projects::project_of_account(email) {
            let path = format!("projects/{project}/serviceAccounts/{email}");
            let value = super::projects::account(project, email, &self.number().to_string());
            self.records.insert(path, Record::new("iam service-accounts", value, Vec::new()));
        }
    }

    /// The id of the project with this number.
    pub(super) fn project_with(&self, number: &str) -> Option<&str> {
        self.projects.iter().find(|(_, project)| project.number == number).map(|(id, _)| id.as_str())
    }

    /// A property: the environment comes before the active configuration.
    pub(super) fn property(&self, environment: &BTreeMap<String, String>, name: &str) -> Option<String> {
        let variable = PROPERTIES.iter().find(|(_, property)| *property == name).map(|(variable, _)| *variable);
        let given = variable.and_then(|variable| environment.get(variable)).filter(|value| !value.is_empty());
        let active = self.active(environment);
        let set = || self.configurations.get(active).and_then(|properties| properties.get(name));
        let default = (name == "account").then(|| ACCOUNT.to_owned());
        given.or_else(set).cloned().or(default)
    }

    /// The name of the active configuration.
    pub(super) fn active<'a>(&'a self, environment: &'a BTreeMap<String, String>) -> &'a str {
        environment.get("CLOUDSDK_ACTIVE_CONFIG_NAME").filter(|name| !name.is_empty()).unwrap_or(&self.active)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.configurations.entry(self.active.clone()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        4_000_000_000_000_000_000 + self.numbers
    }

    /// An address of those that are reserved for documentation.
    pub(super) fn address(&mut self) -> Value {
        let number = self.number() % 250 + 1;
        json!(format!("203.0.113.{number}"))
    }
}

/// Twelve digits that follow from a name.
fn number_of(id: &str) -> String {
    let hex = Digest::of(id).hex();
    let number = hex.get(..12).and_then(|start| u64::from_str_radix(start, 16).ok()).unwrap_or_default();
    (100_000_000_000 + number % 900_000_000_000).to_string()
}
