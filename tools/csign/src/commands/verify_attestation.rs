//! `csign verify-attestation`: did everyone attest this about the image, and do the policies allow it?

use csign_envelope::PredicateType;
use csign_oci::Pinned;
use csign_registry::evidence::{self, Place};
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
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// custom, slsaprovenance, slsaprovenance02, slsaprovenance1, spdx, spdxjson, cyclonedx, link, vuln, openvex, or the
    /// URI of a predicate type
    #[arg(long = "type", value_name = "TYPE", default_value = "custom", value_parser = predicate_type)]
    kind: PredicateType,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    roster: RosterArgs,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let roster = args.roster.roster(&image, context)?;
    let certificates = args.roster.certificates(&image.digest, context)?;
    let policies = args.policies.read(context)?;
    let policies: Vec<&dyn StatementPolicy> = policies.iter().map(|policy| policy as &dyn StatementPolicy).collect();
    let mut check =
        AttestationCheck::new(&image, &roster, &args.kind, &policies).signed_as(args.roster.signed_as.iter().cloned());
    if let Some(certificates) = &certificates {
        let certificates: &dyn CertificateVerifier = certificates;
        check = check.with_certificates(certificates);
    }
    let client = context.registry()?;
    evidence::gather_attestations(&Place::Registry(&client, context.attachments_of(&image)), &mut check).await;
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
