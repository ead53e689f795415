//! `csign policy check`: is it Rego, and can it allow anything?

use csign_policy::{Module, RegoVersion};
use csign_trust::{ExitStatus, report::table};
use serde_json::json;

use super::{Files, sources};
use crate::context::{CommandResult, Context};

pub(super) fn run(args: &Files, context: &Context) -> CommandResult {
    let mut modules: Vec<Module> = Vec::new();
    for unit in sources::units(&args.paths)? {
        let policy = sources::parse(&unit, args.rego.rego)?;
        if !policy.allows() {
            let files: Vec<&str> = policy.modules().iter().map(|module| module.file.as_str()).collect();
            context.note(format_args!(
                "warning: {} refuses everything: it has no rule data.signature.allow",
                files.join(", ")
            ));
        }
        modules.extend_from_slice(policy.modules());
    }
    context.print(&json!({ "files": modules }), || {
        let rows: Vec<Vec<String>> = modules
            .iter()
            .map(|module| {
                let version = if module.version == RegoVersion::V1 { "v1" } else { "v0" };
                let allows = if module.allows { "yes" } else { "no" };
                vec![module.file.clone(), version.to_owned(), module.package.clone(), allows.to_owned()]
            })
            .collect();
        table(&["FILE", "REGO", "PACKAGE", "ALLOW RULE"], &rows)
    })?;
    Ok(ExitStatus::Success)
}
