//! The attribute mapping: which of a token's claims become the federated identity's subject, groups and attributes.

use serde_json::Value;

use super::{Identity, Provider, Target};
use crate::{EvalError, Kind, Value as Cel, Variables};

/// Longest `google.subject` in bytes.
pub const MAX_SUBJECT: usize = 127;
/// Largest sum of all mapped values, in bytes.
const MAX_TOTAL: usize = 8 * 1024;

/// Why a token gets no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// An expression without a value: nobody gets an identity with a part missing.
    #[error("The mapped attribute '{key}' could not be evaluated: {error}, in {expression}.")]
    NoValue {
        /// What is mapped.
        key: String,
        /// Why it has no value.
        error: EvalError,
        /// The expression.
        expression: String,
    },
    /// A value of the wrong type.
    #[error("The mapped attribute '{key}' must be {want}, not {got}.")]
    Type {
        /// What is mapped.
        key: String,
        /// The type that it must have.
        want: &'static str,
        /// The type that it has.
        got: Kind,
    },
    /// No subject.
    #[error("The mapped attribute 'google.subject' must not be empty.")]
    NoSubject,
    /// A subject that is too long.
    #[error(
        "The size of mapped attribute google.subject exceeds the {MAX_SUBJECT} bytes limit: it has {length}. Either modify \
         your attribute mapping or the incoming assertion to produce a mapped attribute that is less than {MAX_SUBJECT} \
         bytes."
    )]
    Subject {
        /// Bytes that it has.
        length: usize,
    },
    /// All values together are too long.
    #[error("The mapped attributes have {0} bytes, at most {MAX_TOTAL} are allowed.")]
    Total(usize),
}

impl Provider {
    /// Who the bearer of a token with these claims becomes.
    ///
    /// # Errors
    /// A part of the identity has no value, or one that is too long or of the wrong type.
    pub fn identity(&self, claims: &Value) -> Result<Identity, MappingError> {
        let variables = Variables::new().with("assertion", claims);
        let mut identity = Identity::default();
        let mut total = 0_usize;
        for (target, expression) in self.mapping() {
            let value = expression.evaluate(&variables).map_err(|error| MappingError::NoValue {
                key: target.key(),
                error,
                expression: expression.source().to_owned(),
            })?;
            let text = |value: &Cel, want| {
                let wrong = || MappingError::Type { key: target.key(), want, got: value.kind() };
                value.as_str().map(str::to_owned).ok_or_else(wrong)
            };
            match target {
                Target::Subject => {
                    identity.subject = text(&value, "of type STRING")?;
                    total += identity.subject.len();
                }
                Target::Groups => {
                    const WANT: &str = "a list of strings";
                    let wrong = || MappingError::Type { key: target.key(), want: WANT, got: value.kind() };
                    let elements = value.as_list().ok_or_else(wrong)?;
                    identity.groups = elements.iter().map(|value| text(value, WANT)).collect::<Result<_, _>>()?;
                    total += identity.groups.iter().map(String::len).sum::<usize>();
                }
                Target::Attribute(name) => {
                    let text = text(&value, "of type STRING")?;
                    total += text.len();
                    identity.attributes.insert(name.clone(), text);
                }
            }
        }
        match identity.subject.len() {
            0 => return Err(MappingError::NoSubject),
            length if length > MAX_SUBJECT => return Err(MappingError::Subject { length }),
            _ => {}
        }
        if total > MAX_TOTAL {
            return Err(MappingError::Total(total));
        }
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn map(pairs: &[(&str, &str)], claims: &Value) -> Result<Identity, MappingError> {
        let mapping: BTreeMap<_, _> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let name = "projects/1/locations/global/workloadIdentityPools/p/providers/x";
        Provider::new(name, &mapping, "", &[]).expect("parses").identity(claims)
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
