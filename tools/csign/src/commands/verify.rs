//! `csign verify`: did everyone sign this very image?

use csign_contract::{Contract, Sources};
use csign_oci::Pinned;
use csign_policy::ContractPolicy;
use csign_registry::evidence::{self, Place};
use csign_trust::{
    BootPolicy as _, ExitStatus, ImageCheck, ImageReport, PolicyReport, Verdict, certificate::CertificateVerifier,
    report::table,
};

use super::{annotation, annotations, roster::RosterArgs};
use crate::{
    context::{CommandResult, Context},
    failure::Failure,
};

/// Verify that every party signed this image, in whatever format
///
/// Legacy signatures and sigstore bundles count alike, each checked on its own; every signer counts once. With --contract,
/// its signatures.sources and its policies over attestations are applied as the workload's boot applies them; the token
/// itself exists at boot only.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign verify registry.example/team/app@sha256:… --contract collaboration.toml\n  csign verify registry.example/team/app@sha256:… --key a.pub --key b.pub --threshold all\n  csign verify registry.example/team/app@sha256:… --certificate-identity release@example.com --certificate-oidc-issuer https://accounts.example.com\n  csign verify registry.example/team/app@sha256:… --contract collaboration.toml --party builder\n  csign verify --local-image saved --contract collaboration.toml"
)]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST", required_unless_present = "local_image")]
    image: Option<String>,
    #[command(flatten)]
    roster: RosterArgs,
    /// Count only signatures that were made over this annotation; give it once for each
    #[arg(long = "annotation", short, visible_alias = "annotations", value_name = "NAME=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let annotations = annotations(&args.annotation)?;
    let subject = args.roster.subject(args.image.as_deref(), context)?;
    let image = subject.image.clone();
    let roster = args.roster.roster(&image, context).await?;
    let certificates = args.roster.certificates(context)?;
    let mut check =
        ImageCheck::new(&image, &roster).with_annotations(annotations).signed_as(args.roster.signed_as.iter().cloned());
    if let Some(certificates) = &certificates {
        let certificates: &dyn CertificateVerifier = certificates;
        check = check.with_certificates(certificates);
    }
    let place = subject.place()?;
    let Some(contract) = args.roster.contract(context)? else {
        evidence::gather(&place, &mut check).await;
        return print(&check.report(), context);
    };
    gather(&contract, &place, &mut check, context).await;
    if args.roster.is_partial() {
        return print(&check.report(), context);
    }
    let policies = attested(&contract, &place, &image, &args.roster.signed_as, context).await?;
    print_all(&check.report(), &policies, context)
}

/// Hands the signatures to `check` that the contract wants to see.
pub(crate) async fn gather(contract: &Contract, place: &Place<'_>, check: &mut ImageCheck<'_>, context: &Context) {
    match contract.signatures.sources {
        Sources::Any | Sources::Registry => evidence::gather(place, check).await,
        // The launcher copies the tag into the token, and no bundles: who signed only in one would be missing at boot.
        Sources::Token | Sources::Both => {
            context.note(format_args!(
                "note: signatures.sources is {:?}: only signatures under the .sig tag count, which the launcher reads",
                contract.signatures.sources.name()
            ));
            evidence::gather_tag(place, check).await;
        }
    }
}

/// What the contract's policies say about what was attested.
pub(crate) async fn attested(
    contract: &Contract,
    place: &Place<'_>,
    image: &Pinned,
    signed_as: &[String],
    context: &Context,
) -> Result<Vec<PolicyReport>, Failure> {
    let now = u64::try_from(context.now()).unwrap_or_default();
    let mut policies = Vec::new();
    for policy in &ContractPolicy::of_contract(contract, now)? {
        let mut attestations = policy.check(image).signed_as(signed_as.iter().cloned());
        evidence::gather_attestations(place, &mut attestations).await;
        policies.push(PolicyReport { name: policy.name().to_owned(), report: Some(attestations.report()) });
    }
    Ok(policies)
}

/// Prints the report and turns its verdict into an exit status.
pub(crate) fn print(report: &ImageReport, context: &Context) -> CommandResult {
    print_all(report, &[], context)
}

/// The same with what the contract's policies say.
fn print_all(report: &ImageReport, policies: &[PolicyReport], context: &Context) -> CommandResult {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        verdict: Verdict,
        #[serde(flatten)]
        report: &'a ImageReport,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        policies: &'a [PolicyReport],
    }
    let signatures = report.verdict();
    let verdict = policies.iter().map(PolicyReport::verdict).fold(signatures, Verdict::and);
    let all = || {
        let attested = policies.iter().filter_map(|policy| Some((policy, policy.report.as_ref()?)));
        let policies = attested.map(|(policy, report)| {
            format!("policy {}\n{}", policy.name, text(&report.image, report.verdict(), "attested"))
        });
        text(report, signatures, "signed") + &policies.collect::<String>()
    };
    context.print(&Data { verdict, report, policies }, all)?;
    hint(verdict, context);
    Ok(ExitStatus::from(verdict))
}

/// What to do next, on stderr.
pub(crate) fn hint(verdict: Verdict, context: &Context) {
    match verdict {
        Verdict::Verified => {}
        Verdict::Rejected => context.note("hint: csign tree IMAGE@DIGEST shows what is attached"),
        Verdict::CouldNotCheck => {
            context.note("hint: nothing is known to be wrong; repeat when the registry can be read")
        }
    }
}

/// One row for each party, then what belongs to nobody and what could not be read, then the verdict.
pub(crate) fn text(report: &ImageReport, verdict: Verdict, done: &str) -> String {
    let rows: Vec<Vec<String>> = report
        .parties
        .iter()
        .map(|row| vec![row.party.clone(), row.status.word().to_owned(), row.credential(), row.status.detail()])
        .collect();
    let credential =
        if report.parties.iter().any(|row| row.identity.is_some()) { "KEY ID OR IDENTITY" } else { "KEY ID" };
    let mut out = table(&["PARTY", "STATUS", credential, "DETAIL"], &rows);
    for stray in &report.unknown {
        out.push_str(&format!("unknown   {}: {}\n", stray.payload, stray.problem));
    }
    for reason in &report.unchecked {
        out.push_str(&format!("unchecked {reason}\n"));
    }
    let word = match verdict {
        Verdict::Verified => "VERIFIED",
        Verdict::Rejected => "REJECTED",
        Verdict::CouldNotCheck => "COULD NOT CHECK",
    };
    out.push_str(&format!("{word} {}: {} of {} required {done}\n", report.image, report.signed(), report.required));
    out
}
