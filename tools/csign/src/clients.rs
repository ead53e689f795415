//! Clients made from the environment: the registry, signers, Google.

use std::{io::IsTerminal as _, path::Path, sync::Arc};

use csign_keys::{GcpClientOptions, KeyUri, KeysError, OpenOptions, Password, Secret, Signer};
use csign_registry::{Client, DockerConfig};

use crate::{
    commands::KeyArgs,
    context::{Context, read},
    credentials::Logins,
    failure::Failure,
};

impl Context {
    /// A registry client with this user's logins and certificates.
    pub(crate) fn registry(&self) -> Result<Client, Failure> {
        let environment = &self.environment;
        let mut builder = Client::builder().credentials(Arc::new(Logins {
            docker: environment.docker_config.as_ref().map(DockerConfig::new),
            access_token: environment.access_token.clone(),
        }));
        builder = builder.attached_elsewhere(environment.cosign_repository.is_some());
        if let Some(address) = environment.simulator {
            builder = builder.simulator(address);
        }
        if let Some(path) = &environment.ca_file {
            builder = builder.authorities(read(path)?);
        }
        Ok(builder.build()?)
    }

    /// Google, or the simulator that stands for it when `simulated`.
    pub(crate) fn google(&self, simulated: bool) -> Result<GcpClientOptions, Failure> {
        if !simulated {
            return Ok(match &self.environment.access_token {
                Some(token) => GcpClientOptions::access_token(Secret::new(token.clone())?),
                None => GcpClientOptions::application_default(),
            });
        }
        let (Some(address), Some(token)) = (self.environment.simulator, &self.environment.access_token) else {
            return Err(Failure::usage("the contract is simulated, but where the simulator is was not given")
                .hint("set CSIGN_SIMULATOR and GOOGLE_OAUTH_ACCESS_TOKEN to what simulator up prints"));
        };
        Ok(GcpClientOptions::simulator(address, Secret::new(token.clone())?)?)
    }

    /// Opens the key to sign with. Under CSIGN_SIMULATOR, gcpkms:// keys are the simulator's.
    pub(crate) async fn signer(&self, args: &KeyArgs) -> Result<Signer, Failure> {
        let simulator = self.environment.simulator.filter(|_| self.environment.access_token.is_some());
        if let (Some(address), KeyUri::GcpKms(_)) = (simulator, &args.key) {
            self.note(format_args!("note: the key is the simulator's at {address}, not Google's"));
        }
        let google = self.google(simulator.is_some())?;
        let password = |_: &Path| self.password(args.password_file.as_deref());
        Ok(Signer::open(&args.key, &OpenOptions { password: &password, google: &google }).await?)
    }
}

impl Context {
    /// A private key's password: the file, else `COSIGN_PASSWORD`, else a prompt where there is a terminal.
    pub(crate) fn password(&self, file: Option<&Path>) -> Result<Password, KeysError> {
        if let Some(path) = file {
            let contents = std::fs::read(path).map_err(|source| KeysError::Io {
                doing: "reading password file",
                path: path.to_owned(),
                source,
            })?;
            return Ok(Password::from_file_contents(contents));
        }
        if let Some(password) = &self.environment.password {
            return Ok(Password::new(password.as_bytes()));
        }
        prompt("Password of the private key: ")
    }
}

/// Asks on the terminal, without echo.
pub(crate) fn prompt(question: &str) -> Result<Password, KeysError> {
    if !std::io::stdin().is_terminal() {
        return Err(KeysError::NoPassword("there is no terminal to ask on".to_owned()));
    }
    rpassword::prompt_password(question)
        .map(Password::new)
        .map_err(|error| KeysError::NoPassword(format!("asking on the terminal: {error}")))
}
