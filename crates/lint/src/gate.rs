//! Judges whatever decides about tokens by what it lets in: the right token, and tokens that differ in one way each.

use serde_json::{Value, json};

use crate::{
    claims::{get, remove, set, set_signers, signers},
    finding::Findings,
    rule::Rule,
    rules::admission as rules,
};

/// What a gate says about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It lets the bearer in.
    Admitted,
    /// It does not, and why.
    Refused(String),
}

/// Something that decides about tokens.
pub(crate) struct Gate<'a> {
    /// What people call it.
    pub(crate) name: &'a str,
    /// Where it stands in its document.
    pub(crate) pointer: &'a str,
    /// The decision.
    pub(crate) judge: &'a dyn Fn(&Value) -> Verdict,
    /// The decision without the parts that refuse the right token, if the rest can be told: a mistake must not hide another.
    pub(crate) rest: Option<&'a dyn Fn(&Value) -> Verdict>,
    /// The token that it has in mind.
    pub(crate) right: Value,
    /// Something that was asked could not be put into that token.
    pub(crate) undecided: bool,
    /// Who it is up to to tell images, operators and signers apart.
    pub(crate) duty: Duty,
}

/// What a gate must tell apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Duty {
    /// Images: unless something behind it does.
    pub(crate) images: bool,
    /// Operators.
    pub(crate) operators: bool,
    /// Platforms: debug and unsupported ones.
    pub(crate) platforms: bool,
    /// Signers: if it asks for signatures at all.
    pub(crate) signers: bool,
    /// How many of the keys must have signed, if a contract says so.
    pub(crate) least: Option<usize>,
    /// Images out of support are acceptable.
    pub(crate) out_of_support: bool,
}

impl Gate<'_> {
    fn admits(&self, token: &Value) -> bool {
        self.rest.unwrap_or(self.judge)(token) == Verdict::Admitted
    }

    /// Asks the gate about every token and records what it should have refused, or admitted.
    pub(crate) fn check(&self, findings: &mut Findings<'_>) {
        let mut add = |rule: &'static Rule, text: String| {
            findings.add(rule, self.pointer, format!("{} {text}", self.name));
        };
        if let Verdict::Refused(why) = (self.judge)(&self.right) {
            let rule = if self.undecided { &rules::UNDECIDED } else { &rules::NOBODY };
            add(rule, format!("refuses the token that a production workload gets: {why}"));
        }
        for scenario in SCENARIOS.iter().filter(|scenario| (scenario.applies)(&self.duty)) {
            let mut token = self.right.clone();
            (scenario.change)(&mut token);
            if self.admits(&token) {
                add(scenario.rule, format!("lets in {}", scenario.who));
            }
        }
        if self.duty.signers {
            self.check_signers(&mut add);
        }
    }

    /// A gate that asks for signatures must miss every one of them.
    fn check_signers(&self, add: &mut dyn FnMut(&'static Rule, String)) {
        let mut token = self.right.clone();
        for none in [Value::Null, json!([])] {
            set(&mut token, "submods.container.image_signatures", none);
            if self.admits(&token) {
                add(&rules::UNSIGNED, "asks for signatures and lets in an image that nobody signed".to_owned());
                return;
            }
        }
        let all = signers(&self.right);
        let ids: std::collections::BTreeSet<&String> = all.iter().map(|(id, _)| id).collect();
        let ids: Vec<&String> = ids.into_iter().collect();
        let mut with = |kept: &[&String]| {
            let kept: Vec<_> = all.iter().filter(|(id, _)| kept.contains(&id)).cloned().collect();
            set_signers(&mut token, &kept);
            self.admits(&token)
        };
        let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        match self.duty.least {
            // A contract says how many must have signed: any of them may be the one that is missing.
            Some(least) if least <= ids.len() => {
                for kept in too_few(&ids, least) {
                    if with(&kept) {
                        let names: Vec<String> = kept.iter().map(|id| short(id)).collect();
                        let who = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
                        add(&rules::ONE_SIGNER, format!("lets in an image that only {who} signed; {least} must have"));
                        return;
                    }
                }
            }
            _ => {
                for id in ids.iter().filter(|_| ids.len() > 1) {
                    if with(&[*id]) {
                        add(&rules::ONE_SIGNER, format!("lets in an image that only the key {}… signed", short(id)));
                        return;
                    }
                }
            }
        }
    }
}

