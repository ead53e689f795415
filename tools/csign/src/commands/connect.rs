//! `csign connect`: is the other end of this TLS connection the attested workload? Only then send it data.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
};

use csign_attestation::{Expected, Keys, PkiRoots, RootPin, Thumbprint};
use csign_contract::{Contract, Environment, TokenKind, message::is_message_id};
use csign_oci::Pinned;
use csign_policy::ContractPolicy;
use csign_registry::evidence::{self, Place};
use csign_trust::{BootCheck, BootReport, ExitStatus, Roster, Verdict, report::printable};
use hyper::{Method, StatusCode, body::Bytes};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::Value;

use super::ContractArgs;
use crate::{
    context::{CommandResult, Context, read},
    failure::Failure,
    ingest::{Connection, Identity},
    issuer,
};

/// By how many seconds the issuer's clock may differ.
const LEEWAY: u32 = 30;

/// Check that an endpoint is the workload that all parties signed, attested on this very connection, and send it data
///
/// The endpoint's attestation token must name this TLS connection's keying material, and pass every check that the
/// workload's boot makes under the same contract: a token that was passed on or replayed names another connection.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign connect 203.0.113.7:8443 --collaborator collaborator-1 --cert client.pem --key client.key\n  csign connect 203.0.113.7:8443 --collaborator collaborator-1 --cert client.pem --key client.key --send words.txt --message order-17"
)]
pub(crate) struct Args {
    /// Where the workload listens
    #[arg(value_name = "HOST:PORT")]
    address: String,
    #[command(flatten)]
    contract: ContractArgs,
    /// Whose data it is, as the contract names them
    #[arg(long, value_name = "NAME")]
    collaborator: String,
    /// This client's certificate, and intermediate ones behind it (PEM)
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// The certificate's private key (PEM, PKCS#8 or SEC 1, not encrypted)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Also require that the workload runs this image
    #[arg(long, value_name = "IMAGE@DIGEST")]
    image: Option<String>,
    /// File to send once the endpoint is verified; - is stdin
    #[arg(long, value_name = "FILE", requires = "message")]
    send: Option<PathBuf>,
    /// Id of the message, unique for this collaborator: the same id counts once, so sending again is safe
    #[arg(long, value_name = "ID", requires = "send")]
    message: Option<String>,
}

/// The steps: 1. TLS 1.3 under the collaborator's server name, with its certificate. 2. The endpoint's token names this
/// connection, and verifies under the contract's issuer. 3. Its claims, and the signatures and attestations of the image
/// that it names, pass what the boot checks. 4. Only now is anything sent.
pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let roster = Roster::of_contract(&contract)?;
    let image = args.image.as_deref().map(Pinned::parse).transpose()?;
    let server_name = server_name(&contract, &args.collaborator)?;
    let message = args.send.as_ref().zip(args.message.as_ref()).map(|(path, id)| message(path, id)).transpose()?;
    // 1.
    let address = resolve(&args.address, &contract)?;
    let mut connection = Connection::open(address, &server_name, identity(args)?).await?;
    // 2.
    let token = token(&mut connection).await?;
    let keys = keys(&contract, context).await?;
    let now = u64::try_from(context.now()).unwrap_or_default();
    let expected = Expected {
        issuer: contract.environment.issuer(),
        audience: &contract.ingest_audience(),
        nonce: Some(connection.binding()),
        now,
        leeway: LEEWAY,
    };
    let mut check = BootCheck::new(&contract, &roster, &token, &keys, &expected).map_err(|error| {
        Failure::rejected(format_args!("{} is not the attested workload: {error}", args.address))
            .hint("a nonce of another connection means that somebody stands between; send nothing")
    })?;
    // 3.
    if image.as_ref().is_some_and(|image| image != check.pinned()) {
        return Err(Failure::rejected(format_args!("the workload runs {}, not the image asked for", check.pinned())));
    }
    if check.platform_holds() {
        let client = context.registry()?;
        let place = Place::Registry(&client, context.attachments_of(check.pinned()));
        let policies = ContractPolicy::of_contract(&contract, now)?;
        evidence::gather_boot(&place, &mut check, &policies).await;
    }
    let (pinned, report) = (check.pinned().clone(), check.report());
    let verdict = report.verdict();
    // 4.
    let answer = match (verdict, message) {
        (Verdict::Verified, Some((path, body))) => Some(send(&mut connection, &path, body).await?),
        _ => None,
    };
    print(&Outcome { verdict, image: &pinned, endpoint: &args.address, report: &report, answer }, context)
}

/// What is printed.
#[derive(serde::Serialize)]
struct Outcome<'a> {
    verdict: Verdict,
    endpoint: &'a str,
    image: &'a Pinned,
    report: &'a BootReport,
    /// What the workload says about the message; `None` if none was sent.
    answer: Option<Value>,
}

fn print(outcome: &Outcome<'_>, context: &Context) -> CommandResult {
    let text = || {
        let verdict = match outcome.verdict {
            Verdict::Verified => "VERIFIED",
            Verdict::Rejected => "REJECTED",
            Verdict::CouldNotCheck => "COULD NOT CHECK",
        };
        let status = outcome.answer.as_ref().and_then(|answer| answer.get("status")).and_then(Value::as_str);
        let sent = status.map(|status| format!("message {}\n", printable(status, 40))).unwrap_or_default();
        format!("{}{verdict} {} is {}\n{sent}", outcome.report.table(), outcome.endpoint, outcome.image)
    };
    context.print(outcome, text)?;
    if outcome.verdict != Verdict::Verified {
        context.note("hint: nothing was sent; what is REFUSED must change, what is UNCHECKED could not be read");
    }
    Ok(ExitStatus::from(outcome.verdict))
}

