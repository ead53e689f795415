//! Plans compared: what admits both images, what leads from one plan to the next, and what admits nothing any more.
//!
//! A step of a rotation is what its plan has and the plan before it has not, so a script shows all that changes and touches
//! nothing else. The way back is the same comparison the other way round.

use crate::{Plan, RenderError, Resource, Step, gcloud::Call};

/// Both plans at once: whoever is let in by one of them is let in. Where a thing can be one way only, such as a machine, it is
/// as `before` says.
pub(super) fn union(before: &Plan, after: &Plan) -> Result<Plan, RenderError> {
    let mut steps = Vec::new();
    for step in &before.steps {
        let resource = match counterpart(&step.resource, after) {
            Some(other) => both(&step.resource, other)?,
            None => step.resource.clone(),
        };
        steps.push(Step { why: step.why, resource });
    }
    // A template is part of the machines.
    let new =
        |step: &&Step| counterpart(&step.resource, before).is_none() && !matches!(step.resource, Resource::Template(_));
    steps.extend(after.steps.iter().filter(new).cloned());
    Ok(Plan { steps, ..after.clone() })
}

fn both(before: &Resource, after: &Resource) -> Result<Resource, RenderError> {
    let mut joined = before.clone();
    match (&mut joined, after) {
        (Resource::Provider { rules, .. }, Resource::Provider { rules: more, .. }) => *rules = rules.or(more)?,
        (Resource::Members { members, .. }, Resource::Members { members: more, .. }) => add(members, more),
        (Resource::Services { services, .. }, Resource::Services { services: more, .. }) => add(services, more),
        _ => {}
    }
    Ok(joined)
}

fn add<T: Clone + PartialEq>(have: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !have.contains(one) {
            have.push(one.clone());
        }
    }
}

/// What leads from `before` to `after`: what must come or change, then what must go. Only rights and providers go; a
/// thing that is left over lets nobody in.
pub(super) fn delta(before: &Plan, after: &Plan) -> Vec<Step> {
    let new = |step: &&Step| match counterpart(&step.resource, before) {
        // A key cannot be changed, so no script can do it, in either direction.
        Some(_) if matches!(step.resource, Resource::Key { .. }) => false,
        Some(old) => *old != step.resource,
        None => true,
    };
    let mut steps: Vec<Step> = after.steps.iter().filter(new).cloned().collect();
    for step in before.steps.iter().rev() {
        if let Some(resource) = gone(&step.resource, counterpart(&step.resource, after)) {
            let why = "For the other image only.";
            steps.push(Step { why, resource: Resource::Gone(Box::new(resource)) });
        }
    }
    steps
}

/// What of `old` is no part of `new`.
fn gone(old: &Resource, new: Option<&Resource>) -> Option<Resource> {
    match (old, new) {
        (Resource::Provider { .. }, None) => Some(old.clone()),
        // Whoever else holds it loses it when the new members get it.
        (Resource::Members { exclusive: true, .. }, Some(_)) => None,
        (Resource::Members { on, role, members, exclusive }, new) => {
            let stay = match new {
                Some(Resource::Members { members, .. }) => members.as_slice(),
                _ => &[],
            };
            let members: Vec<String> = members.iter().filter(|member| !stay.contains(member)).cloned().collect();
            let go = Resource::Members { on: on.clone(), role, members: members.clone(), exclusive: *exclusive };
            (!members.is_empty()).then_some(go)
        }
        _ => None,
    }
}

/// The plan in which no image is let in: nobody decrypts, and no provider is there.
pub(super) fn locked(plan: &Plan) -> Plan {
    let mut locked = plan.clone();
    locked.steps.retain(|step| !matches!(step.resource, Resource::Provider { .. }));
    for step in &mut locked.steps {
        if let Resource::Members { members, exclusive: true, .. } = &mut step.resource {
            members.clear();
        }
    }
    locked
}

/// Things of which the second plan knows nothing, and which stay all the same; for people.
pub(super) fn left_over(before: &Plan, after: &Plan) -> Vec<String> {
    let stays = |resource: &&Resource| {
        counterpart(resource, after).is_none()
            && !matches!(resource, Resource::Provider { .. } | Resource::Members { .. } | Resource::Services { .. })
    };
    before.steps.iter().map(|step| &step.resource).filter(stays).map(name).collect()
}

/// A thing's name, for people.
pub(super) fn name(resource: &Resource) -> String {
    match resource {
        Resource::Gone(resource) => format!("without {}", name(resource)),
        Resource::Members { role, .. } => {
            let call = Call::of(resource);
            let (_, names) = call.identity();
            format!("{role} on {}", names.get(3).map(String::as_str).unwrap_or_default())
        }
        Resource::Used { .. } => "proof in the audit log that the new image works".to_owned(),
        Resource::NoMachine { .. } => "proof that no machine has the old image".to_owned(),
        _ => {
            let call = Call::of(resource);
            let (kind, names) = call.identity();
            format!("{} {}", kind.replace('_', " "), names.last().map(String::as_str).unwrap_or_default())
        }
    }
}

/// The same thing in another plan.
fn counterpart<'a>(resource: &Resource, plan: &'a Plan) -> Option<&'a Resource> {
    plan.steps.iter().map(|step| &step.resource).find(|other| same_thing(resource, other))
}

fn same_thing(one: &Resource, other: &Resource) -> bool {
    match (one, other) {
        (
            Resource::Members { on, role, exclusive, .. },
            Resource::Members { on: on2, role: role2, exclusive: exclusive2, .. },
        ) => on == on2 && role == role2 && exclusive == exclusive2,
        (Resource::Members { .. }, _) | (_, Resource::Members { .. }) => false,
        _ => Call::of(one).identity() == Call::of(other).identity(),
    }
}