/// For each of `ids`, as many of the others as are one too few.
pub(crate) fn too_few<T: Copy>(ids: &[T], least: usize) -> Vec<Vec<T>> {
    let others = |missing: usize| ids.iter().cycle().skip(missing + 1).take(least.saturating_sub(1)).copied().collect();
    (0..ids.len()).map(others).collect()
}

/// One way in which a token is not the right one.
pub(crate) struct Scenario {
    rule: &'static Rule,
    /// Whose token it is.
    pub(crate) who: &'static str,
    /// Must a gate with this duty tell it apart?
    pub(crate) applies: fn(&Duty) -> bool,
    /// Makes the right token into it.
    pub(crate) change: fn(&mut Value),
}

const SUPPORT: &str = "submods.confidential_space.support_attributes";

/// Tokens that the right one is mistaken for.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        rule: &rules::DEBUG,
        who: "the debug image of Confidential Space, whose operator can log in (dbgstat \"enabled\", no support_attributes)",
        applies: |duty| duty.platforms,
        change: |token| {
            set(token, "dbgstat", json!("enabled"));
            remove(token, SUPPORT);
        },
    },
    Scenario {
        rule: &rules::UNSTABLE,
        who: "an experimental image of Confidential Space (support_attributes [\"EXPERIMENTAL\"])",
        applies: |duty| duty.platforms,
        change: |token| set(token, SUPPORT, json!(["EXPERIMENTAL"])),
    },
    Scenario {
        rule: &rules::UNSTABLE,
        who: "an image of Confidential Space that is out of support (support_attributes [\"USABLE\"])",
        applies: |duty| duty.platforms && !duty.out_of_support,
        change: |token| set(token, SUPPORT, json!(["USABLE"])),
    },
    Scenario {
        rule: &rules::PLATFORM,
        who: "a virtual machine that is no Confidential Space (swname \"GCE\")",
        applies: |duty| duty.platforms,
        change: |token| {
            set(token, "swname", json!("GCE"));
            set(token, "hwmodel", json!("GCP_SHIELDED_VM"));
            remove(token, "submods.confidential_space");
        },
    },
    Scenario {
        rule: &rules::OPERATOR,
        who: "another operator: any project, any service account",
        applies: |duty| duty.operators,
        change: |token| {
            other_project(token);
            other_account(token);
        },
    },
    Scenario {
        rule: &rules::IMAGE,
        who: "every image, whatever its digest",
        applies: |duty| duty.images,
        change: |token| {
            let other = csign_oci::Digest::of("another image").to_string();
            set(token, "submods.container.image_digest", json!(other));
            set(token, "submods.container.image_id", json!(csign_oci::Digest::of("another configuration")));
            let reference = get(token, "submods.container.image_reference").and_then(Value::as_str).unwrap_or_default();
            let repository = reference.split_once('@').map_or(reference, |(repository, _)| repository);
            let reference = format!("{repository}@{other}");
            set(token, "submods.container.image_reference", json!(reference));
            set_signers(token, &[]);
        },
    },
];

fn other_project(token: &mut Value) {
    set(token, "submods.gce.project_id", json!("another-project"));
    set(token, "submods.gce.project_number", json!("999999999999"));
    set(
        token,
        "sub",
        json!("https://www.googleapis.com/compute/v1/projects/another-project/zones/us-central1-a/instances/other"),
    );
    set(token, "submods.gce.instance_id", json!("999"));
    set(token, "submods.gce.instance_name", json!("other"));
}

fn other_account(token: &mut Value) {
    set(token, "google_service_accounts", json!(["other@another-project.iam.gserviceaccount.com"]));
}
