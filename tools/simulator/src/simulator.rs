//! The simulator as a whole: its services, wired together, behind one loopback port.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
    routing::any,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    AuditEntry, Clock, Config, Error, Launcher, Result, Running,
    attestation::{self, Issuer},
    audit::Audit,
    chaos::{self, Chaos},
    console::{self, Console, Control, Launch},
    faults::{self, Faults},
    gcloud::Gcloud,
    iam::{self, Iam, Identity, hex},
    kms::{self, Kms},
    launcher::{self, Instances},
    metadata_server::{self, MetadataServer},
    pubsub::{
        self, PubSub,
        emulator::{self, Emulator},
    },
    registry::Registry,
    respond::{self, ApiError, Code, Rest},
    secrets::{self, Secrets},
    server::Server,
    storage::{self, Storage},
    sts::{self, Sts},
    tls::{Authority, Gate},
};

/// A running simulator. Dropping it closes its port and every connection.
pub struct Simulator {
    address: SocketAddr,
    server: Server,
    services: Services,
    launcher: Launcher,
    control: Control,
    authority: Option<Authority>,
}

#[derive(Clone)]
pub(crate) struct Services {
    /// Differs from every other simulator's, so that who follows the log notices a new one on the same port.
    pub(crate) run: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) audit: Audit,
    pub(crate) iam: Iam,
    pub(crate) issuer: Issuer,
    pub(crate) sts: Sts,
    pub(crate) kms: Kms,
    pub(crate) instances: Instances,
    secrets: Secrets,
    pub(crate) storage: Storage,
    pubsub: PubSub,
    emulator: Option<Emulator>,
    registry: Registry,
    metadata: MetadataServer,
    faults: Faults,
    chaos: Chaos,
}

/// Where images are unpacked: a directory of the caller's, or one that goes away with the simulator.
#[derive(Debug)]
pub(crate) enum WorkDir {
    Given(PathBuf),
    Temporary(TempDir),
}

impl WorkDir {
    pub(crate) fn path(&self) -> &std::path::Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Starts all services on one loopback port: the configured one, or one that the system picks.
    ///
    /// # Errors
    /// A configuration that contradicts itself; no port; no directory.
    pub async fn start(config: Config) -> Result<Self> {
        let clock = Clock::default();
        let audit = Audit::new(clock.clone());
        if let Some(path) = &config.audit_log {
            audit.write_to(path)?;
        }
        let iam = Iam::new(clock.clone(), audit.clone());
        let issuer = Issuer::new(config.issuer.clone(), &config.attestation_seed, clock.clone(), audit.clone())?;
        let mut run = [0; 8];
        getrandom::fill(&mut run).map_err(|e| Error::Key(format!("no randomness: {e}")))?;
        let services = Services {
            run: hex(&run).into(),
            instances: Instances::default(),
            sts: Sts::new(issuer.clone(), iam.clone(), clock.clone(), audit.clone()),
            kms: Kms::new(&config.kms_seed, iam.clone(), clock.clone()),
            secrets: Secrets::new(iam.clone(), clock.clone()),
            storage: Storage::new(iam.clone(), clock.clone())?,
            pubsub: PubSub::new(iam.clone(), audit.clone(), clock.clone()),
            emulator: Emulator::of(&config.pubsub, &audit).await?,
            registry: Registry::audited(config.registry.clone(), audit.clone()),
            metadata: MetadataServer::new(config.metadata_identity.clone(), iam.clone(), audit.clone()),
            faults: Faults::default(),
            chaos: Chaos::new(config.faults.clone()),
            clock,
            audit,
            iam,
            issuer,
        };
        services.configure(&config).await?;
        let work_dir = match config.work_dir.clone() {
            Some(path) => WorkDir::Given(path),
            None => WorkDir::Temporary(TempDir::new().map_err(Error::io("creating the launcher's directory"))?),
        };
        let listener = TcpListener::bind(("127.0.0.1", config.port)).await;
        let listener = listener.map_err(Error::io(format!("listening on 127.0.0.1, port {}", config.port)))?;
        let address = listener.local_addr().map_err(Error::io("asking for the port"))?;
        let launcher = Launcher::new(launcher::Setting {
            registry: address,
            issuer: services.issuer.clone(),
            audit: services.audit.clone(),
            work_dir: Arc::new(work_dir),
            root_helper: config.root_helper.clone(),
            metadata: services.metadata.identity().clone(),
            instances: services.instances.clone(),
        });
        let gcloud = Gcloud::new(&config, &services);
        let control = Control::new(launcher.clone(), config.machine.into(), config.client)?;
        let console = Console { services: services.clone(), control: control.clone(), gcloud };
        let router = services.router().merge(console::routes(console));
        let authority = config.tls.map(|tls| Authority::new(tls.seed.as_deref())).transpose()?;
        let gate = authority.as_ref().map(|authority| Gate::new(authority, router.clone(), services.audit.clone()));
        let server = Server::tcp(listener, router, gate);
        Ok(Self { address, server, services, launcher, control, authority })
    }

