//! `csign token verify`: did the attestation service make this token, for this audience, and does it say what the contract
//! asks for?

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use csign_attestation::{Expected, Jwks, Keys, LIMITS, PkiRoots, RootPin, Thumbprint, verify};
use csign_contract::{Contract, Environment, GOOGLE_ISSUER};
use csign_policy::ContractPolicy;
use csign_registry::evidence::{self, Place};
use csign_trust::{BootCheck, ExitStatus, Roster, Verdict};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;

use super::parts::{Parts, read_token};
use crate::{
    context::{CommandResult, Context, read, read_up_to},
    failure::Failure,
    issuer,
};

/// By how many seconds the issuer's clock may differ.
const LEEWAY: u32 = 30;

/// Verify a token: signature, issuer, audience, times, nonce; with a contract, every claim that decides
///
/// With --contract the token is held against it as the workload holds its own when it starts: the platform, the operator,
/// the image, who signed it, and the policies over attestations; the registry is asked where the contract lets it decide.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign token verify token --audience https://example.com --nonce 0123456789abcdef\n  csign token verify token --audience https://csign.dev/workload/boot --contract collaboration.toml\n  csign token verify token --audience https://example.com --type pki\n  csign token verify token --audience https://example.com --jwks keys.json"
)]
pub(super) struct Args {
    /// The token's file; - is stdin
    file: PathBuf,
    /// The audience that the token must be for, exactly
    #[arg(long)]
    audience: String,
    /// A nonce that the token must carry
    #[arg(long)]
    nonce: Option<String>,
    /// Kind that the token must be of
    #[arg(long = "type", value_enum, default_value_t = Kind::Oidc)]
    kind: Kind,
    /// Hold the token against this contract
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Accept the simulator's tokens, which no hardware protects
    #[arg(long)]
    allow_simulated: bool,
    /// The issuer, if it is not Google's attestation service
    #[arg(long, value_name = "URL", conflicts_with = "contract")]
    issuer: Option<String>,
    /// The issuer's key set, instead of asking the issuer
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Root certificate (PEM or DER) of PKI tokens, instead of Google's
    #[arg(long, value_name = "FILE", conflicts_with = "contract")]
    root: Option<PathBuf>,
    /// Verify as of this time, in seconds since 1970, instead of now
    #[arg(long, value_name = "SECONDS")]
    now: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Oidc,
    Pki,
}

pub(super) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = args.contract.as_deref().map(|path| context.contract(path, args.allow_simulated)).transpose()?;
    let issuer = match (&contract, &args.issuer) {
        (Some(contract), _) => contract.environment.issuer().to_owned(),
        (None, Some(issuer)) => issuer.clone(),
        (None, None) => GOOGLE_ISSUER.to_owned(),
    };
    if issuer::is_simulated(&issuer) && !args.allow_simulated {
        return Err(Failure::rejected("the issuer is a simulator: what it attests is protected by no hardware")
            .hint("--allow-simulated accepts it, for tests and demonstrations"));
    }
    let token = read_token(&args.file)?;
    let parts = Parts::of(&token)?;
    let keys = args.keys(contract.as_ref(), &issuer, context).await?;
    let now = match args.now {
        Some(now) => now,
        None => u64::try_from(context.now()).map_err(|_| Failure::could_not_check("the clock stands before 1970"))?,
    };
    let expected =
        Expected { issuer: &issuer, audience: &args.audience, nonce: args.nonce.as_deref(), now, leeway: LEEWAY };
    let Some(contract) = &contract else {
        verify(token.expose(), &keys, &expected)?;
        context.print(&json!({"verdict": Verdict::Verified, "claims": parts.claims}), || {
            format!("{}VERIFIED as a token of {issuer}\n", parts.table())
        })?;
        return Ok(ExitStatus::Success);
    };
    let roster = Roster::of_contract(contract)?;
    let policies = ContractPolicy::of_contract(contract, now)?;
    let mut check = BootCheck::new(contract, &roster, token.expose(), &keys, &expected)?;
    if check.platform_holds() && (check.wants_registry() || !policies.is_empty()) {
        let client = context.registry()?;
        let place = Place::Registry(&client, context.attachments_of(check.pinned()));
        evidence::gather_boot(&place, &mut check, &policies).await;
    }
    let report = check.report();
    let verdict = report.verdict();
    context.print(&json!({"verdict": verdict, "claims": parts.claims, "report": report}), || {
        let word = match verdict {
            Verdict::Verified => "VERIFIED",
            Verdict::Rejected => "REJECTED",
            Verdict::CouldNotCheck => "COULD NOT CHECK",
        };
        format!("{}{word} under the contract {}\n", report.table(), contract.name)
    })?;
    Ok(verdict.into())
}

impl Args {
    /// What the signature is verified with; under a simulated contract only what the contract pins.
    async fn keys(&self, contract: Option<&Contract>, issuer: &str, context: &Context) -> Result<Keys, Failure> {
        let environment = contract.map(|contract| &contract.environment);
        match self.kind {
            Kind::Pki if self.jwks.is_some() => {
                Err(Failure::usage("--jwks belongs to OIDC tokens; a PKI token is verified with a root"))
            }
            Kind::Oidc if self.root.is_some() => {
                Err(Failure::usage("--root belongs to PKI tokens").hint("add --type pki"))
            }
            Kind::Oidc => {
                let jwks = match &self.jwks {
                    Some(path) => Jwks::parse(&read_up_to(path, LIMITS.issuer_document_bytes as u64)?)
                        .map_err(|error| Failure::usage(error).in_file(path))?,
                    None => issuer::jwks(issuer, context).await?,
                };
                match environment {
                    Some(Environment::Simulated { issuer_keys, .. }) => {
                        let pins: Option<Vec<_>> = issuer_keys.iter().map(|pin| Thumbprint::parse(pin)).collect();
                        let pins = pins.ok_or_else(|| Failure::usage("the contract's issuer_keys are malformed"))?;
                        Ok(jwks.pinned(&pins).map_err(Failure::rejected)?.into())
                    }
                    _ => Ok(jwks.into()),
                }
            }
            Kind::Pki => match (environment, &self.root) {
                (Some(Environment::Simulated { issuer_roots, .. }), _) => {
                    let pins: Option<Vec<_>> = issuer_roots.iter().map(|pin| RootPin::parse(pin)).collect();
                    let pins = pins.filter(|pins| !pins.is_empty());
                    let pins = pins.ok_or_else(|| {
                        Failure::usage("the contract pins no root for PKI tokens")
                            .hint("environment.issuer_roots in the contract names them")
                    })?;
                    Ok(PkiRoots::pinned(pins).into())
                }
                (_, Some(path)) => Ok(PkiRoots::pinned([root_of(path)?]).into()),
                (_, None) => Ok(PkiRoots::google().into()),
            },
        }
    }
}

/// The pin of the one certificate in a file.
fn root_of(path: &Path) -> Result<RootPin, Failure> {
    let bytes = read(path)?;
    if bytes.first() == Some(&0x30) {
        return Ok(RootPin::of(&bytes));
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates.as_deref() {
        Ok([root]) => Ok(RootPin::of(root)),
        _ => Err(Failure::usage(format_args!("{} does not hold exactly one certificate", path.display()))),
    }
}
