//! Who signed the image, one row for each party, as `csign verify` finds it out.

use csign_registry::evidence::Place;
use csign_trust::{ImageCheck, ImageReport, PartyStatus, Roster};

use super::{
    Subject,
    row::{Row, Status},
};
use crate::{
    commands::verify::{attested, gather},
    context::Context,
    failure::Failure,
};

pub(super) async fn rows(subject: &Subject<'_>, context: &Context) -> Result<Vec<Row>, Failure> {
    let Subject { contract, image, layout, .. } = *subject;
    let roster = Roster::of_contract(contract)?;
    let mut check = ImageCheck::new(image, &roster);
    let client = match layout {
        Some(_) => None,
        None => Some(context.registry()?),
    };
    let place = match (&client, layout) {
        (Some(client), _) => Place::Registry(client, context.attachments_of(image)),
        (None, Some(layout)) => Place::Layout(layout, image.clone()),
        (None, None) => return Err(Failure::usage("there is no image")),
    };
    gather(contract, &place, &mut check, context).await;
    let mut rows = of_report(subject, "signature", &check.report());
    for policy in attested(contract, &place, image, &[], context).await? {
        let Some(report) = policy.report else { continue };
        let mut of_policy = of_report(subject, "attestation", &report.image);
        // With a policy everything must have been read: what was not could be what it refuses.
        if !report.image.unchecked.is_empty() && !of_policy.iter().any(Row::is_unknown) {
            of_policy.push(Row::new("attestation", Status::Unknown, report.image.unchecked.join("; ")));
        }
        rows.extend(of_policy.into_iter().map(|row| row.about(&policy.name)));
    }
    Ok(rows)
}

fn of_report(subject: &Subject<'_>, check: &'static str, report: &ImageReport) -> Vec<Row> {
    let yet = |party: &str| party == subject.args.party || subject.args.awaiting.iter().any(|name| name == party);
    let signed = |status: &PartyStatus| matches!(status, PartyStatus::Signed { .. });
    let awaited = report.parties.iter().filter(|row| yet(&row.party) && row.status == PartyStatus::Missing).count();
    let enough = report.signed() + awaited >= report.required;
    let row = |party: &csign_trust::PartyRow| {
        let detail = party.status.detail();
        if signed(&party.status) {
            return Row::new(check, Status::Ok, detail);
        }
        match &party.status {
            PartyStatus::Missing if party.party == subject.args.party => {
                Row::new(check, Status::Awaited, "yours: to be given")
            }
            PartyStatus::Missing if yet(&party.party) => Row::new(check, Status::Awaited, detail),
            PartyStatus::Unchecked if !enough => {
                let why = report.unchecked.first().cloned().unwrap_or_default();
                Row::new(check, Status::Unknown, format!("{detail}: {why}"))
                    .advice("nothing is known to be wrong; repeat when everything can be read")
            }
            // Whoever can write to the registry can add a bad signature, which must not undo what is enough.
            _ if enough => {
                let wanted = format!("{} of {} are enough", report.required, report.parties.len());
                let detail = format!("{}: {detail}; {wanted}", party.status.word());
                Row::new(check, Status::Ok, detail)
            }
            status => Row::new(check, Status::Failed, format!("{}: {detail}", status.word()))
                .advice("ask that party; --awaiting NAME if it has not been its turn yet"),
        }
    };
    report.parties.iter().map(|party| row(party).of_party(&party.party)).collect()
}
