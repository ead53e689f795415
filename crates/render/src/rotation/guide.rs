//! `ROTATE.md`: who does what in which order, why, what must be true before going on, and how to go back.
//!
//! Names of parties and paths are checked before they get here, and nothing else of a contract stands in it.

use std::fmt::Write as _;

use csign_contract::{Contract, State};

use super::{Change, Phase, PhaseName, RotationPlan, RotationStep};
use crate::Target;

/// The document.
pub(super) fn text(plan: &RotationPlan, change: Change<'_>) -> String {
    let mut out = String::new();
    head(&mut out, plan, change);
    for phase in &plan.phases {
        section(&mut out, plan, phase, change);
    }
    back(&mut out, plan);
    late(&mut out, plan);
    messages(&mut out, plan, change);
    tokens(&mut out, change);
    left_over(&mut out, plan);
    out
}

/// Adds lines. Writing to a String does not fail.
macro_rules! say {
    ($out:expr, $($text:tt)*) => { _ = writeln!($out, $($text)*) };
}

fn head(out: &mut String, plan: &RotationPlan, change: Change<'_>) {
    let repository = &change.after.image.repository;
    match (plan.to, plan.revoke) {
        (Some(_), false) => say!(out, "# From one image to the next\n"),
        (Some(_), true) => say!(out, "# The old image is revoked, and the next one takes its place\n"),
        (None, _) => say!(out, "# The image is revoked\n"),
    }
    say!(out, "| | |\n|---|---|\n| runs now | `{}` |", plan.from);
    if let Some(to) = plan.to {
        say!(out, "| is to run | `{to}` |");
    }
    say!(out, "| contract | `{}` |", plan.from_contract);
    if plan.from_contract != plan.to_contract {
        say!(out, "| contract of the new image | `{}` |", plan.to_contract);
    }
    let parties: Vec<String> = collaborators(change).iter().map(|name| format!("`{name}`")).collect();
    say!(out, "| collaborators | {} |", parties.join(", "));
    say!(
        out,
        "\nWritten by `csign rotate`; the same input gives the same bytes. All commands are for this directory.\n"
    );
    if let Some(to) = plan.to {
        say!(out, "Before anything else, everyone sees for himself that all signed the new image:\n");
        say!(out, "```console\n$ csign verify {repository}@{to} --contract collaboration.toml\n```\n");
        if plan.from_contract != plan.to_contract {
            say!(out, "with the **new** contract, whose digest `csign contract digest` shows.\n");
        }
    }
    if !plan.contract_changes.is_empty() {
        say!(out, "The contracts differ in:\n");
        for path in &plan.contract_changes {
            say!(out, "- `{path}`");
        }
        say!(
            out,
            "\nEach image is admitted under its own contract's terms only: the old one with the old keys, hardware and account, \
             the new one with the new ones.\n"
        );
    }
}

