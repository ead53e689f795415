//! `csign verify-attestation`: did everyone attest this about the image, and do the policies allow it?

use csign_envelope::PredicateType;
use csign_registry::evidence;
use csign_trust::{
    AttestationCheck, AttestationReport, ExitStatus, StatementPolicy, Verdict, certificate::CertificateVerifier,
};

use super::{predicate_type, roster::RosterArgs, verify};
use crate::{
    context::{CommandResult, Context},
    policies::PolicyArgs,
};

/// Verify that every party attested something about this image, and that policies allow what they state
///
/// Attestations under the .att tag and in sigstore bundles count alike. A party counts if it attested at least once, and
/// every attestation of the type that it signed satisfies every policy.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign verify-attestation registry.example/team/app@sha256:… --type slsaprovenance1 --key builder.pub\n  csign verify-attestation registry.example/team/app@sha256:… --type custom --policy policy.rego --key a.pub --key b.pub --threshold 2"
)]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST", required_unless_present = "local_image")]
    image: Option<String>,
    /// What is stated: custom, slsaprovenance, slsaprovenance02, slsaprovenance1, spdx, spdxjson, cyclonedx, link, vuln,
    /// openvex, or the URI of a predicate type
    #[arg(long = "type", value_name = "TYPE", default_value = "custom", value_parser = predicate_type)]
    kind: PredicateType,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    roster: RosterArgs,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let subject = args.roster.subject(args.image.as_deref(), context)?;
    let image = subject.image.clone();
    let roster = args.roster.roster(&image, context).await?;
    let certificates = args.roster.certificates(context)?;
    let policies = args.policies.read(context)?;
    let rules = policies.iter().map(|policy| policy as &dyn StatementPolicy);
    let mut check =
        AttestationCheck::new(&image, &roster, &args.kind, rules).signed_as(args.roster.signed_as.iter().cloned());
    if let Some(certificates) = &certificates {
        let certificates: &dyn CertificateVerifier = certificates;
        check = check.with_certificates(certificates);
    }
    evidence::gather_attestations(&subject.place()?, &mut check).await;
    print(&check.report(), context)
}

fn print(report: &AttestationReport, context: &Context) -> CommandResult {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        verdict: Verdict,
        #[serde(flatten)]
        report: &'a AttestationReport,
    }
    let verdict = report.verdict();
    context.print(&Data { verdict, report }, || verify::text(&report.image, verdict, "attested"))?;
    verify::hint(verdict, context);
    Ok(ExitStatus::from(verdict))
}
