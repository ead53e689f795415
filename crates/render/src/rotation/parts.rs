//! One role's part: for each phase and target the files that do it and those that take it back.

use csign_oci::Digest;

use super::{
    Change, PhaseName, admits_by_signers,
    delta::{delta, left_over, locked, name, union},
};
use crate::{
    Files, Input, Plan, RenderError, Resource, Role, Step, Target, aws, gcloud, names::ProviderName, roles, terraform,
    vault, vpc_sc,
};

/// One role's part of a rotation.
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
    pub(super) left_over: Vec<String>,
}

/// One phase's work for one target.
pub(super) struct Part {
    pub(super) phase: PhaseName,
    pub(super) target: Target,
    pub(super) changes: Vec<String>,
    pub(super) files: Files,
    pub(super) undo: Files,
    /// The file to run; none for Terraform.
    pub(super) script: Option<String>,
    /// Is a machine replaced?
    pub(super) replaces: bool,
}

/// A role's plans: under the old image, while both are admitted, under the new one.
struct Plans {
    before: Plan,
    during: Plan,
    after: Plan,
    /// Where the way back from the first phase leads: for one who joins, nobody is let in.
    back: Plan,
}

impl Parts {
    pub(super) fn of(role: &Role, change: Change<'_>) -> Result<Self, RenderError> {
        let plans = Plans::of(role, change)?;
        let mut parts = Vec::new();
        for (phase, from, to, back) in plans.phases(role, change.revoke) {
            for target in change.targets {
                let part = match target {
                    Target::Gcloud => script(role, change, phase, from, to, back)?,
                    Target::Terraform => configuration(phase, from, to, back)?,
                    _ => documents(*target, role, change, phase)?,
                };
                parts.extend(part);
            }
        }
        Ok(Self { parts, left_over: left_over(&plans.before, &plans.after) })
    }
}

impl Plans {
    fn of(role: &Role, change: Change<'_>) -> Result<Self, RenderError> {
        let Change { settings, from, to, revoke, .. } = change;
        let (before, after) = (input(change, Side::Before), input(change, Side::After));
        let has_part = |contract: &csign_contract::Contract| match role {
            Role::Collaborator(name) => contract.collaborator(name).is_some(),
            _ => true,
        };
        if revoke && to.is_some() && matches!(role, Role::Collaborator(_)) && admits_by_signers(settings) {
            return Err(RenderError::SignersKeep(role.to_string()));
        }
        let old = || roles::plan(role, Input { digests: &[from], ..before });
        let new = |digest: Digest| roles::plan(role, Input { digests: &[digest], ..after });
        let plans = match to {
            Some(to) if has_part(after.contract) && has_part(before.contract) => {
                let (before, after) = (old()?, new(to)?);
                Self { during: union(&before, &after)?, back: before.clone(), before, after }
            }
            Some(to) if has_part(after.contract) => {
                let after = new(to)?;
                let before = Plan { steps: Vec::new(), ..after.clone() };
                Self { before, during: after.clone(), back: locked(&after), after }
            }
            _ => {
                let before = old()?;
                let after = if *role == Role::Operator { without_machines(&before) } else { locked(&before) };
                Self { during: before.clone(), back: before.clone(), before, after }
            }
        };
        Ok(plans)
    }

    /// Each phase: from where, to where, and where its way back leads.
    fn phases(&self, role: &Role, revoke: bool) -> Vec<(PhaseName, &Plan, &Plan, &Plan)> {
        let last = if *role == Role::Operator { PhaseName::Deploy } else { PhaseName::Remove };
        match (revoke, last) {
            (true, PhaseName::Deploy) => vec![(last, &self.before, &self.after, &self.back)],
            (true, _) => vec![(PhaseName::Revoke, &self.before, &self.after, &self.back)],
            (false, _) => vec![
                (PhaseName::Allow, &self.before, &self.during, &self.back),
                (last, &self.during, &self.after, &self.during),
            ],
        }
    }
}

/// The machines go; everything else stays for the next image.
fn without_machines(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for step in &mut plan.steps {
        if let Resource::Instance(_) | Resource::Group { .. } = &step.resource {
            step.resource = Resource::Gone(Box::new(step.resource.clone()));
        }
    }
    plan
}

enum Side {
    Before,
    After,
}

