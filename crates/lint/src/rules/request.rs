//! Requests for signatures: `request.json`.

use csign_contract::Contract;
use csign_trust::exchange::Request;

use crate::{
    finding::Findings,
    rule::{Rule, Severity},
};

const AREA: &str = "request";

pub(crate) static INVALID: Rule = Rule {
    id: "request-invalid",
    area: AREA,
    severity: Severity::Error,
    title: "It is no request",
    explanation: "A member is missing, unknown or mistyped, or a payload is not the one that repository, digest and key give.",
    fix: "Ask the builder for the file that `csign request` wrote.",
};
pub(crate) static CONTRACT: Rule = Rule {
    id: "request-contract",
    area: AREA,
    severity: Severity::Error,
    title: "The request is not the contract's",
    explanation: "Repository, contract digest or signers are others than in the contract that was agreed.",
    fix: "Compare `csign contract digest` with the builder's.",
};
pub(crate) static SOURCE: Rule = Rule {
    id: "request-source",
    area: AREA,
    severity: Severity::Warning,
    title: "The request does not say what to rebuild",
    explanation: "Without the source's revision, the lock file's digest or the toolchain, or with changes that are in no revision, others \
                  cannot rebuild what they are to sign.",
    fix: "Make the request from a clean checkout: `csign request --source .`.",
};

pub(crate) static RULES: &[&Rule] = &[&INVALID, &CONTRACT, &SOURCE];

pub(crate) fn check(bytes: &[u8], contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let request = match Request::parse(bytes) {
        Ok(request) => request,
        Err(error) => return findings.add(&INVALID, "", error.to_string()),
    };
    if let Some(contract) = contract
        && let Err(error) = request.check(contract)
    {
        findings.add(&CONTRACT, "", error.to_string());
    }
    let source = &request.source;
    if source.modified {
        findings.add(&SOURCE, "/source/modified", "it was made from files that the revision does not have");
    }
    for (what, there) in [
        ("revision", source.revision.is_some()),
        ("lockFile", source.lock_file.is_some()),
        ("toolchain", source.toolchain.is_some()),
    ] {
        if !there {
            findings.add(&SOURCE, "/source", format!("it has no {what}"));
        }
    }
}
