//! From one image to the next, for all parties: admit both, deploy, remove the old one; with a check and a way back for
//! each phase.
//!
//! Every step is a comparison of the plans that [`crate::render`] prints: what a role has under the old image, under both,
//! and under the new one. What is the same needs no step.

mod changes;
mod delta;
mod guide;
mod parts;

use csign_contract::Contract;
use csign_oci::Digest;
use serde::Serialize;

use crate::{Files, Grant, RenderError, Role, Settings, Target, roles};

use parts::{Part, Parts};

/// Seconds until a change of rights counts everywhere. Google says two minutes as a rule, seven or more at times
/// (cloud.google.com/iam/docs/access-change-propagation).
const PROPAGATION_SECONDS: u32 = 600;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The contract in the image that runs.
    pub before: &'a Contract,
    /// The contract in the image that is to run; often the same.
    pub after: &'a Contract,
    /// What this party decides.
    pub settings: &'a Settings,
    /// The image that runs.
    pub from: Digest,
    /// The image that is to run; none only where one is revoked.
    pub to: Option<Digest>,
    /// Must the old image lose its rights at once, whatever stops by that?
    pub revoke: bool,
    /// Whose part is written; empty: everyone's.
    pub roles: &'a [Role],
    /// What for; those that have nothing for a role are left out for it.
    pub targets: &'a [Target],
    /// Is the old image removed only where the audit log shows that the new one works?
    pub needs_proof: bool,
}

/// A rotation: the plan, and the files of everyone who was asked for.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// For programs.
    pub plan: RotationPlan,
    /// By path: `ROTATE.md`, and a directory for each phase and each way back, with one for each role in it.
    pub files: Files,
}

/// The plan, as JSON; members are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RotationPlan {
    /// 1.
    pub version: u32,
    /// The image that runs.
    pub from: Digest,
    /// The image that is to run.
    pub to: Option<Digest>,
    /// The contract in the image that runs.
    pub from_contract: Digest,
    /// The contract in the image that is to run.
    pub to_contract: Digest,
    /// Is the old image revoked at once?
    pub revoke: bool,
    /// Members of the contract that differ, as dotted paths.
    pub contract_changes: Vec<String>,
    /// In order.
    pub phases: Vec<Phase>,
    /// What stays though the new contract does not name it, by role; nobody is let in by it.
    pub left_over: Vec<String>,
}

/// What is done before anyone goes on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// From 1.
    pub number: u32,
    /// `allow`, `deploy`, `remove`, `revoke`.
    pub name: PhaseName,
    /// In any order, and at the same time, unless they say otherwise.
    pub steps: Vec<RotationStep>,
    /// After the last check.
    pub wait_seconds: u32,
}

/// Which phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseName {
    /// Both images are admitted.
    Allow,
    /// The new image runs.
    Deploy,
    /// The old image is not admitted any more.
    Remove,
    /// The old image is not admitted any more, whatever runs.
    Revoke,
}

impl PhaseName {
    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deploy => "deploy",
            Self::Remove => "remove",
            Self::Revoke => "revoke",
        }
    }
}

/// One role's work for one target in a phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RotationStep {
    /// As on the command line.
    pub role: String,
    /// `gcloud`, `terraform`, `vault`, `aws`, `vpc-sc`.
    pub target: &'static str,
    /// What changes, for people.
    pub changes: Vec<String>,
    /// The files, below the directory of the rotation.
    pub files: Vec<String>,
    /// The command that does it, in that directory.
    pub run: String,
    /// The command that succeeds when it is done, and not before.
    pub check: String,
    /// The command that takes it back.
    pub undo: String,
    /// The command that succeeds when it is taken back.
    pub undo_check: String,
}

