//! The target `gcloud`: one script that makes, checks and removes what a plan says.
//!
//! The script's functions are fixed text (`functions/*.sh`); what comes from the contract and the settings are their
//! arguments, each quoted by [`shell::word`].

mod call;
pub(crate) mod shell;

use std::fmt::Write as _;

use crate::{File, Files, Plan, RenderError};

pub(crate) use call::Call;

/// What every script begins with.
const PRELUDE: &str = include_str!("prelude.sh");

/// Renders a plan as a script.
pub(crate) fn script(plan: &Plan) -> Result<Files, RenderError> {
    let name = format!("{}.sh", plan.role.replace('=', "-"));
    Ok(Files::from([(name, File { text: text(plan), executable: true })]))
}

/// The script of a plan.
pub(crate) fn text(plan: &Plan) -> String {
    let calls: Vec<(&str, Call)> = plan.steps.iter().map(|step| (step.why, Call::of(&step.resource))).collect();
    let mut text = format!(
        "#!/usr/bin/env bash\n\
         # Written by {command}, from the contract\n\
         # {contract}.\n\
         # Do not edit: what it says follows from the contract and the settings. --help says what it can do.\n\
         own_project={project}\n",
        command = plan.command,
        contract = plan.contract,
        project = shell::quoted(&plan.project),
    );
    text.push_str(PRELUDE);
    for (file, body) in FUNCTIONS {
        if calls.iter().any(|(_, call)| call.file == file) {
            text.push('\n');
            text.push_str(body);
        }
    }
    text.push_str("\neverything() {\n");
    for (why, call) in &calls {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  # {why}\n{}", call.creation());
    }
    text.push_str(
        "}\n\n# The other way round, since what was made last rests on what was made first.\nnothing_left() {\n",
    );
    if plan.is_whole {
        for line in calls.iter().rev().filter_map(|(_, call)| call.removal()) {
            let _ = writeln!(text, "{line}");
        }
    } else {
        text.push_str(
            "  fail 2 'nothing was removed: this is a part of a deployment, and csign render writes the whole'\n",
        );
    }
    text.push_str("}\n\n");
    text.push_str(END);
    text
}

const END: &str = r#"if [ "$mode" = teardown ]; then
  [ "$confirm" = "$own_project" ] || fail 2 "nothing was removed; --confirm=$own_project says that you mean it"
  nothing_left
else
  everything
fi
case $mode in
  check | dry-run) printf '%s: %d to change\n' "$own_project" "$changes" ;;
  *) printf '%s: %d changed\n' "$own_project" "$changes" ;;
esac
[ "$mode" != check ] || [ "$changes" -eq 0 ] || exit 1
"#;

/// The functions, by file.
const FUNCTIONS: [(&str, &str); 17] = [
    ("project", include_str!("functions/project.sh")),
    ("services", include_str!("functions/services.sh")),
    ("service_account", include_str!("functions/service_account.sh")),
    ("repository", include_str!("functions/repository.sh")),
    ("key", include_str!("functions/key.sh")),
    ("bucket", include_str!("functions/bucket.sh")),
    ("trigger", include_str!("functions/trigger.sh")),
    ("network", include_str!("functions/network.sh")),
    ("firewall", include_str!("functions/firewall.sh")),
    ("pubsub", include_str!("functions/pubsub.sh")),
    ("pool", include_str!("functions/pool.sh")),
    ("members", include_str!("functions/members.sh")),
    ("audit", include_str!("functions/audit.sh")),
    ("alert", include_str!("functions/alert.sh")),
    ("machine", include_str!("functions/machine.sh")),
    ("perimeter", include_str!("functions/perimeter.sh")),
    ("evidence", include_str!("functions/evidence.sh")),
];