    /// Where everything listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, the endpoint of every service.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops serving and waits until the port is closed.
    pub async fn shutdown(self) {
        self.server.stop().await;
    }

    /// RFC 7638 thumbprints of the attestation issuer's keys: what a simulated contract pins.
    pub fn issuer_key_thumbprints(&self) -> Vec<String> {
        self.services.issuer.key_thumbprints()
    }

    /// An access token for a person or service account, for instance `user:alice@example.com`: what a login would
    /// give them. It may do nothing until [`Iam::bind`] says so.
    ///
    /// # Errors
    /// A member of another form; no randomness.
    pub fn admin_token(&self, principal: &str) -> Result<String> {
        let named = ["user:", "serviceAccount:"].iter().find_map(|kind| principal.strip_prefix(kind));
        if named.is_none_or(str::is_empty) {
            return Err(Error::Config(format!("{principal:?} is not user:EMAIL or serviceAccount:EMAIL")));
        }
        self.services.iam.issue(Identity::Member(principal.to_owned()))
    }

    /// The token for what starts programs or makes subject tokens, below `/simulator/`: a secret of whoever started this.
    pub fn control_token(&self) -> &str {
        self.control.token()
    }

    /// The certificate authority of the TLS endpoints, if the configuration asks for them.
    pub fn ca_pem(&self) -> Option<&str> {
        self.authority.as_ref().map(Authority::pem)
    }

    /// Launches what instance metadata say, on the configured machine with these differences.
    ///
    /// # Errors
    /// As [`LaunchRequest::from_metadata`] and [`Launcher::launch`].
    pub async fn launch(&self, launch: Launch) -> Result<Running> {
        self.control.launch(launch).await
    }

    /// Why the audit log's file lacks entries, if it does.
    pub fn audit_file_error(&self) -> Option<String> {
        self.services.audit.file_error()
    }

    /// Every decision so far, up to the [`audit::CAPACITY`](crate::audit::CAPACITY) newest.
    pub fn audit(&self) -> Vec<AuditEntry> {
        self.services.audit.entries()
    }

    /// The clock of all services.
    pub fn clock(&self) -> &Clock {
        &self.services.clock
    }

    /// Lets all tokens age.
    pub fn advance_clock(&self, by: Duration) {
        self.services.clock.advance(by);
    }

    /// IAM bindings.
    pub fn iam(&self) -> &Iam {
        &self.services.iam
    }

    /// The attestation issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.services.issuer
    }

    /// Workload identity providers.
    pub fn sts(&self) -> &Sts {
        &self.services.sts
    }

    /// Cloud KMS keys.
    pub fn kms(&self) -> &Kms {
        &self.services.kms
    }

    /// Secret Manager's secrets.
    pub fn secrets(&self) -> &Secrets {
        &self.services.secrets
    }

    /// Cloud Storage buckets and objects.
    pub fn storage(&self) -> &Storage {
        &self.services.storage
    }

    /// Pub/Sub topics and subscriptions; unused where an emulator serves Pub/Sub.
    pub fn pubsub(&self) -> &PubSub {
        &self.services.pubsub
    }

    /// The OCI registry.
    pub fn registry(&self) -> &Registry {
        &self.services.registry
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.services.faults
    }

    /// What goes wrong at random.
    pub fn chaos(&self) -> &Chaos {
        &self.services.chaos
    }

    /// Starts containers the way that a Confidential Space VM does.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }
}

