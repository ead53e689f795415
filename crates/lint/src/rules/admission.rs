//! Whom a condition, a binding, a Vault role or a trust policy lets in that it should not. `gate.rs` asks them.

use crate::rule::{Rule, Severity};

const AREA: &str = "admission";

pub(crate) static NOBODY: Rule = Rule {
    id: "admits-nobody",
    area: AREA,
    severity: Severity::Error,
    title: "The right workload is refused",
    explanation: "The token that a production workload gets (a stable image, the operator and the image that the text itself names) is \
                  refused, so nobody can use what is behind it. The usual reason is a claim that has another type or another set of \
                  values than the text thinks: in CEL such a clause is an error, and an error denies.",
    fix: "Correct the clause that is quoted; `csign explain` shows each clause with the values that it saw.",
};
pub(crate) static UNDECIDED: Rule = Rule {
    id: "admits-undecided",
    area: AREA,
    severity: Severity::Warning,
    title: "No token was found that it lets in",
    explanation: "It asks for something that no token could be made for (a regular expression, a computed value), so whom it lets in was \
                  judged by its other clauses alone. Nothing that was not found may be taken for absent.",
    fix: "Compare claims with constants, or judge it with `csign explain` and a token of the workload.",
};
pub(crate) static DEBUG: Rule = Rule {
    id: "admits-debug",
    area: AREA,
    severity: Severity::Error,
    title: "The debug image is let in",
    explanation: "On Confidential Space's debug image the operator can log in and read the workload's memory. Its tokens are real tokens of \
                  the real issuer; only `dbgstat` and the missing `support_attributes` tell it apart. Clauses on `swversion`, which older \
                  guides show, do not.",
    fix: "Ask for `\"STABLE\" in assertion.submods.confidential_space.support_attributes`, which a debug image does not have.",
};
pub(crate) static UNSTABLE: Rule = Rule {
    id: "admits-unstable",
    area: AREA,
    severity: Severity::Error,
    title: "Unsupported images of Confidential Space are let in",
    explanation: "`dbgstat` alone tells production from debug. Whether an image is still patched is in `support_attributes`: EXPERIMENTAL \
                  images were never supported, USABLE ones without STABLE are no longer.",
    fix: "Ask for `\"STABLE\" in assertion.submods.confidential_space.support_attributes`.",
};
pub(crate) static PLATFORM: Rule = Rule {
    id: "admits-other-platform",
    area: AREA,
    severity: Severity::Error,
    title: "A virtual machine that is no Confidential Space is let in",
    explanation: "The issuer also attests ordinary virtual machines (`swname` is `GCE`), whose owner controls what runs in them.",
    fix: "Ask for `assertion.swname == \"CONFIDENTIAL_SPACE\"`.",
};
pub(crate) static OPERATOR: Rule = Rule {
    id: "admits-other-operator",
    area: AREA,
    severity: Severity::Warning,
    title: "Any operator is let in",
    explanation: "Nothing says in which project the workload runs or as which service account, so anyone who can pull the image can run it \
                  and have it use this key.",
    fix: "Compare `assertion.submods.gce.project_id`, and ask for the service account: `\"NAME@PROJECT.iam.gserviceaccount.com\" in \
          assertion.google_service_accounts`.",
};
pub(crate) static IMAGE: Rule = Rule {
    id: "admits-any-image",
    area: AREA,
    severity: Severity::Error,
    title: "Any image is let in",
    explanation: "Nothing asks which program runs. Whoever starts a Confidential Space VM with a program of his own gets the key.",
    fix: "Bind the key to `attribute.image_digest/sha256:…`, or compare `assertion.submods.container.image_digest` in the condition, or \
          have one `exists` clause for each signer's key.",
};
pub(crate) static UNSIGNED: Rule = Rule {
    id: "admits-unsigned",
    area: AREA,
    severity: Severity::Error,
    title: "An unsigned image passes a check of signatures",
    explanation: "It looks at `image_signatures` and admits a token that has none: `all` over an empty list is true, and so is the negation \
                  of an `exists`.",
    fix: "Write one clause for each key: `assertion.submods.container.image_signatures.exists(s, s.key_id == \"HEX\")`.",
};
pub(crate) static ONE_SIGNER: Rule = Rule {
    id: "admits-one-signer",
    area: AREA,
    severity: Severity::Error,
    title: "One of several signers is enough",
    explanation: "Several keys are named, and an image that one of them did not sign is let in. `exists` means any key, and so does a list \
                  of keys on the right of `in`: whoever holds one key can replace the program.",
    fix: "Write one `exists` clause for each key and join them with `&&`.",
};

pub(crate) static RULES: &[&Rule] =
    &[&NOBODY, &UNDECIDED, &DEBUG, &UNSTABLE, &PLATFORM, &OPERATOR, &IMAGE, &UNSIGNED, &ONE_SIGNER];
