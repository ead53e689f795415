//! A provider's attribute condition: what an attestation token must say before STS accepts it.
//!
//! A condition is a function of the claims to "yes" or "no, because of this clause"; an absent claim is a "no".

use csign_oci::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An attribute condition. Another language for conditions is another variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All of these rules.
    Rules(Rules),
}

/// What a collaborator asks of a workload. Nothing is optional by omission: an empty list of digests admits no image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The container's image digest is one of these.
    pub image_digests: Vec<Digest>,
    /// The operator's project id, if it matters.
    #[serde(default)]
    pub project: Option<String>,
    /// A service account that the VM must have, if it matters.
    #[serde(default)]
    pub service_account: Option<String>,
    /// `"STABLE" in support_attributes` and `dbgstat == "disabled-since-boot"`: no debug image.
    #[serde(default = "yes")]
    pub require_stable: bool,
    /// Keys that must all be among `image_signatures`.
    #[serde(default)]
    pub signer_key_ids: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Rules {
    /// Production images with one of these digests, and nothing else.
    pub fn for_images(image_digests: impl IntoIterator<Item = Digest>) -> Self {
        Self {
            image_digests: image_digests.into_iter().collect(),
            project: None,
            service_account: None,
            require_stable: true,
            signer_key_ids: Vec::new(),
        }
    }
}

impl Condition {
    /// Whether `claims` meet the condition.
    ///
    /// # Errors
    /// The first clause that does not hold.
    pub fn evaluate(&self, claims: &Map<String, Value>) -> Result<(), String> {
        match self {
            Self::Rules(rules) => rules.evaluate(claims),
        }
    }
}

impl Rules {
    fn evaluate(&self, claims: &Map<String, Value>) -> Result<(), String> {
        let at = |pointer: &str| lookup(claims, pointer);
        let text = |pointer: &str| at(pointer).and_then(Value::as_str);
        let has = |pointer: &str, wanted: &str| {
            at(pointer).and_then(Value::as_array).is_some_and(|items| items.iter().any(|item| item == wanted))
        };

        require(text("swname") == Some("CONFIDENTIAL_SPACE"), || "swname == \"CONFIDENTIAL_SPACE\"".to_owned())?;
        let digest = text("submods/container/image_digest");
        require(digest.is_some_and(|d| self.image_digests.iter().any(|admitted| admitted.to_string() == d)), || {
            format!("image_digest in {:?} (the token has {})", self.image_digests, digest.unwrap_or("none"))
        })?;
        if self.require_stable {
            require(has("submods/confidential_space/support_attributes", "STABLE"), || {
                "\"STABLE\" in support_attributes".to_owned()
            })?;
            require(text("dbgstat") == Some("disabled-since-boot"), || {
                "dbgstat == \"disabled-since-boot\"".to_owned()
            })?;
        }
        if let Some(project) = &self.project {
            require(text("submods/gce/project_id") == Some(project), || format!("project_id == {project:?}"))?;
        }
        if let Some(account) = &self.service_account {
            require(has("google_service_accounts", account), || format!("{account:?} in google_service_accounts"))?;
        }
        let signers = at("submods/container/image_signatures").and_then(Value::as_array);
        for wanted in &self.signer_key_ids {
            let signed = signers.is_some_and(|all| all.iter().any(|s| s.get("key_id").is_some_and(|id| id == wanted)));
            require(signed, || format!("image_signatures.exists(s, s.key_id == {wanted:?})"))?;
        }
        Ok(())
    }
}

fn require(holds: bool, clause: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(clause()) }
}

/// Follows `path`, whose names are separated by `/`.
pub(super) fn lookup<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut names = path.split('/');
    let mut value = claims.get(names.next()?)?;
    for name in names {
        value = value.get(name)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn admitted() -> Digest {
        Digest::of("admitted")
    }

    fn claims() -> Value {
        json!({
            "swname": "CONFIDENTIAL_SPACE",
            "dbgstat": "disabled-since-boot",
            "google_service_accounts": ["vm@p.iam.gserviceaccount.com"],
            "submods": {
                "confidential_space": {"support_attributes": ["LATEST", "STABLE", "USABLE"]},
                "container": {
                    "image_digest": admitted(),
                    "image_signatures": [{"key_id": "aa"}, {"key_id": "bb"}],
                },
                "gce": {"project_id": "operator"},
            },
        })
    }

    fn rules() -> Rules {
        Rules {
            project: Some("operator".to_owned()),
            service_account: Some("vm@p.iam.gserviceaccount.com".to_owned()),
            signer_key_ids: vec!["aa".to_owned(), "bb".to_owned()],
            ..Rules::for_images([admitted()])
        }
    }

    fn evaluate(rules: Rules, claims: Value) -> Result<(), String> {
        Condition::Rules(rules).evaluate(claims.as_object().expect("object"))
    }

    #[test]
    fn a_token_that_meets_every_clause_is_admitted() {
        assert_eq!(evaluate(rules(), claims()), Ok(()));
    }

    #[test]
    fn an_empty_list_of_images_admits_none() {
        assert!(evaluate(Rules::for_images([]), claims()).is_err());
    }

    #[test]
    fn each_clause_denies_on_its_own_and_names_itself() {
        type Change = fn(&mut Value);
        let attacks: [(&str, Change); 10] = [
            ("image_digest", |c| c["submods"]["container"]["image_digest"] = json!(Digest::of("other"))),
            ("image_digest", |c| c["submods"]["container"] = json!(null)),
            ("STABLE", |c| c["submods"]["confidential_space"]["support_attributes"] = json!(["EXPERIMENTAL"])),
            ("STABLE", |c| c["submods"]["confidential_space"] = json!({})),
            ("dbgstat", |c| c["dbgstat"] = json!("enabled")),
            ("swname", |c| c["swname"] = json!("GCE")),
            ("project_id", |c| c["submods"]["gce"]["project_id"] = json!("operator2")),
            ("google_service_accounts", |c| c["google_service_accounts"] = json!([])),
            ("\"bb\"", |c| c["submods"]["container"]["image_signatures"] = json!([{"key_id": "aa"}, {"key_id": "aa"}])),
            ("\"aa\"", |c| c["submods"]["container"]["image_signatures"] = json!(null)),
        ];
        for (clause, change) in attacks {
            let mut claims = claims();
            change(&mut claims);
            let denied = evaluate(rules(), claims).expect_err(clause);
            assert!(denied.contains(clause), "{denied:?} does not name {clause}");
        }
    }
}