fn section(out: &mut String, plan: &RotationPlan, phase: &Phase, change: Change<'_>) {
    let number = phase.number;
    let builder = if plan.contract_changes.is_empty() { "" } else { ", and builder and operator for the new contract" };
    match phase.name {
        PhaseName::Allow => {
            let account = match plan.contract_changes.iter().any(|path| path == "operator.service_account") {
                true => " (but the operator first: the builder gives a right to the new account)",
                false => "",
            };
            say!(out, "## Phase {number}: every collaborator admits both images\n");
            say!(
                out,
                "Who: every collaborator{builder}, in any order and at any time{account}; nothing that runs notices. Why first: a machine that a \
                 single collaborator does not know cannot read that collaborator's messages.\n"
            );
        }
        PhaseName::Deploy => {
            say!(out, "## Phase {number}: the operator {}\n", deploys(plan));
            say!(
                out,
                "Who: the operator alone. A machine under the same name is removed before the new one is made; of a managed group, one \
                 machine after the other is replaced. The check fails as long as any machine of the project, running or stopped, has the \
                 old image.\n"
            );
        }
        PhaseName::Remove => {
            say!(out, "## Phase {number}: every collaborator removes the old image\n");
            say!(
                out,
                "Who: every collaborator{builder}, in any order. Only now: whoever removes the old image while it runs stops the work on \
                 his messages.{}\n",
                if change.needs_proof {
                    " The script asks the project's own audit log first: if the new image decrypted nothing within a week, it \
                      changes nothing."
                } else {
                    " This was written without the question whether the new image works: ask the operator."
                }
            );
        }
        PhaseName::Revoke => {
            say!(out, "## Phase {number}: every collaborator shuts the old image out, at once\n");
            say!(
                out,
                "Who: every collaborator, now, without waiting for anyone. **What stops:** each collaborator's messages, from that \
                 collaborator's step until the new image runs. Nothing is lost meanwhile: messages stay in the subscription, for seven days \
                 unless it says otherwise. What the old machine has in its memory, it keeps until it is removed (phase {}).\n",
                number + 1
            );
        }
    }
    for step in &phase.steps {
        one(out, step);
    }
    let missing = others(plan, phase, change);
    if !missing.is_empty() {
        say!(
            out,
            "Not in this directory: {}. They write their own with `csign rotate --role …`, or have nothing to do{}.\n",
            missing.join(", "),
            if phase.name == PhaseName::Deploy { "" } else { ", because their grant is `signers`" }
        );
    }
    if phase.steps.is_empty() && missing.is_empty() {
        say!(out, "Nothing is to be done.\n");
    }
    if let (PhaseName::Revoke | PhaseName::Remove, true) = (phase.name, plan.to.is_none() || leaves(change)) {
        say!(
            out,
            "What was made for Vault or AWS is taken away with `vault.sh --teardown` and `aws.sh --teardown`, as `csign render` wrote \
             them.\n"
        );
    }
    match phase.name {
        PhaseName::Deploy if plan.contract_changes.is_empty() => {}
        PhaseName::Deploy => {
            say!(
                out,
                "A managed group is set to no machines first, so that the two contracts never share a subscription.\n"
            );
        }
        PhaseName::Remove => {
            say!(
                out,
                "**Done when** every check has passed. Until all did, the old image could still run for those who are late.\n"
            );
        }
        PhaseName::Revoke => {
            say!(
                out,
                "The operator need not wait for this phase. It is over when every collaborator's check has passed.\n"
            );
        }
        PhaseName::Allow => {
            say!(
                out,
                "**Go on when** every collaborator's check has passed, and {} minutes later: rights take that long to count everywhere.\n",
                super::PROPAGATION_SECONDS / 60
            );
        }
    }
}

/// One step as commands.
fn one(out: &mut String, step: &RotationStep) {
    say!(out, "**{}**, {}: {}.\n", step.role, step.target, step.changes.join("; "));
    say!(out, "```console\n$ {}\n$ {}", step.run, step.check);
    say!(out, "$ {}    # the way back\n$ {}\n```\n", step.undo, step.undo_check);
}

fn deploys(plan: &RotationPlan) -> &'static str {
    if plan.to.is_some() { "deploys the new image" } else { "removes the machines" }
}

fn back(out: &mut String, plan: &RotationPlan) {
    say!(out, "## The way back\n");
    if plan.revoke {
        say!(
            out,
            "There is none that is safe: each way back admits the revoked image again. The commands are there for a revocation that was a \
             mistake.\n"
        );
        return;
    }
    say!(
        out,
        "Backwards, phase by phase; each way back restores what was there before its phase, and its check says so.\n\n\
         | from | do |\n|---|---|\n\
         | within or after phase 1 | `back-from-1-allow`, those who did their step, in any order; nothing that runs notices |\n\
         | after phase 2 | the operator: `back-from-2-deploy`; then as above |\n\
         | within or after phase 3 | every collaborator: `back-from-3-remove`, which is phase 1 again; its check, and ten minutes; then as \
         above |\n\n\
         Never deploy an image that one collaborator does not admit, in neither direction.\n"
    );
}

fn late(out: &mut String, plan: &RotationPlan) {
    say!(out, "## If one party is late\n");
    if plan.revoke {
        say!(
            out,
            "That party's messages are still read by the old image, wherever it runs. Nobody else can prevent that.\n"
        );
        return;
    }
    say!(
        out,
        "In phase 1: everyone else waits, and loses nothing; both images are admitted as long as you like. If the operator deploys all the \
         same, the messages of the late party are not processed; they stay in the subscription and are delivered again.\n\n\
         In phase 2: nothing happens; the old image works on.\n\n\
         In phase 3: the late party still admits the old image. Whoever runs the old image again reads that party's messages and \
         nobody else's.\n"
    );
}

