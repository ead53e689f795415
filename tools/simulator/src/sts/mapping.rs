//! The attribute mapping: which of a token's claims become the federated identity's subject, groups and attributes.

use std::collections::BTreeMap;

use csign_cel::{Value as Cel, Variables};
use serde_json::{Value, json};

use super::provider::{Parsed, Target};

/// Longest `google.subject` in bytes.
const MAX_SUBJECT: usize = 127;
/// Largest sum of all mapped values, in bytes.
const MAX_TOTAL: usize = 8 * 1024;

/// What a token's claims became.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) subject: String,
    pub(super) groups: Vec<String>,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Mapped {
    /// Evaluates every mapping. An expression without a value is an error: nobody gets an identity with a part missing.
    pub(super) fn new(provider: &Parsed, claims: &Value) -> Result<Self, String> {
        let variables = Variables::new().with("assertion", claims);
        let mut mapped = Self::default();
        let mut total = 0_usize;
        for (target, expression) in &provider.mapping {
            let key = target.key();
            let value = expression.evaluate(&variables).map_err(|error| {
                format!("The mapped attribute '{key}' could not be evaluated: {error}, in {}.", expression.source())
            })?;
            let text = |value: &Cel| {
                let text = value.as_str().map(str::to_owned);
                text.ok_or_else(|| {
                    format!("The mapped attribute '{key}' must be of type STRING, not {}.", value.kind())
                })
            };
            match target {
                Target::Subject => {
                    mapped.subject = text(&value)?;
                    total += mapped.subject.len();
                }
                Target::Groups => {
                    let elements = value.as_list().ok_or_else(|| {
                        format!("The mapped attribute '{key}' must be a list of strings, not {}.", value.kind())
                    })?;
                    mapped.groups = elements.iter().map(text).collect::<Result<_, _>>()?;
                    total += mapped.groups.iter().map(String::len).sum::<usize>();
                }
                Target::Attribute(name) => {
                    let text = text(&value)?;
                    total += text.len();
                    mapped.attributes.insert(name.clone(), text);
                }
            }
        }
        match mapped.subject.len() {
            0 => return Err("The mapped attribute 'google.subject' must not be empty.".to_owned()),
            length if length > MAX_SUBJECT => {
                return Err(format!(
                    "The size of mapped attribute google.subject exceeds the {MAX_SUBJECT} bytes limit: it has {length}. \
                     Either modify your attribute mapping or the incoming assertion to produce a mapped attribute \
                     that is less than {MAX_SUBJECT} bytes."
                ));
            }
            _ => {}
        }
        if total > MAX_TOTAL {
            return Err(format!("The mapped attributes have {total} bytes, at most {MAX_TOTAL} are allowed."));
        }
        Ok(mapped)
    }

    /// What a condition sees.
    pub(super) fn variables(&self, claims: &Value) -> Variables {
        let google = json!({"subject": self.subject, "groups": self.groups});
        Variables::new().with("assertion", claims).with("google", &google).with("attribute", &json!(self.attributes))
    }
}

impl Target {
    fn key(&self) -> String {
        match self {
            Self::Subject => "google.subject".to_owned(),
            Self::Groups => "google.groups".to_owned(),
            Self::Attribute(name) => format!("attribute.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Provider, *};

    fn map(pairs: &[(&str, &str)], claims: &Value) -> Result<Mapped, String> {
        let mapping = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let name = "projects/1/locations/global/workloadIdentityPools/p/providers/x";
        let provider = Provider { attribute_mapping: mapping, ..Provider::new(name, "") };
        Mapped::new(&Parsed::new(provider).expect("parses"), claims)
    }

    #[test]
    fn values_become_subject_groups_and_attributes() {
        let claims = json!({"sub": "https://x/zones/z/instances/i", "roles": ["a", "b/c"], "n": 7});
        let pairs = [
            ("google.subject", "assertion.sub.extract('/instances/{i}')"),
            ("google.groups", "assertion.roles"),
            ("attribute.number", "string(int(assertion.n))"),
        ];
        let mapped = map(&pairs, &claims).expect("maps");
        assert_eq!((mapped.subject.as_str(), mapped.groups.join(",").as_str()), ("i", "a,b/c"));
        assert_eq!(mapped.attributes["number"], "7");
    }

    #[test]
    fn a_subject_of_127_bytes_is_accepted_and_one_more_or_none_is_not() {
        let subject = [("google.subject", "assertion.sub")];
        assert!(map(&subject, &json!({"sub": "x".repeat(127)})).is_ok());
        for long in ["x".repeat(128), "é".repeat(64), String::new()] {
            assert!(map(&subject, &json!({"sub": long})).is_err());
        }
    }

    #[test]
    fn absent_claims_wrong_types_and_too_much_data_are_errors() {
        let subject = ("google.subject", "'s'");
        let large = json!({"large": "x".repeat(8192), "n": 1, "list": [1]});
        for mapping in [
            ("attribute.x", "assertion.absent"),
            ("attribute.x", "assertion.n"),
            ("attribute.x", "assertion.list"),
            ("attribute.x", "assertion.large"),
            ("google.groups", "'not a list'"),
            ("google.groups", "assertion.list"),
        ] {
            assert!(map(&[subject, mapping], &large).is_err(), "{mapping:?}");
        }
        assert!(map(&[("google.subject", "assertion.n")], &large).is_err());
    }
}
