//! `csign approve`: one party's answer to a request. It uses no network, so it works on a machine that has none.

use std::path::PathBuf;

use csign_contract::Contract;
use csign_envelope::{
    dsse::{IN_TOTO, pae},
    statement::Reproduced,
};
use csign_keys::Signer;
use csign_oci::{Layout, Pinned};
use csign_trust::{
    ExitStatus,
    exchange::{Approval, RebuildRecord, Request, Signed},
};
use serde_json::json;

use super::{ContractArgs, KeyArgs};
use crate::{
    context::{CommandResult, Context, read, write},
    failure::Failure,
};

/// Sign what a request asks for, offline; write approval.json
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign approve request.json --key alice.key --rebuilt rebuild.json --out alice.json\n  csign approve request.json --key alice.key --rebuilt image --out alice.json\n  csign approve request.json --key alice.key --not-rebuilt --out alice.json"
)]
#[command(group = clap::ArgGroup::new("evidence").required(true))]
pub(crate) struct Args {
    /// The builder's request
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    #[command(flatten)]
    contract: ContractArgs,
    #[command(flatten)]
    key: KeyArgs,
    /// What you rebuilt yourself, once or twice: the record (rebuild.json) that csign rebuild wrote, whose facts are signed
    /// along, or a layout, whose digest must be the request's
    #[arg(long, value_name = "FILE|DIR", group = "evidence")]
    rebuilt: Vec<PathBuf>,
    /// Approve without having rebuilt the image; the approval says so
    #[arg(long, group = "evidence")]
    not_rebuilt: bool,
    /// Where to write the approval
    #[arg(long, short, value_name = "FILE", default_value = "approval.json")]
    out: PathBuf,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let request_file = read(&args.request)?;
    let request = Request::parse(&request_file)?;
    let image = request.check(&contract)?;
    let mut recorded = None;
    for path in &args.rebuilt {
        if path.is_dir() {
            compare(path, &image)?;
            continue;
        }
        let record = RebuildRecord::parse(&read(path)?)?;
        if recorded.replace(record.check(&contract, &request, &request_file)?).is_some() {
            return Err(Failure::usage("--rebuilt names two records"));
        }
    }
    let (signer, party) = signer_of(&contract, context.signer(&args.key).await?)?;
    let what = recorded.unwrap_or_else(|| Reproduced {
        contract: contract.digest(),
        recipe: request.source.recipe.clone(),
        source_revision: request.source.revision.clone(),
        lock_file: request.source.lock_file,
        toolchain: request.source.toolchain.clone(),
        rebuilt: !args.rebuilt.is_empty(),
        rebuild: None,
    });
    let statement = |bytes: Vec<u8>| pae(IN_TOTO, &bytes);
    let signed = Signed {
        payload: signer.sign(&Approval::payload_to_sign(&image, signer.public_key())).await?,
        bundle: signer.sign(&statement(Approval::sign_statement(&image)?)).await?,
        reproduced: signer.sign(&statement(Approval::reproduced_statement(&image, &what)?)).await?,
    };
    let approval = Approval::new(&contract, &party, signer.public_key(), &image, &what, &signed)?;
    let text = approval.to_text()?;
    // What collect will check is checked here first, while the key holder is at hand.
    approval.check(&contract, &image)?;
    write(&args.out, text.as_bytes(), true)?;
    let data =
        json!({"party": party, "image": image, "rebuilt": what.rebuilt, "approval": args.out, "reproduced": what});
    context.print(&data, || {
        let how = if what.rebuilt { "rebuilt" } else { "not rebuilt" };
        format!("{party} approves {image} ({how}) in {}", args.out.display())
    })?;
    Ok(ExitStatus::Success)
}

fn compare(layout: &std::path::Path, image: &Pinned) -> Result<(), Failure> {
    let ours = Layout::open(layout)?.image()?.0.digest;
    if ours == image.digest {
        return Ok(());
    }
    Err(Failure::rejected(format_args!("your rebuild has the digest {ours}, the request asks for {}", image.digest))
        .hint(format_args!("do not approve; csign diff {} {image} shows what differs, and why", layout.display())))
}

/// The signer under the algorithm that the contract states for its key, and whose key it is.
pub(crate) fn signer_of(contract: &Contract, signer: Signer) -> Result<(Signer, String), Failure> {
    let id = signer.public_key().id();
    let party = contract.parties.iter().find(|party| party.public_key.id() == id).ok_or_else(|| {
        Failure::rejected(format_args!("the key {id} is no party's in the contract"))
            .hint("csign contract check lists the parties and their key ids")
    })?;
    Ok((signer.with_algorithm(party.public_key.algorithm())?, party.name.clone()))
}