/// Plans the change and writes everyone's part.
///
/// # Errors
/// The same image twice, a change of contract that is a migration, what [`crate::render`] refuses.
pub fn rotate(change: Change<'_>) -> Result<Rotation, RenderError> {
    if change.to == Some(change.from) {
        return Err(RenderError::SameDigest(change.from));
    }
    if change.to.is_none() && !change.revoke {
        return Err(RenderError::NoDigest("a rotation"));
    }
    let contract_changes = changes::changes(change.before, change.after)?;
    let mut files = Files::new();
    let mut left_over = Vec::new();
    let mut all: Vec<(Role, Parts)> = Vec::new();
    let concerned = concerned(change.before, change.after, !contract_changes.is_empty());
    if let Some(role) = change.roles.iter().find(|role| !concerned.contains(role)) {
        return Err(match role {
            Role::Collaborator(name) => roles::no_collaborator(name, change.after),
            _ => RenderError::NoPart(role.to_string()),
        });
    }
    for role in concerned {
        if !change.roles.is_empty() && !change.roles.contains(&role) {
            continue;
        }
        let parts = Parts::of(&role, change)?;
        left_over.extend(parts.left_over.iter().map(|thing| format!("{role}: {thing}")));
        all.push((role, parts));
    }
    let order = match change.revoke {
        false => [PhaseName::Allow, PhaseName::Deploy, PhaseName::Remove].as_slice(),
        true => [PhaseName::Revoke, PhaseName::Deploy].as_slice(),
    };
    let mut phases = Vec::new();
    for (number, name) in (1..).zip(order.iter().copied()) {
        let mut steps = Vec::new();
        for (role, parts) in &mut all {
            let these = parts.parts.iter_mut().filter(|part| part.phase == name);
            steps.extend(these.map(|part| step(number, role, part, &mut files)));
        }
        let waits = matches!(name, PhaseName::Allow | PhaseName::Revoke);
        phases.push(Phase { number, name, steps, wait_seconds: if waits { PROPAGATION_SECONDS } else { 0 } });
    }
    let plan = RotationPlan {
        version: 1,
        from: change.from,
        to: change.to,
        from_contract: change.before.digest(),
        to_contract: change.after.digest(),
        revoke: change.revoke,
        contract_changes,
        phases,
        left_over,
    };
    files.insert("ROTATE.md".to_owned(), crate::file(guide::text(&plan, change)));
    Ok(Rotation { plan, files })
}

/// Who has a part, the operator first, whose account the builder gives a right; the builder only if the contract changed, since nothing else of his names an image.
fn concerned(before: &Contract, after: &Contract, changed: bool) -> Vec<Role> {
    let mut roles = vec![Role::Operator];
    if changed {
        roles.push(Role::Builder);
    }
    let leaving = before.collaborators().filter(|(party, _)| after.collaborator(&party.name).is_none());
    let collaborators = after.collaborators().chain(leaving);
    roles.extend(collaborators.map(|(party, _)| Role::Collaborator(party.name.clone())));
    roles
}

/// Puts a part's files in their directories.
fn step(number: u32, role: &Role, part: &mut Part, files: &mut Files) -> RotationStep {
    let place = role.to_string().replace('=', "-");
    let there = format!("{number}-{}/{place}", part.phase.name());
    let back = format!("back-from-{there}");
    let mut names = Vec::new();
    for (directory, content) in [(&there, &mut part.files), (&back, &mut part.undo)] {
        for (name, file) in std::mem::take(content) {
            let path = format!("{directory}/{name}");
            names.push(path.clone());
            files.insert(path, file);
        }
    }
    let command = |directory: &str, arguments: &str| match part.script.as_deref() {
        Some(script) if arguments.is_empty() => format!("{directory}/{script}"),
        Some(script) => format!("{directory}/{script} {arguments}"),
        None => format!("terraform -chdir={directory} {arguments}"),
    };
    // A configuration is the same command everywhere; a script of machines must be allowed to replace one.
    let (run, check) = match (part.script.is_some(), part.replaces) {
        (true, true) => ("--replace", "--check"),
        (true, false) => ("", "--check"),
        (false, _) => ("apply", "plan -detailed-exitcode"),
    };
    RotationStep {
        role: role.to_string(),
        target: part.target.name(),
        changes: std::mem::take(&mut part.changes),
        files: names,
        run: command(&there, run),
        check: command(&there, check),
        undo: command(&back, run),
        undo_check: command(&back, check),
    }
}

/// Does this grant release the key to any image that all signed?
const fn admits_by_signers(settings: &Settings) -> bool {
    matches!(settings.collaborator.grant, Grant::Signers)
}
