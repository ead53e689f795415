//! `csign verify`: did everyone sign this very image?

use std::{path::PathBuf, str::FromStr};

use csign_contract::Threshold;
use csign_oci::Pinned;
use csign_registry::evidence::{self, Place};
use csign_trust::{ExitStatus, ImageCheck, ImageReport, Roster, Signer, Verdict, report::table};

use crate::{
    context::{CommandResult, Context, read_public_key},
    failure::Failure,
};

/// Verify that every party signed this image
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign verify registry.example/team/app@sha256:… --contract collaboration.toml\n  csign verify registry.example/team/app@sha256:… --key a.pub --key b.pub --threshold all"
)]
#[command(group = clap::ArgGroup::new("roster").required(true))]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// The contract, whose parties must have signed
    #[arg(long, value_name = "FILE", group = "roster")]
    contract: Option<PathBuf>,
    /// Accept a contract for the simulator, whose verdicts no hardware protects
    #[arg(long, requires = "contract")]
    allow_simulated: bool,
    /// A public key that must have signed; give it once for each
    #[arg(long, value_name = "FILE", group = "roster")]
    key: Vec<PathBuf>,
    /// How many of the keys must have signed
    #[arg(long, value_name = "all|N", requires = "key", default_value = "all")]
    threshold: ThresholdArg,
}

#[derive(Clone, Copy)]
struct ThresholdArg(Threshold);

impl FromStr for ThresholdArg {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let roster = roster(args, &image, context)?;
    let mut check = ImageCheck::new(&image, &roster);
    let client = context.registry()?;
    evidence::gather(&Place::Registry(&client, image.clone()), &mut check).await;
    print(&check.report(), context)
}

fn roster(args: &Args, image: &Pinned, context: &Context) -> Result<Roster, Failure> {
    if let Some(path) = &args.contract {
        let contract = context.contract(path, args.allow_simulated)?;
        if contract.image.repository != image.repository {
            return Err(Failure::rejected(format_args!(
                "the contract is about {}, not {}",
                contract.image.repository, image.repository
            ))
            .hint("verify the image where the contract says that it is"));
        }
        return Ok(Roster::of_contract(&contract)?);
    }
    let signer = |path: &PathBuf| Ok(Signer::with_key(path.display().to_string(), read_public_key(path)?));
    let signers = args.key.iter().map(signer).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Roster::new(signers, args.threshold.0)?)
}

/// Prints the report and turns its verdict into an exit status.
pub(crate) fn print(report: &ImageReport, context: &Context) -> CommandResult {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        verdict: Verdict,
        #[serde(flatten)]
        report: &'a ImageReport,
    }
    let verdict = report.verdict();
    context.print(&Data { verdict, report }, || text(report, verdict))?;
    match verdict {
        Verdict::Verified => {}
        Verdict::Rejected => context.note("hint: csign tree IMAGE@DIGEST shows what is attached"),
        Verdict::CouldNotCheck => {
            context.note("hint: nothing is known to be wrong; repeat when the registry can be read")
        }
    }
    Ok(ExitStatus::from(verdict))
}

fn text(report: &ImageReport, verdict: Verdict) -> String {
    let rows: Vec<Vec<String>> = report
        .parties
        .iter()
        .map(|row| vec![row.party.clone(), row.status.word().to_owned(), row.credential(), row.status.detail()])
        .collect();
    let mut out = table(&["PARTY", "STATUS", "KEY ID OR IDENTITY", "DETAIL"], &rows);
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
    out.push_str(&format!("{word} {}: {} of {} required signed\n", report.image, report.signed(), report.required));
    out
}