fn input(change: Change<'_>, side: Side) -> Input<'_> {
    let contract = match side {
        Side::Before => change.before,
        Side::After => change.after,
    };
    Input { contract, settings: change.settings, digests: &[] }
}

/// The script of what changes.
fn script(
    role: &Role,
    change: Change<'_>,
    phase: PhaseName,
    from: &Plan,
    to: &Plan,
    back: &Plan,
) -> Result<Option<Part>, RenderError> {
    let mut steps = delta(from, to);
    if steps.is_empty() {
        return Ok(None);
    }
    if *role == Role::Operator && phase == PhaseName::Deploy {
        let reference = change.before.image.repository.at(change.from).to_string();
        let proof = Resource::NoMachine { project: to.project.clone(), reference };
        // Before the old machine's rights are taken away.
        let at = steps.iter().position(|step| matches!(step.resource, Resource::Gone(_))).unwrap_or(steps.len());
        let at = if change.to.is_some() { at } else { steps.len() };
        steps.insert(at, Step { why: "Whoever kept the old one has a token for up to an hour.", resource: proof });
    }
    if let (PhaseName::Remove, true, Some(digest), Some(pool)) = (phase, change.needs_proof, change.to, pool(to)) {
        let proof = Resource::Used { project: to.project.clone(), pool, digest };
        steps.insert(0, Step { why: "Else nothing would run any more.", resource: proof });
    }
    let part = |what: &str, steps: Vec<Step>| Plan {
        steps,
        command: format!("csign rotate --role {} ({what}{})", to.role, phase.name()),
        is_whole: false,
        ..to.clone()
    };
    let changes = steps.iter().map(|step| name(&step.resource)).collect();
    let files = gcloud::script(&part("", steps))?;
    Ok(Some(Part {
        phase,
        target: Target::Gcloud,
        changes,
        script: files.keys().next().cloned(),
        files,
        undo: gcloud::script(&part("back from ", delta(to, back)))?,
        replaces: *role == Role::Operator && phase == PhaseName::Deploy,
    }))
}

/// The pool that the role gives identities in.
fn pool(plan: &Plan) -> Option<String> {
    plan.steps.iter().find_map(|step| match &step.resource {
        Resource::Provider { audience, .. } => {
            ProviderName::parse("party.collaborator.identity_provider", audience).ok().map(|name| name.pool_name())
        }
        _ => None,
    })
}

/// The whole configuration: what is not in it, Terraform removes.
fn configuration(phase: PhaseName, from: &Plan, to: &Plan, back: &Plan) -> Result<Option<Part>, RenderError> {
    let steps = delta(from, to);
    if steps.is_empty() {
        return Ok(None);
    }
    Ok(Some(Part {
        phase,
        target: Target::Terraform,
        changes: steps.iter().map(|step| name(&step.resource)).collect(),
        files: terraform::configuration(to)?,
        undo: terraform::configuration(back)?,
        script: None,
        replaces: false,
    }))
}

/// Vault's, Amazon's or the perimeter's documents, which are written whole each time.
fn documents(target: Target, role: &Role, change: Change<'_>, phase: PhaseName) -> Result<Option<Part>, RenderError> {
    let Role::Collaborator(party) = role else { return Ok(None) };
    let Some(to) = change.to else { return Ok(None) };
    let is_in = |side: Side| input(change, side).contract.collaborator(party).is_some();
    if !is_in(Side::Before) || !is_in(Side::After) {
        return Ok(None);
    }
    let (from, to) = ([change.from], [to]);
    let before = Input { digests: &from, ..input(change, Side::Before) };
    let after = Input { digests: &to, ..input(change, Side::After) };
    let old = crate::render(target, role, before)?;
    let new = crate::render(target, role, after)?;
    let digests = [from, to].concat();
    let both = || match target {
        Target::Vault => vault::both(role, before, after),
        Target::Aws => aws::both(role, before, after),
        _ => vpc_sc::files(role, Input { digests: &digests, ..after }),
    };
    let (files, undo) = match phase {
        PhaseName::Allow => (both()?, old),
        PhaseName::Remove => (new, both()?),
        PhaseName::Revoke | PhaseName::Deploy => (new, old),
    };
    // Headers name the contract; documents decide.
    let documents = |files: &Files| -> Files {
        files
            .iter()
            .filter(|(name, _)| name.ends_with(".json") && !name.ends_with(".tf.json"))
            .map(|(name, file)| (name.clone(), file.clone()))
            .collect()
    };
    let (is, was) = (documents(&files), documents(&undo));
    let changes: Vec<String> =
        is.iter().filter(|(name, file)| was.get(*name) != Some(*file)).map(|(name, _)| name.clone()).collect();
    if changes.is_empty() {
        return Ok(None);
    }
    let script = files.iter().find(|(_, file)| file.executable).map(|(name, _)| name.clone());
    Ok(Some(Part { phase, target, changes, files, undo, script, replaces: false }))
}
