//! Real registries on loopback, each on a port that the system picks.

use std::{fs, net::SocketAddr, process::Command};

use simulator::{Config, Simulator};
use tokio::runtime::Runtime;

use crate::{
    peer::peer,
    process::{Bench, Finished, Server},
};

/// A running registry; it ends when this is dropped.
#[derive(Debug)]
pub struct Registry {
    /// Where it listens.
    pub address: SocketAddr,
    _running: Running,
}

#[derive(Debug)]
#[allow(dead_code, reason = "held until it is dropped")]
enum Running {
    Program(Server),
    ProgramWithFiles(Server, Bench),
    Simulated(Box<Simulator>, Runtime),
}

impl Registry {
    /// OCI 1.1 with the referrers API: the simulator's registry, which runs in this process. None of the peers' registries
    /// has that API.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_referrers() -> Option<Self> {
        let runtime = Runtime::new().expect("starting the simulator's threads");
        let simulator = runtime.block_on(Simulator::start(Config::default())).expect("starting the simulator");
        Some(Self::on(simulator.address().port(), Running::Simulated(Box::new(simulator), runtime)))
    }

    /// OCI 1.1 without the referrers API, in memory: `crane registry serve`.
    pub fn crane() -> Option<Self> {
        let mut command = Command::new(peer("crane")?);
        command.args(["registry", "serve", "--address", "127.0.0.1:0"]);
        let (server, port) =
            Server::start(&mut command, |line| line.split_once("serving on port ")?.1.trim().parse().ok());
        Some(Self::on(port, Running::Program(server)))
    }

    fn on(port: u16, running: Running) -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), _running: running }
    }

    /// OCI 1.0 without a referrers API: `docker-registry`.
    pub fn without_referrers() -> Option<Self> {
        Self::distribution(None)
    }

    /// The same, behind basic authentication with this user and password.
    pub fn with_password(user: &str, password: &str) -> Option<Self> {
        Self::distribution(Some((user, password)))
    }

    fn distribution(login: Option<(&str, &str)>) -> Option<Self> {
        let program = peer("docker-registry")?;
        let files = Bench::new();
        let root = files.path("storage");
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root:?}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"127.0.0.1:0\", secret: test}}\n"
        );
        if let Some((user, password)) = login {
            let line = Finished::of(files.command(peer("htpasswd")?).args(["-nbB", user, password])).success();
            let path = files.path("htpasswd");
            fs::write(&path, line.trim()).expect("writing the password file");
            config += &format!("auth: {{htpasswd: {{realm: test, path: {path:?}}}}}\n");
        }
        let config_path = files.path("config.yml");
        fs::write(&config_path, config).expect("writing the registry's configuration");
        let (server, port) = Server::start(files.command(program).arg("serve").arg(config_path), |line| {
            line.split_once("listening on 127.0.0.1:")?.1.split('"').next()?.parse().ok()
        });
        Some(Self::on(port, Running::ProgramWithFiles(server, files)))
    }
}
