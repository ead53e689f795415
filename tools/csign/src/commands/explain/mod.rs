//! `csign explain`: why a token is let in or not, clause by clause; and why an audit log's entries were refused.

mod log;
mod text;
mod token;

use std::path::PathBuf;

use csign_lint::{
    Binding, Document, Item, MAX_DOCUMENT, Policy, ProviderSettings,
    explain::{Answer, Question, explain},
};
use csign_trust::ExitStatus;
use serde_json::{Value, json};

use crate::{
    context::{CommandResult, Context, read_up_to},
    failure::Failure,
};

/// Explain why a token is let in or refused: each clause of the condition with the values that it saw, the mapped identity, and the
/// members of bindings that mean it
///
/// The token is a file (or its claims as JSON), or the one that an image would get. Its signature is not verified: csign token verify
/// does that. Nothing is sent anywhere but to the registry, for the labels of --image.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign explain token --provider provider.json --policy policy.json\n  csign explain --image image --contract collaboration.toml --collaborator collaborator-1 --provider provider.json\n  csign explain --image image --contract collaboration.toml --collaborator collaborator-1 --provider provider.json --boots debug\n  csign explain claims.json --condition 'assertion.swname == \"CONFIDENTIAL_SPACE\"'\n  simulator audit --output json | csign explain --log -\n  gcloud logging read 'protoPayload.serviceName=\"sts.googleapis.com\"' --format=json | csign explain --log - --provider provider.json token\n\ndocs/explain.md has more.\n\nExit status:\n  0  the token is let in\n  1  it is refused; of a log: an entry is\n  2  called wrongly\n  3  something could not be read"
)]
pub(crate) struct Args {
    #[command(flatten)]
    token: token::TokenArgs,
    /// The provider: gcloud … providers describe --format=json, or a document of Terraform that has one
    #[arg(long, value_name = "FILE", conflicts_with = "condition")]
    provider: Option<PathBuf>,
    /// An attribute condition, instead of a provider
    #[arg(long, value_name = "CEL")]
    condition: Option<String>,
    /// A mapping to the condition, for instance attribute.zone=assertion.submods.gce.zone; may be repeated
    #[arg(long, value_name = "TARGET=CEL", requires = "condition", value_parser = pair)]
    mapping: Vec<(String, String)>,
    /// The IAM policy of a resource behind it (gcloud … get-iam-policy --format=json); may be repeated
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// A member of a binding behind it; may be repeated
    #[arg(long, value_name = "MEMBER")]
    member: Vec<String>,
    /// When the token is shown, in seconds since 1970 (default: when it was issued)
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
    /// Explain the refusals in an audit log: the simulator's (JSON lines), or gcloud logging read --format=json; - is stdin
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// With --log: what was allowed too
    #[arg(long, requires = "log")]
    all: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((target, cel)) if !target.is_empty() => Ok((target.to_owned(), cel.to_owned())),
        _ => Err("a mapping is TARGET=CEL".to_owned()),
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let shown = args.token.read(context).await?;
    if let Some(path) = &args.log {
        return log::run(path, args, shown.as_ref(), context);
    }
    let shown = shown.ok_or_else(|| {
        Failure::usage("there is nothing to explain").hint("give a token, --image with --contract, or --log")
    })?;
    let provider = args.settings(&shown)?.ok_or_else(|| {
        Failure::usage("nothing says what the token is shown to").hint("give --provider FILE or --condition CEL")
    })?;
    let answer = args.answer(&shown, &provider)?;
    let refused = !answer.admitted || !shown.launch.is_empty();
    let data = json!({
        "admitted": !refused, "token": shown.source, "launch": shown.launch, "provider": provider.full_name, "answer": answer,
    });
    context.print(&data, || text::answer(&shown, &answer))?;
    Ok(if refused { ExitStatus::Rejected } else { ExitStatus::Success })
}

impl Args {
    fn answer(&self, shown: &token::Shown, provider: &ProviderSettings) -> Result<Answer, Failure> {
        let mut policies = Vec::new();
        for path in &self.policy {
            let found = items(path)?.into_iter().filter_map(|item| match item {
                Item::Policy(policy) => Some(policy),
                _ => None,
            });
            let before = policies.len();
            policies.extend(found);
            if policies.len() == before {
                return Err(Failure::usage(format_args!("{} has no IAM policy", path.display())));
            }
        }
        if !self.member.is_empty() {
            let members = self.member.iter().map(|member| (String::new(), member.clone())).collect();
            let binding = Binding { role: "--member".to_owned(), members, conditional: false };
            policies.push(Policy { bindings: vec![binding] });
        }
        let issued = shown.claims.get("iat").and_then(Value::as_u64).unwrap_or_default();
        let question = Question {
            claims: &shown.claims,
            provider,
            policies: &policies.iter().collect::<Vec<_>>(),
            issuer: shown.issuer.as_deref(),
            now: self.at.unwrap_or(issued),
        };
        explain(&question).map_err(|error| failure(&error))
    }

    /// The provider that is meant: the only one, or the one that the contract or the token names.
    fn settings(&self, shown: &token::Shown) -> Result<Option<ProviderSettings>, Failure> {
        if let Some(condition) = &self.condition {
            let mut settings = ProviderSettings::of_condition(condition);
            settings.mapping = self.mapping.iter().cloned().collect();
            if !settings.mapping.is_empty() {
                settings.mapping.entry("google.subject".to_owned()).or_insert_with(|| "assertion.sub".to_owned());
            }
            return Ok(Some(settings));
        }
        let Some(path) = &self.provider else { return Ok(None) };
        let mut found: Vec<ProviderSettings> = items(path)?
            .into_iter()
            .filter_map(|item| match item {
                Item::Provider(settings) => Some(*settings),
                _ => None,
            })
            .collect();
        let named = |name: &str, settings: &ProviderSettings| {
            settings
                .full_name
                .as_deref()
                .is_some_and(|full| name.trim_start_matches("https:") == format!("//iam.googleapis.com/{full}"))
        };
        let audience = shown.claims.get("aud").and_then(Value::as_str).unwrap_or_default();
        let wanted = shown.provider.as_deref().unwrap_or(audience);
        if found.len() > 1 {
            found.retain(|settings| named(wanted, settings));
        }
        match (found.pop(), found.is_empty()) {
            (Some(settings), true) if settings.condition.is_some() => Ok(Some(settings)),
            (Some(_), true) => Err(Failure::usage(format_args!("{} does not know the condition yet", path.display()))),
            _ => Err(Failure::usage(format_args!("{} has not one provider that is meant", path.display()))
                .hint("give a document with one provider, or say which with --contract and --collaborator")),
        }
    }
}

/// What a document holds.
fn items(path: &std::path::Path) -> Result<Vec<Item>, Failure> {
    let bytes = read_up_to(path, MAX_DOCUMENT as u64)?;
    let document = Document::read(&path.display().to_string(), &bytes, None).map_err(|error| failure(&error))?;
    Ok(document.items.into_iter().map(|located| located.item).collect())
}

fn failure(error: &csign_lint::LintError) -> Failure {
    match error.hint() {
        Some(hint) => Failure::usage(error).hint(hint),
        None => Failure::usage(error),
    }
}
