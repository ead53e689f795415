//! What a token must say: attribute mapping and condition of a workload identity provider, in CEL.
//!
//! Every clause fails on an absent claim, since an error denies. Each key has a clause of its own: one `exists` with a
//! list of keys would be content with any of them, and `all` over an empty list with none.

use std::collections::BTreeMap;

use csign_cel::{MAX_CONDITION, MAX_MAPPING, quote};
use csign_contract::{Contract, Threshold};
use csign_oci::Digest;

use crate::{Grant, RenderError};

/// The attribute by which [`Grant::Signers`] releases a key.
pub(crate) const AGREEMENT: &str = "agreement";
/// Its value for an image that the parties signed.
pub(crate) const AGREED: &str = "signed";

/// Mapping and condition of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// CEL over `assertion`, by attribute.
    pub mapping: BTreeMap<&'static str, String>,
    /// CEL over `assertion`, `google` and `attribute`.
    pub condition: String,
    /// What they were made of: one, or while images change several.
    admissions: Vec<Admission>,
}

/// What one contract asks of a token. Whoever is admitted fulfils all of one, not some of several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Admission {
    platform: Vec<String>,
    images: Images,
    signers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Images {
    /// These.
    Digests(Vec<Digest>),
    /// Any of a repository, whose references begin like this.
    Repository(String),
}

/// The rules under which the workload of `contract` gets an identity.
///
/// # Errors
/// No image for [`Grant::Digest`]; no signer whom a token can show for [`Grant::Signers`]; a text that is too long.
pub fn rules(contract: &Contract, grant: Grant, digests: &[Digest]) -> Result<Rules, RenderError> {
    let signers = signers(contract);
    let images = match grant {
        Grant::Digest if digests.is_empty() => return Err(RenderError::NoDigest("the grant \"digest\"")),
        Grant::Digest => Images::Digests(digests.to_vec()),
        Grant::Signers if signers.is_empty() => return Err(RenderError::NoReadableSigner),
        Grant::Signers => Images::Repository(format!("{}@sha256:", contract.image.repository)),
    };
    Rules::of(vec![Admission { platform: platform(contract), images, signers }])
}

impl Rules {
    fn of(admissions: Vec<Admission>) -> Result<Self, RenderError> {
        let clauses: Vec<Vec<String>> = admissions.iter().map(Admission::clauses).collect();
        let condition = within("attribute condition", any_of(&clauses), MAX_CONDITION)?;
        let container = "assertion.submods.container";
        let mut mapping = BTreeMap::from([
            // The token's own `sub` can be longer than the 127 bytes that a subject may have.
            (
                "google.subject",
                format!(
                    "\"gcpcs::\" + {container}.image_digest + \"::\" + assertion.submods.gce.project_number + \"::\" + assertion.submods.gce.instance_id"
                ),
            ),
            ("attribute.image_digest", format!("{container}.image_digest")),
            ("attribute.project_id", "assertion.submods.gce.project_id".to_owned()),
            ("attribute.instance_id", "assertion.submods.gce.instance_id".to_owned()),
        ]);
        let signers: Vec<Vec<String>> = admissions.iter().map(|admission| admission.signers.clone()).collect();
        if signers.iter().all(|signers| !signers.is_empty()) {
            let signed = format!("{} ? {} : {}", any_of(&signers), quote(AGREED), quote("unsigned"));
            // A provider of many parties has no room for it; only the grant "signers" needs it.
            let needed = admissions.iter().any(|admission| matches!(admission.images, Images::Repository(_)));
            match within("attribute mapping", signed, MAX_MAPPING) {
                Ok(signed) => _ = mapping.insert("attribute.agreement", signed),
                Err(error) if needed => return Err(error),
                Err(_) => {}
            }
        }
        Ok(Self { mapping, condition, admissions })
    }

    /// The rules that admit whom these or `other` admit, and nobody else: an image of the one under the other's terms is
    /// still refused.
    ///
    /// # Errors
    /// A text that is too long.
    pub(crate) fn or(&self, other: &Self) -> Result<Self, RenderError> {
        let mut admissions = self.admissions.clone();
        for more in &other.admissions {
            let Admission { platform, images, signers } = more;
            let same = admissions.iter_mut().find(|one| one.platform == *platform && one.signers == *signers);
            match (same.map(|one| &mut one.images), images) {
                (Some(Images::Digests(have)), Images::Digests(digests)) => {
                    let new: Vec<Digest> = digests.iter().filter(|digest| !have.contains(digest)).copied().collect();
                    have.extend(new);
                }
                (Some(have), images) if have == images => {}
                _ => admissions.push(more.clone()),
            }
        }
        Self::of(admissions)
    }
}

