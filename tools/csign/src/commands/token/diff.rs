//! `csign token diff`: what do two tokens say differently? Nothing is verified.

use std::{collections::BTreeMap, path::PathBuf};

use csign_trust::{
    ExitStatus,
    report::{printable, table},
};
use serde::Serialize;

use super::parts::{Parts, read_token};
use crate::{
    context::{CommandResult, Context},
    failure::Failure,
};

/// Compare what two tokens say, claim by claim, without verifying them
///
/// Times, nonces and the signing key differ between any two tokens and are marked as expected; other differences give
/// exit status 1.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign token diff yesterday today")]
pub(super) struct Args {
    /// A token's file; - is stdin
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The other token's file
    #[arg(value_name = "B")]
    after: PathBuf,
}

#[derive(Serialize)]
struct Difference {
    claim: String,
    a: Option<String>,
    b: Option<String>,
    /// Why the two may differ; null where they should not.
    expected: Option<&'static str>,
}

pub(super) fn run(args: &Args, context: &Context) -> CommandResult {
    if args.before.as_os_str() == "-" && args.after.as_os_str() == "-" {
        return Err(Failure::usage("only one of the two tokens can come from stdin"));
    }
    let rows = |path| -> Result<BTreeMap<String, String>, Failure> {
        let token = Parts::of(&read_token(path)?).map_err(|failure| failure.in_file(path))?;
        Ok(token.rows().into_iter().collect())
    };
    let differences = differences(&rows(&args.before)?, &rows(&args.after)?);
    let same = differences.iter().all(|difference| difference.expected.is_some());
    context.note("warning: not verified: anyone can write such tokens");
    context.print(&serde_json::json!({"same": same, "differences": differences}), || {
        if differences.is_empty() {
            return "the tokens say the same".to_owned();
        }
        let shown =
            |side: &Option<String>| side.as_ref().map_or_else(|| "(absent)".to_owned(), |text| printable(text, 80));
        let rows: Vec<Vec<String>> = differences
            .iter()
            .map(|row| {
                let note = row.expected.map_or("DIFFERS", |why| why).to_owned();
                vec![note, printable(&row.claim, 80), shown(&row.a), shown(&row.b)]
            })
            .collect();
        table(&["", "CLAIM", "A", "B"], &rows)
    })?;
    Ok(if same { ExitStatus::Success } else { ExitStatus::Rejected })
}

fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Difference> {
    let mut names: Vec<&String> =
        before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))).collect();
    names.sort();
    let pairs = names.into_iter().map(|name| (name, before.get(name), after.get(name)));
    pairs
        .filter(|(_, a, b)| a != b)
        .map(|(name, a, b)| Difference {
            claim: name.clone(),
            a: a.cloned(),
            b: b.cloned(),
            expected: a.and(b).and(expected(name)),
        })
        .collect()
}

/// Why a claim that both tokens have differs between any two. One that only one of them has is never expected.
fn expected(claim: &str) -> Option<&'static str> {
    match claim {
        "exp" | "iat" | "nbf" => Some("expected: time"),
        "eat_nonce" | "jti" => Some("expected: nonce"),
        "header.kid" => Some("expected: key"),
        _ => None,
    }
}