fn server_name(contract: &Contract, name: &str) -> Result<String, Failure> {
    let found = contract.collaborator(name).and_then(|(_, collaborator)| collaborator.ingest.as_ref());
    found.map(|ingest| ingest.server_name.clone()).ok_or_else(|| {
        let all = contract.collaborators().filter(|(_, collaborator)| collaborator.ingest.is_some());
        let names: Vec<&str> = all.map(|(party, _)| party.name.as_str()).collect();
        Failure::usage(format_args!("the contract has no collaborator {name:?} that sends over TLS"))
            .hint(format_args!("it has: {}", names.join(", ")))
    })
}

/// What a simulated contract is about stays on this machine.
fn resolve(text: &str, contract: &Contract) -> Result<SocketAddr, Failure> {
    let mut addresses = text.to_socket_addrs().map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => Failure::usage(format_args!("{text} is not HOST:PORT: {error}")),
        _ => Failure::could_not_check(format_args!("resolving {text}: {error}")),
    })?;
    let address = addresses.next().ok_or_else(|| Failure::could_not_check(format_args!("{text} has no address")))?;
    if contract.environment.is_simulated() && !address.ip().is_loopback() {
        return Err(Failure::usage(format_args!("the contract is simulated, and {text} is not on this machine")));
    }
    Ok(address)
}

fn identity(args: &Args) -> Result<Identity, Failure> {
    let bad = |path: &Path, error: rustls_pki_types::pem::Error| {
        Failure::usage(format_args!("{}: {error:?}", path.display())).hint("both files are PEM, the key not encrypted")
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(&args.cert)?)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(&args.cert, error))?;
    if certificates.is_empty() {
        return Err(Failure::usage(format_args!("{} holds no certificate", args.cert.display())));
    }
    let key = zeroize::Zeroizing::new(read(&args.key)?);
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| bad(&args.key, error))?;
    Ok(Identity { certificates, key })
}

fn message(path: &Path, id: &str) -> Result<(String, Bytes), Failure> {
    if !is_message_id(id) {
        return Err(Failure::usage(format_args!("{id:?} is no message id: 1 to 128 of A-Z a-z 0-9 . _ -")));
    }
    Ok((format!("/messages/{id}"), Bytes::from(read(path)?)))
}

async fn token(connection: &mut Connection) -> Result<String, Failure> {
    match connection.ask(Method::GET, "/connect", Bytes::new()).await? {
        (StatusCode::OK, body) => Ok(String::from_utf8_lossy(&body).trim().to_owned()),
        (status, body) => {
            Err(Failure::could_not_check(format_args!("the endpoint gives no token ({status}): {}", code(&body))))
        }
    }
}

/// What the token's signature is verified with: what the contract's kind of token and its pins say.
async fn keys(contract: &Contract, context: &Context) -> Result<Keys, Failure> {
    let pin = |text: &str| Failure::usage(format_args!("the contract pins {text:?}, which is no pin"));
    match (&contract.environment, contract.attestation.token) {
        (Environment::Google {}, TokenKind::Pki) => Ok(PkiRoots::google().into()),
        (Environment::Simulated { issuer_roots, .. }, TokenKind::Pki) => {
            let pins = issuer_roots.iter().map(|text| RootPin::parse(text).ok_or_else(|| pin(text)));
            Ok(PkiRoots::pinned(pins.collect::<Result<Vec<_>, _>>()?).into())
        }
        (Environment::Google {}, _) => Ok(issuer::jwks(contract.environment.issuer(), context).await?.into()),
        (Environment::Simulated { issuer_keys, issuer, .. }, _) => {
            let pins = issuer_keys.iter().map(|text| Thumbprint::parse(text).ok_or_else(|| pin(text)));
            let pins = pins.collect::<Result<Vec<_>, _>>()?;
            Ok(issuer::jwks(issuer, context).await?.pinned(&pins).map_err(Failure::rejected)?.into())
        }
    }
}

async fn send(connection: &mut Connection, path: &str, body: Bytes) -> Result<Value, Failure> {
    match connection.ask(Method::POST, path, body).await? {
        (StatusCode::OK, body) => csign_oci::json::value_from_slice(&body)
            .map_err(|error| Failure::could_not_check(format_args!("the workload's answer: {error}"))),
        (status, body) if status.is_client_error() => {
            Err(Failure::rejected(format_args!("the workload refuses the message ({status}): {}", code(&body))))
        }
        (status, body) => Err(Failure::could_not_check(format_args!(
            "the workload did not count the message ({status}): {}",
            code(&body)
        ))
        .hint("send it again under the same id: it counts once")),
    }
}

/// The reason code of an answer, or its words.
fn code(body: &[u8]) -> String {
    let parsed = csign_oci::json::value_from_slice(body).ok();
    let code = parsed.as_ref().and_then(|answer| answer.get("error")).and_then(Value::as_str);
    printable(code.unwrap_or(&String::from_utf8_lossy(body)), 200)
}
