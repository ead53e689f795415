//! What was agreed: the request, the party's own rebuild of it, and the contract since the last approval.

use std::path::Path;

use csign_contract::{
    Contract,
    diff::{Difference, difference},
};
use csign_lint::{Document, Kind, lint};
use csign_oci::{Layout, json};
use csign_trust::exchange::{Approval, RebuildRecord, RecordError, Request};

use super::{
    Subject,
    row::{Part, Row, Status},
};
use crate::{
    commands::roster::damaged,
    context::{Context, read},
    failure::Failure,
};

/// Does the request say what the contract says, and what to rebuild?
pub(super) fn request(subject: &Subject<'_>) -> Option<Row> {
    const CHECK: &str = "request";
    let (request, bytes) = subject.request?;
    let row = match request.check(subject.contract) {
        Ok(_) => Row::new(CHECK, Status::Ok, "repository, contract, parties and payloads are the contract's"),
        Err(error) => {
            return Some(
                Row::new(CHECK, Status::Failed, error.to_string()).advice("ask the builder for a new request"),
            );
        }
    };
    let Ok(document) = Document::read(CHECK, bytes, Some(Kind::Request)) else {
        return Some(Row::new(CHECK, Status::Unknown, "the request cannot be read"));
    };
    Some(row.with(subject.allowed(lint(&[document], Some(subject.contract)))))
}

/// Did the party rebuild this very image?
pub(super) fn rebuilt(subject: &Subject<'_>) -> Row {
    const CHECK: &str = "rebuild";
    let Some(path) = &subject.args.rebuilt else {
        return Row::not_given(CHECK, Part::Rebuild, "nothing says that you rebuilt the image")
            .advice("csign rebuild request.json, then --rebuilt rebuild.json");
    };
    let result = if path.is_dir() { layout(subject, path) } else { record(subject, path) };
    result.unwrap_or_else(|failure| Row::of_failure(CHECK, &failure))
}

fn layout(subject: &Subject<'_>, path: &Path) -> Result<Row, Failure> {
    let ours = Layout::open(path)?.check_image().map_err(damaged)?.digest;
    if ours == subject.image.digest {
        return Ok(Row::new(
            "rebuild",
            Status::Ok,
            "the layout has the same digest; it says nothing about the sources",
        ));
    }
    let advice = format!("do not approve; csign diff {} {} shows what differs, and why", path.display(), subject.image);
    Err(Failure::rejected(format_args!("your rebuild has the digest {ours}")).hint(advice))
}

fn record(subject: &Subject<'_>, path: &Path) -> Result<Row, Failure> {
    let record = RebuildRecord::parse(&read(path)?).map_err(|error| Failure::could_not_check(&error))?;
    let Some((request, bytes)) = subject.request else {
        return Err(Failure::could_not_check("a record belongs to a request, which was not given")
            .hint("give --request request.json"));
    };
    let said = record.check(subject.contract, request, bytes).map_err(|error| match error {
        RecordError::Json(_) | RecordError::Kind { .. } => Failure::could_not_check(&error),
        RecordError::Mismatch { .. } | RecordError::NotRebuilt => {
            Failure::rejected(&error).hint("do not approve; rebuild this request: csign rebuild request.json")
        }
    })?;
    let revision = said.source_revision.unwrap_or_else(|| "a commit that nobody names".to_owned());
    Ok(Row::new("rebuild", Status::Ok, format!("the same digest from {revision}, by {}", said.recipe)))
}

/// Is the contract the one that the party approved before?
pub(super) fn approved(subject: &Subject<'_>, context: &Context) -> (Row, Option<Difference>) {
    const CHECK: &str = "contract";
    let Some(path) = &subject.args.approved else {
        let row = Row::not_given(CHECK, Part::Approval, "nothing says what you approved before").advice(
            "--approved approval.json --approved-contract OLD, or --approved OLD; the first time --without approval",
        );
        return (row, None);
    };
    match before(subject, path, context) {
        Err(failure) => (Row::of_failure(CHECK, &failure), None),
        Ok(Before { what, contract: None }) => (Row::new(CHECK, Status::Ok, format!("it is that of {what}")), None),
        Ok(Before { what, contract: Some(old) }) => {
            let difference = difference(&old, subject.contract);
            let row = judged(subject, &what, &difference);
            (row, Some(difference))
        }
    }
}

