//! What may stand in a resource's name. Quoting keeps a hostile name inside its quotes; this keeps it out altogether.

use crate::RenderError;

/// A check of one kind of text.
pub(crate) struct Form {
    /// What it is, for messages.
    pub(crate) want: &'static str,
    /// Bytes.
    pub(crate) longest: usize,
    pub(crate) first: fn(char) -> bool,
    pub(crate) rest: fn(char) -> bool,
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase()
}

fn dashed(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// A project's id, with the domain that old organizations have before it.
pub(crate) const PROJECT: Form =
    Form { want: "project id", longest: 63, first: alphanumeric, rest: |c| dashed(c) || ".:".contains(c) };
pub(crate) const NUMBER: Form =
    Form { want: "number", longest: 20, first: |c| c.is_ascii_digit(), rest: |c| c.is_ascii_digit() };
/// Regions, zones, networks, instances, service accounts, repositories.
pub(crate) const NAME: Form =
    Form { want: "name of lowercase letters, digits and '-'", longest: 63, first: lower, rest: dashed };
/// Key rings, keys, topics, subscriptions, secrets: more liberal services.
pub(crate) const ID: Form = Form {
    want: "id of letters, digits, '-', '_' and '.'",
    longest: 255,
    first: alphanumeric,
    rest: |c| c.is_ascii_alphanumeric() || "-_.".contains(c),
};
pub(crate) const EMAIL: Form = Form {
    want: "email address",
    longest: 254,
    first: alphanumeric,
    rest: |c| c.is_ascii_alphanumeric() || "-_.+@".contains(c),
};
/// A member of an IAM policy.
pub(crate) const MEMBER: Form = Form {
    want: "member such as user:NAME@DOMAIN, group:… or serviceAccount:…",
    longest: 512,
    first: lower,
    rest: |c| c.is_ascii_alphanumeric() || "-_.+@:/".contains(c),
};
pub(crate) const RANGE: Form = Form {
    want: "address range such as 203.0.113.0/24",
    longest: 43,
    first: |c| c.is_ascii_hexdigit() || c == ':',
    rest: |c| c.is_ascii_hexdigit() || ":./".contains(c),
};
/// Resource names, URLs, branches, paths of files.
pub(crate) const PATH: Form = Form {
    want: "name of letters, digits and -_./:@",
    longest: 255,
    first: |c| c.is_ascii_alphanumeric() || c == '/',
    rest: |c| c.is_ascii_alphanumeric() || "-_./:@".contains(c),
};
/// The same with the wildcards that Vault's and Amazon's paths know.
pub(crate) const PATTERN: Form = Form {
    want: "path of letters, digits and -_./*",
    longest: 255,
    first: alphanumeric,
    rest: |c| c.is_ascii_alphanumeric() || "-_./*".contains(c),
};

impl Form {
    /// `text`, if it has this form.
    pub(crate) fn check(&self, at: &str, text: &str) -> Result<String, RenderError> {
        let mut characters = text.chars();
        let fine = text.len() <= self.longest
            && characters.next().is_some_and(self.first)
            && characters.all(self.rest)
            && !text.contains("..");
        let wrong =
            || RenderError::Value { at: at.to_owned(), value: text.chars().take(120).collect(), want: self.want };
        if fine { Ok(text.to_owned()) } else { Err(wrong()) }
    }

    /// All of them, if all have this form.
    pub(crate) fn check_all(&self, at: &str, texts: &[String]) -> Result<Vec<String>, RenderError> {
        texts.iter().map(|text| self.check(at, text)).collect()
    }
}

/// The ids of `collections/ID/collections/ID…`, each checked: projects as [`PROJECT`], the others as [`ID`].
pub(crate) fn path<const N: usize>(at: &str, text: &str, collections: [&str; N]) -> Result<[String; N], RenderError> {
    let wrong =
        || RenderError::Value { at: at.to_owned(), value: text.chars().take(255).collect(), want: "resource name" };
    let mut parts = text.split('/');
    let mut ids = Vec::with_capacity(N);
    for collection in collections {
        if parts.next() != Some(collection) {
            return Err(wrong());
        }
        let form = if collection == "projects" { PROJECT } else { ID };
        ids.push(form.check(at, parts.next().ok_or_else(wrong)?)?);
    }
    match parts.next() {
        None => ids.try_into().map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

/// A key in Cloud KMS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyName {
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) ring: String,
    pub(crate) id: String,
}

impl KeyName {
    /// Parses `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub(crate) fn parse(at: &str, text: &str) -> Result<Self, RenderError> {
        let [project, location, ring, id] = path(at, text, ["projects", "locations", "keyRings", "cryptoKeys"])?;
        Ok(Self { project, location, ring, id })
    }
}

/// A provider of a workload identity pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderName {
    pub(crate) number: String,
    pub(crate) pool: String,
    pub(crate) id: String,
}

impl ProviderName {
    /// Parses `//iam.googleapis.com/projects/N/locations/global/workloadIdentityPools/P/providers/X`.
    pub(crate) fn parse(at: &str, text: &str) -> Result<Self, RenderError> {
        let name = text.strip_prefix("//iam.googleapis.com/").unwrap_or(text);
        let [number, location, pool, id] =
            path(at, name, ["projects", "locations", "workloadIdentityPools", "providers"])?;
        NUMBER.check(at, &number)?;
        if location != "global" {
            return Err(RenderError::Value { at: at.to_owned(), value: location, want: "location of pools: global" });
        }
        Ok(Self { number, pool: NAME.check(at, &pool)?, id: NAME.check(at, &id)? })
    }

    /// The resource name of the pool.
    pub(crate) fn pool_name(&self) -> String {
        format!("projects/{}/locations/global/workloadIdentityPools/{}", self.number, self.pool)
    }

    /// Everyone whose attribute `name` has this value.
    pub(crate) fn everyone_with(&self, name: &str, value: &str) -> String {
        format!("principalSet://iam.googleapis.com/{}/attribute.{name}/{value}", self.pool_name())
    }
}
