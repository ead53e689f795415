//! cloudbuild.yaml as Cloud Build reads it: no field that this test would ignore, and substitutions by its rules.
//! <https://cloud.google.com/build/docs/build-config-file-schema>

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Config {
    pub(crate) steps: Vec<Step>,
    pub(crate) artifacts: Artifacts,
    pub(crate) substitutions: BTreeMap<String, String>,
    pub(crate) service_account: String,
    pub(crate) timeout: String,
    pub(crate) options: Options,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) script: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifacts {
    pub(crate) objects: Objects,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Objects {
    pub(crate) location: String,
    pub(crate) paths: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Options {
    pub(crate) logging: String,
    #[expect(dead_code, reason = "this machine is what it is")]
    pub(crate) machine_type: String,
    pub(crate) dynamic_substitutions: bool,
    pub(crate) substitution_option: String,
    pub(crate) env: Vec<String>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Self {
        serde_saphyr::from_str(text).unwrap()
    }

    /// The environment of every step, with these values of the trigger.
    pub(crate) fn environment(&self, given: &[(&str, &str)]) -> Vec<(String, String)> {
        let values = self.values(given);
        let pair = |text: &String| {
            let (name, value) = text.split_once('=').unwrap();
            (name.to_owned(), expand(value, &values))
        };
        self.options.env.iter().map(pair).collect()
    }

    pub(crate) fn values(&self, given: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut values: BTreeMap<String, String> = BUILT_IN.map(|(name, value)| (name.into(), value.into())).into();
        // Values of the trigger are taken as they are; defaults of the file may name built-in ones.
        let defaults = self.substitutions.iter().map(|(name, text)| (name.clone(), expand(text, &values)));
        let defaults: Vec<_> = defaults.collect();
        values.extend(defaults);
        for (name, value) in given {
            assert!(values.insert((*name).into(), (*value).into()).is_some(), "no substitution {name}");
        }
        values
    }
}

/// What Cloud Build knows of a build. The commit is filled in by the caller.
const BUILT_IN: [(&str, &str); 5] = [
    ("BUILD_ID", "9d1ca1ac-6d2b-4c34-9c43-4e0b8c5c8a55"),
    ("PROJECT_ID", "builder-project"),
    ("LOCATION", "us-central1"),
    ("TRIGGER_NAME", "workload"),
    ("COMMIT_SHA", ""),
];

/// `$NAME` and `${NAME}`, and `$$` for a dollar sign; a name that has no value is an error (MUST_MATCH).
fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let (name, after) = match after.strip_prefix('{') {
            Some(after) => after.split_once('}').unwrap(),
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        out.push_str(values.get(name).unwrap_or_else(|| panic!("{text:?} names {name}, which has no value")));
        rest = after;
    }
    out + rest
}