fn messages(out: &mut String, plan: &RotationPlan, change: Change<'_>) {
    say!(out, "## Messages and counts\n");
    let (before, after) = (&change.before.messages, &change.after.messages);
    if plan.contract_changes.is_empty() {
        say!(
            out,
            "Old and new machine share one subscription. What the old one pulled and did not finish is delivered again, to the new one; \
             each message is counted once. {}\n",
            match &change.before.state {
                State::Postgres { .. } => "The counts are in PostgreSQL, and go on.",
                State::Embedded { .. } =>
                    "**The counts are in a file of the machine and go with it:** read them first; the new machine begins at zero.",
            }
        );
        return;
    }
    say!(
        out,
        "A message is sealed for one contract, so **the new image refuses what was sealed for the old contract{}**. Before phase 2: stop \
         publishing, wait until the subscription is empty, deploy, and publish with the new contract.\n",
        if before.dead_letter.is_some() { ", and sets it aside in the dead letters" } else { ", and it is gone" }
    );
    if before.subscription != after.subscription || before.topic != after.topic {
        say!(out, "The new contract has another topic or subscription; who publishes must change over with phase 2.\n");
    }
    say!(
        out,
        "Counts belong to one contract: the new image begins at zero, and refuses a PostgreSQL database of the old contract; give it a \
         database of its own.\n"
    );
}

fn tokens(out: &mut String, change: Change<'_>) {
    say!(out, "## What the old machine still can do after it was shut out\n");
    say!(
        out,
        "It should be gone by then, and the check of the operator's phase says so. If it is not:\n\n\
         - An access token of Google lives for up to an hour. Under the grant `digest` it is worth nothing once the binding of the image is \
           gone and that has reached everywhere; under `signers` it is good until it ends.\n\
         - Data keys that it has unwrapped open messages for another {} seconds, as the contract says; what it has read, it has read.\n\
         - At AWS, credentials that it got live for up to an hour, whatever the trust policy says now. At Vault, a login lives for {} \
           seconds (`vault token revoke -mode=path auth/{}/` ends all).\n",
        change.before.messages.data_key_lifetime().as_secs(),
        change.settings.vault.ttl_seconds,
        mount(change),
    );
    say!(
        out,
        "**Under the grant `signers` the old image stays admitted**, since all signed it: there is nothing to add for the new one, and \
         nothing to remove for the old one, unless the signers' keys change. Whoever wants it out needs the grant `digest`.\n"
    );
    if let Some(wanted) = change.targets.contains(&Target::Terraform).then_some("terraform apply") {
        say!(
            out,
            "For Terraform: use each phase's configuration in the place of the one before it, with the same state, and read what `{wanted}` \
             will do. Its configuration is everything that a role needs; it does not look for other machines or into audit logs.\n"
        );
    }
}

fn left_over(out: &mut String, plan: &RotationPlan) {
    if plan.left_over.is_empty() {
        return;
    }
    say!(
        out,
        "## What is left over\n\nThe new contract does not name it, and nobody is let in by it; remove it when you like:\n"
    );
    for thing in &plan.left_over {
        say!(out, "- {thing}");
    }
}

/// The mount, as long as it is a plain name.
fn mount<'a>(change: Change<'a>) -> &'a str {
    let mount = change.settings.vault.mount.as_str();
    if mount.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b)) { mount } else { "jwt" }
}

/// Roles that may have a step in this phase, and have none here.
fn others(plan: &RotationPlan, phase: &Phase, change: Change<'_>) -> Vec<String> {
    let mut roles: Vec<String> = match phase.name {
        PhaseName::Deploy => vec!["operator".to_owned()],
        _ => collaborators(change).iter().map(|name| format!("collaborator={name}")).collect(),
    };
    if phase.name == PhaseName::Allow && !plan.contract_changes.is_empty() && !change.roles.is_empty() {
        roles.extend(["builder".to_owned(), "operator".to_owned()]);
    }
    roles.retain(|role| phase.steps.iter().all(|step| step.role != *role));
    roles
}

/// Those of both contracts, by name.
fn collaborators(change: Change<'_>) -> Vec<String> {
    let names = |contract: &Contract| -> Vec<String> {
        contract.collaborators().map(|(party, _)| party.name.clone()).collect()
    };
    let mut all = names(change.before);
    let new: Vec<String> = names(change.after).into_iter().filter(|name| !all.contains(name)).collect();
    all.extend(new);
    all
}

/// Does a collaborator of the old contract have no part in the new one?
fn leaves(change: Change<'_>) -> bool {
    change.before.collaborators().any(|(party, _)| change.after.collaborator(&party.name).is_none())
}