impl Services {
    async fn configure(&self, config: &Config) -> Result<()> {
        for key in &config.keys {
            self.kms.create_key(&key.name, key.purpose)?;
        }
        for secret in &config.secrets {
            self.secrets.add(&secret.name, secret.data.as_bytes())?;
        }
        for bucket in &config.buckets {
            self.storage.create_bucket(bucket)?;
        }
        for binding in &config.bindings {
            if !Iam::knows(&binding.permission) {
                return Err(Error::Config(format!("{:?} is no permission or role", binding.permission)));
            }
            self.iam.bind(&binding.resource, &binding.permission, &binding.member);
        }
        for provider in &config.providers {
            self.sts.set_provider(provider.clone())?;
        }
        for topic in &config.topics {
            match &self.emulator {
                Some(emulator) => emulator.create_topic(topic).await?,
                None => self.pubsub.create_topic(topic)?,
            }
        }
        for subscription in &config.subscriptions {
            match &self.emulator {
                Some(emulator) => emulator.create_subscription(subscription).await?,
                None => self.pubsub.create_subscription(subscription)?,
            }
        }
        Ok(())
    }

    /// Answers a call below `/v1/`.
    pub(crate) fn rest(&self, call: &Rest<'_>) -> std::result::Result<serde_json::Value, ApiError> {
        let answer = self.iam.policy_rest(call);
        let answer = answer.or_else(|| self.iam.credentials_rest(call));
        let answer = answer.or_else(|| self.kms.rest(call)).or_else(|| self.secrets.rest(call));
        let unknown = || {
            Err(ApiError::new(Code::NotFound, format!("no simulated service knows {} {}", call.method, call.resource)))
        };
        answer.unwrap_or_else(unknown)
    }

    /// Pub/Sub, unless another program serves it.
    pub(crate) fn own_pubsub(&self) -> Option<&PubSub> {
        self.emulator.is_none().then_some(&self.pubsub)
    }

    /// Requests are told apart by path alone; the `Host` is whatever name the client knows.
    fn router(&self) -> Router {
        Router::new()
            .route("/v1/{*resource}", any(rest))
            .with_state(self.clone())
            .merge(sts::routes(&self.sts))
            .merge(metadata_server::routes(&self.metadata))
            .merge(attestation::routes(&self.issuer))
            .merge(iam::routes(&self.iam))
            .merge(kms::routes(&self.kms))
            .merge(secrets::routes(&self.secrets))
            .merge(storage::routes(&self.storage))
            .merge(self.emulator.as_ref().map_or_else(|| pubsub::routes(&self.pubsub), emulator::routes))
            .merge(self.registry.router())
            .layer(axum::middleware::from_fn_with_state(self.faults.clone(), faults::apply))
            .layer(axum::middleware::from_fn_with_state(self.chaos.clone(), chaos::apply))
    }
}

/// Largest body of a call below `/v1/`, in bytes.
const MAX_REST: usize = 512 * 1024;

/// Google's REST services below `/v1/`, which share this prefix: Cloud KMS, Secret Manager, IAM and its credentials.
async fn rest(State(services): State<Services>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match respond::body(body, MAX_REST).await {
        Ok(body) => body,
        Err(error) => return error.into_http(),
    };
    let call = Rest {
        method: &parts.method,
        resource: parts.uri.path().strip_prefix("/v1/").unwrap_or_default(),
        query: parts.uri.query(),
        token: respond::bearer(&parts.headers),
        body: &body,
    };
    match services.rest(&call) {
        Ok(reply) => respond::json(StatusCode::OK, &reply),
        Err(error) => error.into_http(),
    }
}
