//! Clients made from the environment: the registry, signers, Google.

use std::{io::IsTerminal as _, path::Path, sync::Arc, time::SystemTime};

use csign_keys::{
    AwsOptions, GcpClientOptions, KeyUri, KeysError, OpenOptions, Password, PluginOptions, Secret, Signer,
    TransitOptions,
};
use csign_oci::{Pinned, Reference};
use csign_registry::{Client, DockerConfig, Source};

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
        if let Some(proxy) = &environment.https_proxy {
            builder = builder.https_proxy(proxy).no_proxy(environment.no_proxy.clone().unwrap_or_default());
        }
        if let Some(path) = &environment.ca_file {
            builder = builder.authorities(read(path)?);
        }
        Ok(builder.build()?)
    }

    /// An image and what is attached beside it. `COSIGN_REPOSITORY` is not followed here, which a person is told.
    pub(crate) async fn source(&self, client: &Client, image: &Pinned) -> Result<Source, Failure> {
        if let Some(elsewhere) = &self.environment.cosign_repository {
            self.note(format_args!(
                "warning: this command reads what is attached beside the image, not what is in COSIGN_REPOSITORY ({elsewhere})"
            ));
        }
        Ok(Source::registry(client, image).await?)
    }

    /// The image that `reference` names; for a tag, what it names now, which a person is told.
    pub(crate) async fn resolve(&self, client: &Client, reference: &Reference) -> Result<Pinned, Failure> {
        match reference {
            Reference::Pinned(pinned) => Ok(pinned.clone()),
            Reference::Tagged(repository, tag) => {
                let digest = client.resolve(repository, tag).await?;
                self.note(format_args!("{repository}:{tag} is {digest} now"));
                Ok(repository.at(digest))
            }
        }
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
        let password = |_: &Path| self.password(args.password_file.as_deref());
        let services = self.key_services(&args.key)?;
        let signer = Signer::open(&args.key, &services.options(&password)).await?;
        match args.key_algorithm {
            Some(algorithm) => Ok(signer.with_algorithm(algorithm)?),
            None => Ok(signer),
        }
    }

    /// What is needed to reach the provider of this key. The settings of the others are not looked at: a mistake there
    /// must not matter here.
    pub(crate) fn key_services(&self, key: &KeyUri) -> Result<KeyServices, Failure> {
        let simulator = self.environment.simulator.filter(|_| self.environment.access_token.is_some());
        if let (Some(address), KeyUri::GcpKms(_)) = (simulator, key) {
            self.note(format_args!("note: the key is the simulator's at {address}, not Google's"));
        }
        let keys = &self.environment.keys;
        Ok(KeyServices {
            google: self.google(simulator.is_some())?,
            transit: if let KeyUri::Transit(_) = key { keys.transit()? } else { TransitOptions::default() },
            aws: if let KeyUri::AwsKms(_) = key { keys.aws()? } else { AwsOptions::new(SystemTime::now) },
            plugins: keys.plugins(),
        })
    }
}

/// How key providers are reached.
pub(crate) struct KeyServices {
    google: GcpClientOptions,
    transit: TransitOptions,
    aws: AwsOptions,
    plugins: PluginOptions,
}

impl KeyServices {
    /// What [`Signer::open`] and [`csign_keys::public_key`] take.
    pub(crate) fn options<'a>(
        &'a self,
        password: &'a (dyn Fn(&Path) -> Result<Password, KeysError> + Sync),
    ) -> OpenOptions<'a> {
        OpenOptions { password, google: &self.google, transit: &self.transit, aws: &self.aws, plugins: &self.plugins }
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
