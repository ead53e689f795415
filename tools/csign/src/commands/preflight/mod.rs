//! `csign preflight`: everything that a party checks before it joins or approves, in one table.

mod agreement;
mod image;
mod published;
mod row;
mod signatures;

use std::path::PathBuf;

use csign_contract::Contract;
use csign_lint::{Rule, rule};
use csign_oci::{Digest, Layout, Pinned};
use csign_trust::exchange::Request;

use self::row::{Part, Row, Table};
use super::ContractArgs;
use crate::{
    context::{CommandResult, Context, read},
    failure::Failure,
};

/// Check everything before you join or approve: rebuild, signatures, image, contract, the others' policies, the machine
///
/// One table, whatever fails in it. What is not given makes the answer incomplete, since nobody looked at it; --without says
/// that it is meant.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign preflight --request request.json --party alice --rebuilt rebuild.json --approved old.json --approved-contract old.toml --policy bob=bob/ --instance instance.json\n  csign preflight registry.example/team/app@sha256:… --party alice --awaiting bob --without rebuild,approval,policies,instance\n  csign preflight --layout saved --party alice --rebuilt rebuilt --approved contract.json --without policies,instance\n\ndocs/preflight.md describes the rows.\n\nExit status:\n  0  all of it holds\n  1  something does not\n  2  called wrongly\n  3  something could not be checked, or was not given"
)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct Args {
    /// Image with its digest
    #[arg(value_name = "IMAGE@DIGEST", group = "what")]
    image: Option<String>,
    /// The builder's request, which names the image
    #[arg(long, value_name = "FILE", group = "what")]
    request: Option<PathBuf>,
    /// The image in this layout, with what csign save or cosign save stored beside it; no registry is asked
    #[arg(long, value_name = "DIR", group = "what")]
    layout: Option<PathBuf>,
    #[command(flatten)]
    contract: ContractArgs,
    /// Which party of the contract you are
    #[arg(long, value_name = "NAME")]
    party: String,
    /// Another party that need not have signed yet; may be repeated
    #[arg(long, value_name = "NAME")]
    awaiting: Vec<String>,
    /// What you rebuilt: the record (rebuild.json) that csign rebuild wrote, with --request, or a layout
    #[arg(long, value_name = "FILE|DIR")]
    rebuilt: Option<PathBuf>,
    /// What you approved before: an approval, a request, or a contract (also contract.json out of the earlier image)
    #[arg(long, value_name = "FILE")]
    approved: Option<PathBuf>,
    /// The contract of the approval or request that --approved names, to show what changed since
    #[arg(long, value_name = "FILE", requires = "approved")]
    approved_contract: Option<PathBuf>,
    /// The digest of the new contract, once you have read what changed and accept it
    #[arg(long, value_name = "DIGEST", requires = "approved")]
    accept_contract: Option<Digest>,
    /// What a collaborator published: its provider and its key's IAM policy (gcloud … --format=json), a file or a directory
    /// of *.json; may be repeated
    #[arg(long = "policy", value_name = "PARTY=PATH", value_parser = published)]
    policies: Vec<(String, PathBuf)>,
    /// Another image that policies may let in, as while images change; may be repeated
    #[arg(long, value_name = "DIGEST")]
    also: Vec<Digest>,
    /// The machine: gcloud compute instances describe --format=json
    #[arg(long, value_name = "FILE")]
    instance: Option<PathBuf>,
    /// What you go without, knowing that nobody then checked it
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    without: Vec<Part>,
    /// Turn a rule of csign lint off; may be repeated
    #[arg(long, value_name = "RULE", value_parser = known_rule)]
    allow: Vec<&'static Rule>,
}

fn published(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((party, path)) if !party.is_empty() && !path.is_empty() => Ok((party.to_owned(), path.into())),
        _ => Err("it is PARTY=PATH".to_owned()),
    }
}

fn known_rule(id: &str) -> Result<&'static Rule, String> {
    rule(id).ok_or_else(|| "there is no such rule; csign lint --rules lists them".to_owned())
}

/// What every row is about.
struct Subject<'a> {
    args: &'a Args,
    contract: &'a Contract,
    image: &'a Pinned,
    /// The request and its file's bytes.
    request: Option<(&'a Request, &'a [u8])>,
    layout: Option<&'a Layout>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let names = args.awaiting.iter().chain(std::iter::once(&args.party));
    for name in names {
        if !contract.parties.iter().any(|party| party.name == *name) {
            return Err(Failure::usage(format_args!("the contract has no party {name:?}"))
                .hint("csign contract check lists the parties"));
        }
    }
    if let Some((name, _)) = args.policies.iter().find(|(name, _)| contract.collaborator(name).is_none()) {
        return Err(Failure::usage(format_args!("the contract has no party {name:?} that releases a key")));
    }
    let file = args.request.as_ref().map(|path| read(path)).transpose()?;
    let request = file.as_ref().map(|bytes| Request::parse(bytes)).transpose()?;
    let layout = args.layout.as_ref().map(Layout::open).transpose()?;
    let image = named(args, &contract, request.as_ref(), layout.as_ref())?;
    let subject = Subject {
        args,
        contract: &contract,
        image: &image,
        request: request.as_ref().zip(file.as_deref()),
        layout: layout.as_ref(),
    };
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(agreement::request(&subject));
    rows.push(agreement::rebuilt(&subject));
    rows.extend(signatures::rows(&subject, context).await?);
    rows.extend(image::rows(&subject, context).await);
    let (approved, difference) = agreement::approved(&subject, context);
    rows.push(approved);
    rows.extend(published::policies(&subject));
    rows.push(published::instance(&subject));
    let table = Table::new(&image, &args.party, contract.digest(), rows, difference, &args.without);
    context.print(&table, || table.text())?;
    Ok(table.status())
}

/// The one image that everything given is about, in the contract's repository.
fn named(
    args: &Args,
    contract: &Contract,
    request: Option<&Request>,
    layout: Option<&Layout>,
) -> Result<Pinned, Failure> {
    let repository = &contract.image.repository;
    let mut named: Vec<(&str, Pinned)> = Vec::new();
    if let Some(image) = &args.image {
        named.push(("the image", Pinned::parse(image)?));
    }
    if let Some(request) = request {
        named.push(("the request", request.image()));
    }
    if let Some(layout) = layout {
        named.push(("the layout", repository.at(layout.image()?.0.digest)));
    }
    let Some((_, image)) = named.first().cloned() else { return Err(Failure::usage("there is no image")) };
    for (what, other) in &named {
        if other.repository != *repository {
            return Err(Failure::rejected(format_args!(
                "the contract is about {repository}, not {}",
                other.repository
            ))
            .hint(format_args!("{what} is of another agreement; give the contract that it belongs to")));
        }
        if other.digest != image.digest {
            return Err(Failure::rejected(format_args!("{what} is {}, not {}", other.digest, image.digest))
                .hint("give what belongs to one image"));
        }
    }
    Ok(image)
}
