//! What the owner of a pool writes down, parsed: everything that Google would not accept is refused here.

use std::collections::BTreeMap;

use crate::{Expression, ParseError};

/// Most attributes of a provider's own.
const MAX_ATTRIBUTES: usize = 50;
/// Longest key of a mapping, in characters.
const MAX_KEY: usize = 100;
/// Most allowed audiences, and the longest of them in characters.
const MAX_AUDIENCES: (usize, usize) = (10, 256);

/// A provider whose expressions are parsed.
#[derive(Clone, Debug)]
pub struct Provider {
    name: String,
    pool: String,
    mapping: Vec<(Target, Expression)>,
    condition: Option<Expression>,
    allowed_audiences: Vec<String>,
}

/// Where a mapping puts its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `google.subject`
    Subject,
    /// `google.groups`
    Groups,
    /// `attribute.NAME`
    Attribute(String),
}

/// Why these settings are no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// A name of another form.
    #[error("the name is not projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER")]
    Name,
    /// A key that is no target of a mapping.
    #[error("{0:?} is no attribute that can be mapped")]
    Target(String),
    /// An expression of the mapping.
    #[error("the mapping of {key}: {error}")]
    Mapping {
        /// What is mapped.
        key: String,
        /// What is wrong with its expression.
        error: ParseError,
    },
    /// A mapping without a subject.
    #[error("the attribute mapping must contain google.subject")]
    NoSubject,
    /// A mapping with too many attributes.
    #[error("it maps {0} attributes, at most {MAX_ATTRIBUTES} are allowed")]
    Attributes(usize),
    /// The condition.
    #[error("attribute condition: {0}")]
    Condition(#[source] ParseError),
    /// The list of audiences.
    #[error("at most {} audiences of 1 to {} characters are allowed", MAX_AUDIENCES.0, MAX_AUDIENCES.1)]
    Audiences,
}

impl Provider {
    /// Parses what is written down: the resource name without a host, CEL by target, CEL or nothing, audiences.
    ///
    /// # Errors
    /// What Google refuses when a provider is created.
    pub fn new(
        name: &str,
        mapping: &BTreeMap<String, String>,
        condition: &str,
        allowed_audiences: &[String],
    ) -> Result<Self, ProviderError> {
        let pool = pool_of(name).map(str::to_owned).ok_or(ProviderError::Name)?;
        let mut parsed = Vec::new();
        for (key, value) in mapping {
            let target = Target::parse(key).ok_or_else(|| ProviderError::Target(key.clone()))?;
            let value =
                Expression::mapping(value).map_err(|error| ProviderError::Mapping { key: key.clone(), error })?;
            parsed.push((target, value));
        }
        if !mapping.contains_key("google.subject") {
            return Err(ProviderError::NoSubject);
        }
        let attributes = parsed.iter().filter(|(target, _)| matches!(target, Target::Attribute(_))).count();
        if attributes > MAX_ATTRIBUTES {
            return Err(ProviderError::Attributes(attributes));
        }
        let condition = match condition {
            "" => None,
            text => Some(Expression::condition(text).map_err(ProviderError::Condition)?),
        };
        let (most, longest) = MAX_AUDIENCES;
        let fits = |audience: &String| !audience.is_empty() && audience.chars().count() <= longest;
        if allowed_audiences.len() > most || !allowed_audiences.iter().all(fits) {
            return Err(ProviderError::Audiences);
        }
        Ok(Self {
            name: name.to_owned(),
            pool,
            mapping: parsed,
            condition,
            allowed_audiences: allowed_audiences.to_vec(),
        })
    }

    /// `projects/N/locations/global/workloadIdentityPools/P/providers/X`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `projects/N/locations/global/workloadIdentityPools/P`
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// The mapping, by target.
    pub fn mapping(&self) -> &[(Target, Expression)] {
        &self.mapping
    }

    /// The condition; without one every token of the issuer is accepted.
    pub fn condition(&self) -> Option<&Expression> {
        self.condition.as_ref()
    }

    /// Whether a token for `audience` is meant for this provider: one of the allowed audiences, or without any the
    /// provider's own resource name, with or without `https:`.
    pub fn is_for(&self, audience: &str) -> bool {
        if self.allowed_audiences.is_empty() {
            let name = audience.strip_prefix("https:").unwrap_or(audience).strip_prefix("//iam.googleapis.com/");
            return name == Some(&self.name);
        }
        self.allowed_audiences.iter().any(|allowed| allowed == audience)
    }
}