fn judged(subject: &Subject<'_>, what: &str, difference: &Difference) -> Row {
    if difference.is_empty() {
        return Row::new("contract", Status::Ok, format!("it is that of {what}"));
    }
    let count = difference.changes.len();
    let concern = difference.changes.iter().filter(|change| change.security).count();
    let changed = format!("it is not that of {what}: {count} changed, {concern} of them concern trust");
    match subject.args.accept_contract {
        Some(digest) if digest == difference.new => {
            Row::new("contract", Status::Ok, format!("{changed}; accepted by its digest"))
        }
        Some(digest) => Row::new("contract", Status::Failed, format!("{changed}; the one accepted is {digest}")),
        None => Row::new("contract", Status::Failed, changed)
            .advice(format!("read what changed below; if you agree, add --accept-contract {}", difference.new)),
    }
}

/// What was approved before.
struct Before {
    what: String,
    /// Its contract; absent if it is known to be the new one.
    contract: Option<Contract>,
}

fn before(subject: &Subject<'_>, path: &Path, context: &Context) -> Result<Before, Failure> {
    let allow_simulated = subject.args.contract.allow_simulated;
    let bytes = read(path)?;
    let kind = json::value_from_slice(&bytes).ok().and_then(|value| Some(value.get("kind")?.as_str()?.to_owned()));
    let contract =
        || subject.args.approved_contract.as_ref().map(|old| context.contract(old, allow_simulated)).transpose();
    match kind.as_deref() {
        Some("csign-approval") => {
            let approval = Approval::parse(&bytes).map_err(Failure::could_not_check)?;
            if approval.party != subject.args.party {
                return Err(Failure::rejected(format_args!("the approval is {}'s, not yours", approval.party)));
            }
            let image = approval.repository.at(approval.digest);
            let old = matching(contract()?, &approval.contract, subject)?;
            approval.check(old.as_ref().unwrap_or(subject.contract), &image).map_err(Failure::rejected)?;
            Ok(Before { what: format!("your approval of {image}"), contract: old })
        }
        Some("csign-request") => {
            let request = Request::parse(&bytes).map_err(Failure::could_not_check)?;
            let old = matching(contract()?, &request.contract, subject)?;
            let image = request.check(old.as_ref().unwrap_or(subject.contract)).map_err(Failure::rejected)?;
            Ok(Before { what: format!("the request for {image}"), contract: old })
        }
        _ if subject.args.approved_contract.is_some() => {
            Err(Failure::usage("--approved-contract belongs to an approval or a request")
                .hint("give the old contract as --approved alone"))
        }
        _ => {
            let old = context.contract(path, allow_simulated)?;
            Ok(Before { what: "the contract that you approved".to_owned(), contract: Some(old) })
        }
    }
}

/// The old contract, if it is the one with this digest. Without one, only the new contract itself can be it.
fn matching(
    old: Option<Contract>,
    digest: &csign_oci::Digest,
    subject: &Subject<'_>,
) -> Result<Option<Contract>, Failure> {
    match old {
        Some(old) if old.digest() == *digest => Ok(Some(old)),
        Some(old) => Err(Failure::rejected(format_args!(
            "--approved is about the contract {digest}, --approved-contract is {}",
            old.digest()
        ))),
        None if subject.contract.digest() == *digest => Ok(None),
        None => Err(Failure::rejected(format_args!(
            "the contract was {digest} when you approved, and is {}",
            subject.contract.digest()
        ))
        .hint("--approved-contract FILE with the contract of then shows what changed")),
    }
}
