//! The boot: from the contract in the image to a `Verified<Boot>`, or to the reason why not.

use std::{io, path::PathBuf, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_attestation::{Claims, Expected, JwksError, Keys, Token, TokenError};
use csign_contract::{Contract, ContractError};
use csign_policy::{ContractPolicy, ContractPolicyError};
use csign_trust::{Boot, BootCheck, BootReport, ExitStatus, Refused, Roster, RosterError, Verified};

use crate::{
    endpoints::{EndpointError, Endpoints},
    ingest::IdentityError,
    issuer::{self, IssuerError},
    launcher::{DEFAULT_AUDIENCE, Launcher, LauncherError, TokenType},
    log::Log,
    registry,
    setting::Setting,
    state::StateError,
};

/// Audience of the token that the workload verifies itself; no service accepts it.
const BOOT_AUDIENCE: &str = "https://csign.dev/workload/boot";

/// By how many seconds the issuer's clock may differ.
const LEEWAY: u32 = 30;

/// Why the workload does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The contract cannot be read.
    #[error("reading the contract {}: {source}", path.display())]
    ReadContract {
        /// Where it should be.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The contract makes no sense.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The contract's parties make no sense.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The contract's policies make no sense.
    #[error(transparent)]
    Policy(#[from] ContractPolicyError),
    /// There is nobody to talk to.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no token.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// There is no randomness for a nonce, or the clock stands before 1970.
    #[error("{0}")]
    Machine(&'static str),
    /// There are no keys to verify the token with.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The token does not verify.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token verifies, and what it or the registry says is not enough.
    #[error(transparent)]
    Refused(#[from] Box<Refused<BootReport>>),
    /// A port that the contract names cannot be had.
    #[error("listening on the {port} port: {source}")]
    Listen {
        /// `health` or `ingest`.
        port: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The ingest endpoint cannot be set up.
    #[error(transparent)]
    Ingest(#[from] IdentityError),
    /// Messages could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

impl BootError {
    /// Untrusted, wrongly called, or could not check.
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::ReadContract { .. } | Self::Contract(_) | Self::Roster(_) | Self::Policy(_) | Self::Endpoint(_) => {
                ExitStatus::Usage
            }
            Self::Issuer(IssuerError::Pin(_) | IssuerError::Root(_)) => ExitStatus::Usage,
            Self::Token(_) | Self::Issuer(IssuerError::Document(_) | IssuerError::Endpoint(_)) => ExitStatus::Rejected,
            Self::Ingest(IdentityError::Authority { .. }) => ExitStatus::Usage,
            Self::Launcher(_)
            | Self::Machine(_)
            | Self::Ingest(IdentityError::Key(_))
            | Self::Listen { .. }
            | Self::Issuer(IssuerError::Fetch { .. }) => ExitStatus::CouldNotCheck,
            Self::State(error) => error.status(),
            Self::Refused(refused) => refused.verdict.into(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::ReadContract { .. } => "csign build puts the contract into the image; was the image built by it?",
            Self::Contract(_) | Self::Roster(_) | Self::Policy(_) => {
                "correct the contract, then build and have it signed again"
            }
            Self::Endpoint(_) => "start the workload through the simulator's launcher",
            Self::Launcher(LauncherError::Absent { .. }) => "the workload runs in Confidential Space only",
            Self::Launcher(_) => "look at the launcher's log; starting again may help",
            Self::Ingest(_) => "client_ca is the PEM certificate of the authority that signs the clients' certificates",
            Self::Listen { .. } => "the contract names the port; does something else listen on it?",
            Self::Machine(_) => "look at the machine's kernel log and clock",
            Self::Issuer(IssuerError::Document(JwksError::NonePinned(_))) => {
                "the contract pins another issuer's keys: it was made for another simulator"
            }
            Self::Issuer(_) => "check that the issuer can be reached from the machine",
            Self::Token(error) => {
                error.hint().unwrap_or("the token is not one for this contract; see the reason above")
            }
            Self::Refused(_) => "see the table: what is REFUSED must change, what is UNCHECKED could not be read",
            Self::State(error) => error.hint(),
        }
    }
}

/// Decides whether the workload may start.
///
/// 1. Read the contract from the image. 2. Get a token from the launcher with a fresh nonce, or the default one where
///    there is no socket; meanwhile fetch the issuer's keys; or a PKI token, or both, as the contract wants. 3. Verify the token and hold its claims against the
///    contract. 4. Take image and digest from it. 5. Gather signatures: the token's own, and the `.sig` tag where these
///    are not enough. 6. Every required party must have signed. 7. (Policies over attestations: not in this version.)
/// 8. Only then is there a `Verified<Boot>`.
///
/// # Errors
/// The first thing that is missing, or the report of everything that is.
pub async fn boot(setting: &Setting, log: &Log) -> Result<Verified<Boot>, BootError> {
    // 1.
    boot_under(&read_contract(setting)?, setting, log).await
}

/// The same under a contract that was read from the image.
pub(crate) async fn boot_under(contract: &Contract, setting: &Setting, log: &Log) -> Result<Verified<Boot>, BootError> {
    let roster = Roster::of_contract(contract)?;
    let policies = ContractPolicy::of_contract(contract, now()?)?;
    let endpoints = Endpoints::of(contract, setting.simulator.as_deref())?;
    if !setting.has_own_root() && !contract.environment.is_simulated() {
        return Err(EndpointError::MovedRoot.into());
    }
    if contract.environment.is_simulated() {
        log.error("the contract is simulated: nothing here is protected", &[]);
    }
    // 2.
    let launcher = Launcher::new(setting);
    let kind = contract.attestation.token;
    let (oidc, pki) = tokio::join!(
        wanted(kind.wants_oidc(), async {
            let (evidence, jwks) =
                tokio::join!(Evidence::obtain(&launcher, TokenType::Oidc), issuer::keys(contract, &endpoints));
            Ok((evidence?, Keys::from(jwks?)))
        }),
        wanted(kind.wants_pki(), async {
            let keys = Keys::from(issuer::roots(contract)?);
            Ok((Evidence::obtain(&launcher, TokenType::Pki).await?, keys))
        })
    );
    let (first, second) = match (oidc?, pki?) {
        (Some(oidc), pki) => (oidc, pki),
        (None, Some(pki)) => (pki, None),
        (None, None) => return Err(BootError::Machine("the contract wants no attestation token")),
    };
    // 3. and 4.
    let (evidence, keys) = &first;
    let unknown = |error: &BootError| matches!(error, BootError::Token(TokenError::UnknownKey(_)));
    let verify = |keys: &Keys| evidence.verify(contract, &roster, keys);
    let mut check = issuer::with_rotation(contract, &endpoints, keys, unknown, verify).await?;
    if let Some((evidence, keys)) = second {
        check.confirmed_by(&evidence.claims(contract, &keys)?);
    }
    // 5. and 7.
    if check.platform_holds() {
        registry::gather(&mut check, &policies, &endpoints).await;
    }
    // 6. and 8.
    Ok(check.report().into_verified()?)
}

pub(crate) fn read_contract(setting: &Setting) -> Result<Contract, BootError> {
    let path = setting.contract();
    let bytes = std::fs::read(&path).map_err(|source| BootError::ReadContract { path, source })?;
    Ok(Contract::from_canonical(&bytes)?)
}

/// The outcome of `work`, which is begun only if it is wanted.
async fn wanted<T>(wanted: bool, work: impl Future<Output = Result<T, BootError>>) -> Result<Option<T>, BootError> {
    if wanted { work.await.map(Some) } else { Ok(None) }
}

/// A token, and what it must say.
struct Evidence {
    token: Token,
    audience: &'static str,
    nonce: Option<String>,
}

impl Evidence {
    /// Without a socket there is only the default token, which is an OIDC token.
    async fn obtain(launcher: &Launcher, kind: TokenType) -> Result<Self, BootError> {
        if kind == TokenType::Oidc && !launcher.has_socket().await? {
            return Ok(Self { token: launcher.default_token().await?, audience: DEFAULT_AUDIENCE, nonce: None });
        }
        let nonce = fresh_nonce()?;
        let token = launcher.token_of(kind, BOOT_AUDIENCE, Some(&nonce)).await?;
        Ok(Self { token, audience: BOOT_AUDIENCE, nonce: Some(nonce) })
    }

    fn verify<'r>(&self, contract: &Contract, roster: &'r Roster, keys: &Keys) -> Result<BootCheck<'r>, BootError> {
        let expected = self.expected(contract)?;
        Ok(BootCheck::new(contract, roster, self.token.expose(), keys, &expected)?)
    }

    fn claims(&self, contract: &Contract, keys: &Keys) -> Result<Claims, BootError> {
        Ok(csign_attestation::verify(self.token.expose(), keys, &self.expected(contract)?)?)
    }

    fn expected<'a>(&'a self, contract: &'a Contract) -> Result<Expected<'a>, BootError> {
        Ok(Expected {
            issuer: contract.environment.issuer(),
            audience: self.audience,
            nonce: self.nonce.as_deref(),
            now: now()?,
            leeway: LEEWAY,
        })
    }
}

/// Seconds since 1970.
fn now() -> Result<u64, BootError> {
    let elapsed = SystemTime::UNIX_EPOCH.elapsed();
    Ok(elapsed.map_err(|_| BootError::Machine("the machine's clock stands before 1970"))?.as_secs())
}

/// 256 bits in 43 characters; Confidential Space takes 10 to 74.
fn fresh_nonce() -> Result<String, BootError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| BootError::Machine("the system gives no random bytes for a nonce"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}
