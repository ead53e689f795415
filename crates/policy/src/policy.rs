//! A policy: parsed and checked once, evaluated over any number of statements.

use std::{fmt, str::FromStr};

use csign_oci::json;
use regorus::{Engine, Value};
use serde::Serialize;

use crate::{
    builtins, check,
    error::{Place, PolicyError},
    explain::{self, Decision},
    limits,
    probe::Evaluation,
    syntax,
};

/// What every policy is asked, as cosign asks it.
pub(crate) const ALLOW: &str = "data.signature.allow";

/// How a source is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RegoVersion {
    /// Each file as Rego v0, unless it says `import rego.v1`: what cosign does.
    #[default]
    Auto,
    /// As Rego v0; a file that says `import rego.v1` is refused.
    V0,
    /// As Rego v1, whatever the file says.
    V1,
}

impl FromStr for RegoVersion {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "v0" => Ok(Self::V0),
            "v1" => Ok(Self::V1),
            _ => Err("the versions of Rego are auto, v0 and v1"),
        }
    }
}

/// One file of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// Rego.
    pub text: &'a str,
}

/// What one source turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Module {
    /// The name that the caller gave the source.
    pub file: String,
    /// The version that it was read as, never [`RegoVersion::Auto`].
    pub version: RegoVersion,
    /// Its package, with `data` before it.
    pub package: String,
    /// Does it say something about `data.signature.allow`?
    pub allows: bool,
}

/// A policy whose syntax, calls and nesting were checked.
#[derive(Clone)]
pub struct Policy {
    pub(crate) engine: Engine,
    modules: Vec<Module>,
    steps: u64,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("modules", &self.modules).finish_non_exhaustive()
    }
}

impl Policy {
    /// A policy of one source.
    ///
    /// # Errors
    /// See [`Policy::parse_all`].
    pub fn parse(name: &str, source: &str, version: RegoVersion) -> Result<Self, PolicyError> {
        Self::parse_all(&[Source { name, text: source }], version)
    }

    /// A policy of several sources, which see each other as `data.PACKAGE.RULE`.
    ///
    /// # Errors
    /// One that does not parse, calls what does not exist, depends on itself, or is larger or deeper than a policy is.
    pub fn parse_all(sources: &[Source<'_>], version: RegoVersion) -> Result<Self, PolicyError> {
        if sources.is_empty() {
            return Err(PolicyError::Empty);
        }
        for source in sources {
            limits::check_source(source.name, source.text)?;
        }
        limits::with_room(|| parse(sources, version))?
    }

    /// Sets how many steps one evaluation may take. The default is far more than any of the policies in `policy/` needs.
    #[must_use]
    pub fn with_steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// What the sources are.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Does any source say something about `data.signature.allow`? One that does not refuses everything.
    pub fn allows(&self) -> bool {
        self.modules.iter().any(|module| module.allows)
    }

    /// Decides about a statement, which is the policy's whole `input`. `now` is in seconds since 1970, for
    /// `time.now_ns()`. Whatever goes wrong in the evaluation is a refusal.
    ///
    /// # Errors
    /// `statement` is not JSON, has a member twice or is too large; or the interpreter did not start.
    pub fn evaluate(&self, statement: &[u8], now: u64) -> Result<Decision, PolicyError> {
        let (size, limit) = (statement.len(), limits::MAX_STATEMENT);
        if size > limit {
            return Err(PolicyError::StatementTooLarge { size, limit });
        }
        let input = json::value_from_slice(statement).map_err(PolicyError::Statement)?;
        limits::with_room(|| {
            let input: Value = serde_json::from_value(input).map_err(PolicyError::Statement)?;
            Ok(explain::decide(&mut self.evaluation(Some(input), now), self.allows()))
        })?
    }

    pub(crate) fn evaluation(&self, input: Option<Value>, now: u64) -> Evaluation {
        let mut engine = self.engine.clone();
        builtins::add(&mut engine, now);
        if let Some(input) = input {
            engine.set_input(input);
        }
        Evaluation::new(engine, self.steps)
    }
}

fn parse(sources: &[Source<'_>], version: RegoVersion) -> Result<Policy, PolicyError> {
    let mut engine = limits::engine();
    engine.set_rego_v0(version != RegoVersion::V1);
    for source in sources {
        add(&mut engine, *source)
            .map_err(|error| syntax_error(source.name, &error, reads_otherwise(*source, version)))?;
    }
    let modules = engine.get_modules().clone();
    check::check(modules.iter().map(AsRef::as_ref))?;
    let mut described = Vec::new();
    for module in &modules {
        if module.rego_v1 && version == RegoVersion::V0 {
            return Err(PolicyError::Version { place: syntax::place(&module.package.span) });
        }
        described.push(Module {
            file: module.package.span.source.file().clone(),
            version: if module.rego_v1 || version == RegoVersion::V1 { RegoVersion::V1 } else { RegoVersion::V0 },
            package: syntax::package(module).join("."),
            allows: module
                .policy
                .iter()
                .any(|rule| syntax::parameters(rule).is_none() && check::full_name(module, rule) == ALLOW),
        });
    }
    let policy = Policy { engine, modules: described, steps: limits::STEPS };
    // Finds variables that nothing binds; OPA refuses those before it evaluates, too.
    let file = sources.first().map(|source| source.name).unwrap_or_default();
    policy.evaluation(None, 0).prepare().map_err(|error| syntax_error(file, &error, false))?;
    Ok(policy)
}

fn add(engine: &mut Engine, source: Source<'_>) -> Result<(), String> {
    // A byte-order mark is no part of the text.
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
    engine.add_policy(source.name.to_owned(), text.to_owned()).map(drop).map_err(|error| error.to_string())
}

fn reads_otherwise(source: Source<'_>, version: RegoVersion) -> bool {
    let mut engine = limits::engine();
    engine.set_rego_v0(version == RegoVersion::V1);
    add(&mut engine, source).is_ok()
}

/// The interpreter's message begins with `--> FILE:LINE:COLUMN`, shows the line and ends with `error: MESSAGE`.
fn syntax_error(file: &str, text: &str, other_version: bool) -> PolicyError {
    let located = text.split_once("--> ").and_then(|(_, rest)| rest.lines().next());
    let place = located.and_then(|line| {
        let mut parts = line.rsplitn(3, ':');
        let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Place { file: parts.next()?.to_owned(), line, column })
    });
    PolicyError::Syntax {
        place: place.unwrap_or_else(|| Place { file: file.to_owned(), line: 1, column: 1 }),
        message: explain::message(text),
        other_version,
    }
}
