//! What a collaborator usually asks of a workload, written as an attribute condition.

use csign_cel::quote;
use csign_oci::Digest;

/// What a collaborator asks of a workload. Nothing is optional by omission: an empty list of digests admits no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The container's image digest is one of these.
    pub image_digests: Vec<Digest>,
    /// The operator's project id, if it matters.
    pub project: Option<String>,
    /// A service account that the VM must have, if it matters.
    pub service_account: Option<String>,
    /// `"STABLE" in support_attributes` and `dbgstat == "disabled-since-boot"`: no debug image.
    pub require_stable: bool,
    /// Keys that must all be among `image_signatures`.
    pub signer_key_ids: Vec<String>,
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

    /// The condition in CEL, one clause a line. Each key has a clause of its own: `exists` with a list of keys would be
    /// content with any of them, and `all` over an empty list with none.
    pub fn condition(&self) -> String {
        let digests: Vec<String> = self.image_digests.iter().map(|digest| quote(&digest.to_string())).collect();
        let mut clauses = vec![
            r#"assertion.swname == "CONFIDENTIAL_SPACE""#.to_owned(),
            format!("assertion.submods.container.image_digest in [{}]", digests.join(", ")),
        ];
        if self.require_stable {
            clauses.push(r#""STABLE" in assertion.submods.confidential_space.support_attributes"#.to_owned());
            clauses.push(r#"assertion.dbgstat == "disabled-since-boot""#.to_owned());
        }
        if let Some(project) = &self.project {
            clauses.push(format!("assertion.submods.gce.project_id == {}", quote(project)));
        }
        if let Some(account) = &self.service_account {
            clauses.push(format!("{} in assertion.google_service_accounts", quote(account)));
        }
        clauses.extend(
            self.signer_key_ids
                .iter()
                .map(|id| format!("assertion.submods.container.image_signatures.exists(s, s.key_id == {})", quote(id))),
        );
        clauses.join("\n&& ")
    }
}

#[cfg(test)]
mod tests {
    use csign_cel::{Expression, Variables};
    use serde_json::{Value, json};

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

    fn evaluate(rules: &Rules, claims: &Value) -> Result<(), String> {
        let condition = Expression::condition(&rules.condition()).expect("a condition");
        let explanation = condition.explain(&Variables::new().with("assertion", claims));
        if explanation.admits() { Ok(()) } else { Err(explanation.to_string()) }
    }

    #[test]
    fn a_token_that_meets_every_clause_is_admitted() {
        assert_eq!(evaluate(&rules(), &claims()), Ok(()));
    }

    #[test]
    fn an_empty_list_of_images_admits_none() {
        assert!(evaluate(&Rules::for_images([]), &claims()).is_err());
    }

    #[test]
    fn a_project_that_is_written_to_break_out_of_its_quotes_stays_inside() {
        let rules = Rules { project: Some("x\" || true || \"".to_owned()), ..rules() };
        assert!(evaluate(&rules, &claims()).is_err());
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
            let denied = evaluate(&rules(), &claims).expect_err(clause);
            assert!(denied.contains(clause), "{denied:?} does not name {clause}");
        }
    }
}
