//! Which entries a reader wants: the same for the page, the API and the program.

use super::AuditEntry;

/// Longest text that a filter may carry, in bytes.
const MAX_TEXT: usize = 4096;

/// A choice of entries; the default admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these services; empty is all.
    pub services: Vec<String>,
    /// Only allowed, or only denied ones.
    pub allowed: Option<bool>,
    /// Only principals that contain this.
    pub principal: Option<String>,
    /// Only entries one of whose members contains this, whatever the case.
    pub text: Option<String>,
}

impl Filter {
    /// Whether `entry` is wanted.
    pub fn admits(&self, entry: &AuditEntry) -> bool {
        (self.services.is_empty() || self.services.contains(&entry.service))
            && self.allowed.is_none_or(|allowed| entry.allowed == allowed)
            && self.principal.as_ref().is_none_or(|part| entry.principal.contains(part))
            && self.text.as_ref().is_none_or(|part| contains(entry, &part.to_lowercase()))
    }

    /// The filter of a query: `service` (may be repeated), `allowed`, `principal`, `text`. Other names are for others.
    ///
    /// # Errors
    /// A value that makes no sense; a filter that was misread would hide entries.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if value.len() > MAX_TEXT {
            return Err(format!("{name} has more than {MAX_TEXT} bytes"));
        }
        match name {
            "service" => self.services.push(value.to_owned()),
            "allowed" => {
                let allowed = value.parse().map_err(|_| format!("allowed is true or false, not {value:?}"))?;
                self.allowed = Some(allowed);
            }
            "principal" => self.principal = Some(value.to_owned()),
            "text" => self.text = Some(value.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The query that [`Filter::take`] reads.
    pub fn to_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for service in &self.services {
            query.append_pair("service", service);
        }
        let allowed = self.allowed.map(|allowed| allowed.to_string());
        for (name, value) in [("allowed", &allowed), ("principal", &self.principal), ("text", &self.text)] {
            query.extend_pairs(value.iter().map(|value| (name, value)));
        }
        query.finish()
    }
}

fn contains(entry: &AuditEntry, lower: &str) -> bool {
    let AuditEntry { service, method, principal, resource, clause, .. } = entry;
    [service, method, principal, resource, clause].iter().any(|text| text.to_lowercase().contains(lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> AuditEntry {
        AuditEntry {
            sequence: 0,
            time: 0,
            service: "kms".to_owned(),
            method: "decrypt".to_owned(),
            principal: "user:alice@example.com".to_owned(),
            resource: "projects/p".to_owned(),
            allowed: false,
            clause: "no binding of USE".to_owned(),
        }
    }

    #[test]
    fn every_part_of_a_filter_must_hold() {
        let filter = Filter {
            services: vec!["sts".to_owned(), "kms".to_owned()],
            allowed: Some(false),
            principal: Some("alice".to_owned()),
            text: Some("binding of use".to_owned()),
        };
        assert!(filter.admits(&entry()) && Filter::default().admits(&entry()));
        let spoilt = [
            Filter { services: vec!["km".to_owned()], ..filter.clone() },
            Filter { allowed: Some(true), ..filter.clone() },
            Filter { principal: Some("bob".to_owned()), ..filter.clone() },
            Filter { text: Some("other".to_owned()), ..filter },
        ];
        for filter in spoilt {
            assert!(!filter.admits(&entry()), "{filter:?}");
        }
    }

    #[test]
    fn a_filter_survives_its_query_and_a_senseless_one_is_refused() {
        let filter = Filter {
            services: vec!["a&b".to_owned(), "c".to_owned()],
            allowed: Some(false),
            principal: Some("x=y".to_owned()),
            text: Some("ü %".to_owned()),
        };
        let mut read = Filter::default();
        for (name, value) in form_urlencoded::parse(filter.to_query().as_bytes()) {
            assert_eq!(read.take(&name, &value), Ok(true));
        }
        assert_eq!(read, filter);
        assert!(Filter::default().take("allowed", "no").is_err());
        assert_eq!(Filter::default().take("after", "1"), Ok(false));
    }
}