impl Admission {
    fn clauses(&self) -> Vec<String> {
        let image = match &self.images {
            Images::Digests(digests) => {
                let list: Vec<String> = digests.iter().map(|digest| quote(&digest.to_string())).collect();
                format!("assertion.submods.container.image_digest in [{}]", list.join(", "))
            }
            Images::Repository(prefix) => {
                format!("assertion.submods.container.image_reference.startsWith({})", quote(prefix))
            }
        };
        [self.platform.as_slice(), &[image], &self.signers].concat()
    }
}

/// All clauses of one of the lists: what they have in common once, then what tells them apart.
fn any_of(lists: &[Vec<String>]) -> String {
    let (first, others) = lists.split_first().map_or((&[][..], lists), |(first, others)| (first.as_slice(), others));
    let common: Vec<&String> = first.iter().filter(|clause| others.iter().all(|list| list.contains(clause))).collect();
    let rest = |list: &Vec<String>| -> Vec<String> {
        list.iter().filter(|clause| !common.contains(clause)).cloned().collect()
    };
    let rests: Vec<Vec<String>> = lists.iter().map(rest).collect();
    let mut clauses: Vec<String> = common.iter().map(|clause| (*clause).clone()).collect();
    // With one that asks for nothing more, whoever has what is common is admitted.
    if rests.iter().all(|rest| !rest.is_empty()) {
        let alternatives: Vec<String> = rests.iter().map(|rest| rest.join(" && ")).collect();
        clauses.push(format!("({})", alternatives.join(" || ")));
    }
    clauses.join(" && ")
}

/// What the machine must be and whose it must be.
fn platform(contract: &Contract) -> Vec<String> {
    let hardware: Vec<String> = contract.platform.hardware.iter().map(|model| quote(model)).collect();
    vec![
        "assertion.swname == \"CONFIDENTIAL_SPACE\"".to_owned(),
        format!(
            "{} in assertion.submods.confidential_space.support_attributes",
            quote(contract.platform.support.name())
        ),
        "assertion.dbgstat == \"disabled-since-boot\"".to_owned(),
        "assertion.secboot == true".to_owned(),
        format!("assertion.hwmodel in [{}]", hardware.join(", ")),
        format!("assertion.submods.gce.project_id == {}", quote(&contract.operator.project_id)),
        format!("{} in assertion.google_service_accounts", quote(&contract.operator.service_account)),
    ]
}

/// A clause for every party that must have signed, as far as a token can show its signature. With a threshold below all,
/// one clause that counts.
fn signers(contract: &Contract) -> Vec<String> {
    let readable: Vec<_> =
        contract.parties.iter().filter(|party| party.public_key.algorithm().is_read_by_confidential_space()).collect();
    let unreadable = contract.parties.len() - readable.len();
    let signatures = "assertion.submods.container.image_signatures";
    match contract.signatures.threshold {
        Threshold::All => readable
            .iter()
            .map(|party| {
                let key = &party.public_key;
                format!(
                    "{signatures}.exists(s, s.key_id == {} && s.signature_algorithm == {})",
                    quote(&key.id().to_string()),
                    quote(&key.algorithm().to_string())
                )
            })
            .collect(),
        threshold => {
            // Those whom no token can show may all be among those who signed.
            let wanted = threshold.required(contract.parties.len()).saturating_sub(unreadable);
            let keys: Vec<String> = readable
                .iter()
                .map(|party| quote(&format!("{}:{}", party.public_key.algorithm(), party.public_key.id())))
                .collect();
            let count = format!(
                "size([{}].filter(k, {signatures}.exists(s, s.signature_algorithm + \":\" + s.key_id == k))) >= {wanted}",
                keys.join(", ")
            );
            if wanted == 0 { Vec::new() } else { vec![count] }
        }
    }
}

fn within(what: &'static str, text: String, longest: usize) -> Result<String, RenderError> {
    let length = text.chars().count();
    if length > longest { Err(RenderError::TooLong { what, length, longest }) } else { Ok(text) }
}
