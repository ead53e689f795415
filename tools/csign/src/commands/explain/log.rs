//! Refusals in audit logs, and what the same token would come to now.

use std::path::Path;

use csign_lint::{
    MAX_DOCUMENT,
    explain::{LogEntry, log_entries},
};
use csign_trust::{ExitStatus, report::printable};
use serde_json::{Value, json};

use super::{Args, failure, text, token::Shown};
use crate::context::{CommandResult, Context, read_up_to};

pub(super) fn run(path: &Path, args: &Args, shown: Option<&Shown>, context: &Context) -> CommandResult {
    let bytes = read_up_to(path, MAX_DOCUMENT as u64)?;
    let entries = log_entries(&path.display().to_string(), &bytes).map_err(|error| failure(&error))?;
    let total = entries.len();
    let kept: Vec<LogEntry> = entries.into_iter().filter(|entry| args.all || entry.allowed != Some(true)).collect();
    let refused = kept.iter().filter(|entry| entry.allowed != Some(true)).count();
    // The log does not hold the token, so a refusal is evaluated again only with one that was given.
    let again = match shown {
        Some(shown) => {
            args.settings(shown)?.map(|provider| args.answer(shown, &provider).map(|answer| (shown, provider, answer)))
        }
        None => None,
    };
    let again = again.transpose()?;
    let about = |entry: &LogEntry| {
        again.as_ref().filter(|(_, provider, _)| {
            entry.service == "sts" && provider.full_name.as_deref().is_none_or(|name| entry.resource.ends_with(name))
        })
    };
    let rows: Vec<Value> = kept
        .iter()
        .map(|entry| {
            let mut row = json!(entry);
            if let Some((_, _, answer)) = about(entry).filter(|_| entry.allowed == Some(false)) {
                row["again"] = json!(answer);
            }
            row
        })
        .collect();
    context.print(&json!({"entries": total, "refused": refused, "shown": rows}), || {
        let mut out: String = kept.iter().map(line).collect();
        if let Some((shown, _, answer)) = kept.iter().filter(|entry| entry.allowed == Some(false)).find_map(about) {
            out.push_str(&format!("\nevaluated again:\n{}", text::answer(shown, answer)));
        }
        out.push_str(&format!("{total} entries, {refused} refused"));
        out
    })?;
    Ok(if refused > 0 { ExitStatus::Rejected } else { ExitStatus::Success })
}

fn line(entry: &LogEntry) -> String {
    let verdict = match entry.allowed {
        Some(true) => "allowed",
        Some(false) => "REFUSED",
        None => "unknown",
    };
    let LogEntry { number, time, service, method, principal, resource, reason, advice, .. } = entry;
    let advice = advice.map(|advice| format!("  change: {advice}\n")).unwrap_or_default();
    let reason = printable(reason, 600);
    format!(
        "#{number} {time} {service} {method} {verdict}\n  who: {principal}\n  on: {resource}\n  why: {reason}\n{advice}"
    )
}