impl Target {
    fn parse(key: &str) -> Option<Self> {
        let name_like = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match key {
            "google.subject" => Some(Self::Subject),
            "google.groups" => Some(Self::Groups),
            _ if key.len() > MAX_KEY => None,
            _ => key.strip_prefix("attribute.").filter(|name| name_like(name)).map(|n| Self::Attribute(n.to_owned())),
        }
    }

    /// As it is written in a mapping.
    pub fn key(&self) -> String {
        match self {
            Self::Subject => "google.subject".to_owned(),
            Self::Groups => "google.groups".to_owned(),
            Self::Attribute(name) => format!("attribute.{name}"),
        }
    }
}

/// The pool of a provider's resource name, if the name has the right form.
pub fn pool_of(provider: &str) -> Option<&str> {
    let parts: Vec<&str> = provider.split('/').collect();
    let ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", id] = parts[..] else {
        return None;
    };
    let id_like =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let number_like = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (number_like && id_like(pool) && id_like(id)).then(|| provider.rsplit_once("/providers/").map(|(pool, _)| pool))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "projects/1/locations/global/workloadIdentityPools/p/providers/x";

    fn mapped(pairs: &[(&str, &str)]) -> Result<Provider, ProviderError> {
        let mapping = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Provider::new(NAME, &mapping, "", &[])
    }

    fn usual(name: &str, condition: &str, audiences: &[&str]) -> Result<Provider, ProviderError> {
        let mapping = BTreeMap::from([("google.subject".to_owned(), "assertion.sub".to_owned())]);
        let audiences: Vec<String> = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        Provider::new(name, &mapping, condition, &audiences)
    }

    #[test]
    fn what_google_refuses_to_create_is_refused() {
        assert!(usual(NAME, "", &[]).is_ok());
        let many: Vec<String> = (0..51).map(|n| format!("attribute.a{n}")).collect();
        let mut fifty_one = vec![("google.subject", "assertion.sub")];
        fifty_one.extend(many.iter().map(|key| (key.as_str(), "'x'")));
        assert!(mapped(&fifty_one[..51]).is_ok(), "fifty attributes and the subject");
        let long_key = format!("attribute.{}", "a".repeat(91));
        let long = format!("'{}' == ''", "x".repeat(4096));
        let refused = [
            mapped(&[]),
            mapped(&[("attribute.x", "assertion.sub")]),
            mapped(&[("google.subject", "sub")]),
            mapped(&[("google.subject", "assertion.sub +")]),
            mapped(&[("google.subject", "attribute.x"), ("attribute.x", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("google.email", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("attribute.Upper", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("attribute.", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("attribute.a.b", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), (&long_key, "assertion.sub")]),
            mapped(&fifty_one),
            usual(NAME, "'assertion.sub == \"x\"'", &[]),
            usual(NAME, " ", &[]),
            usual(NAME, &long, &[]),
            usual(NAME, "assertion.sub = 'x'", &[]),
            usual(NAME, "claims.sub == 'x'", &[]),
            usual("projects/name/locations/global/workloadIdentityPools/p/providers/x", "", &[]),
            usual(NAME, "", &[""]),
            usual(NAME, "", &["a"; 11]),
        ];
        for (number, provider) in refused.into_iter().enumerate() {
            assert!(provider.is_err(), "number {number}: {provider:?}");
        }
    }

    #[test]
    fn without_allowed_audiences_only_the_providers_own_name_is_one_with_them_it_is_not() {
        let own = usual(NAME, "", &[]).expect("parses");
        let name = format!("//iam.googleapis.com/{NAME}");
        assert!(own.is_for(&name) && own.is_for(&format!("https:{name}")));
        for other in
            ["", NAME, "https://sts.googleapis.com", &format!("http:{name}"), &format!("{name}/"), &format!("{name}x")]
        {
            assert!(!own.is_for(other), "{other:?}");
        }
        let listed = usual(NAME, "", &["https://sts.googleapis.com"]).expect("parses");
        assert!(listed.is_for("https://sts.googleapis.com"));
        assert!(!listed.is_for(&name) && !listed.is_for("https://sts.googleapis.com/"));
    }
}
