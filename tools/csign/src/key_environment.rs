//! The environment variables of key providers, with the names that cosign and the providers' own tools give them.

use std::{collections::BTreeMap, env, ffi::OsString, path::PathBuf, time::SystemTime};

use csign_keys::{AwsOptions, KeysError, PluginOptions, Secret, TransitOptions, TransitServer};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Every variable that is read for key providers, besides `PATH` (programs of other providers) and `HOME` (for
/// `~/.vault-token`, `~/.aws/config` and `~/.aws/credentials`).
const VARIABLES: [&str; 31] = [
    // hashivault://
    "VAULT_ADDR",
    "VAULT_TOKEN",
    "VAULT_NAMESPACE",
    "VAULT_CACERT",
    // openbao://
    "BAO_ADDR",
    "BAO_TOKEN",
    "BAO_NAMESPACE",
    "BAO_CACERT",
    // Both.
    "TRANSIT_SECRET_ENGINE_PATH",
    // awskms://
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
];
/// Where AWS gives credentials to containers and virtual machines.
const CONTAINER: &str = "http://169.254.170.2";
const METADATA: &str = "http://169.254.169.254";

/// What they are set to; an empty variable counts as not set.
#[derive(Default)]
pub(crate) struct KeyEnvironment {
    values: BTreeMap<&'static str, Zeroizing<String>>,
    home: Option<PathBuf>,
    path: OsString,
}

impl KeyEnvironment {
    /// Reads the process's environment.
    pub(crate) fn from_process() -> Result<Self, Failure> {
        let mut values = BTreeMap::new();
        for name in VARIABLES {
            match env::var(name) {
                Ok(value) if !value.is_empty() => drop(values.insert(name, Zeroizing::new(value))),
                Ok(_) | Err(env::VarError::NotPresent) => {}
                Err(env::VarError::NotUnicode(_)) => {
                    return Err(Failure::usage(format_args!("{name} is not UTF-8")));
                }
            }
        }
        let home = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        Ok(Self { values, home, path: env::var_os("PATH").unwrap_or_default() })
    }

    /// For `hashivault://` and `openbao://`.
    pub(crate) fn transit(&self) -> Result<TransitOptions, KeysError> {
        let server = |address, token, namespace, authorities| -> Result<TransitServer, KeysError> {
            Ok(TransitServer {
                address: self.text(address),
                token: self.secret(token)?,
                namespace: self.text(namespace),
                authorities: self.file(authorities),
            })
        };
        Ok(TransitOptions {
            vault: server("VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_CACERT")?,
            openbao: server("BAO_ADDR", "BAO_TOKEN", "BAO_NAMESPACE", "BAO_CACERT")?,
            mount: self.text("TRANSIT_SECRET_ENGINE_PATH"),
            token_file: self.home.as_ref().map(|home| home.join(".vault-token")),
        })
    }

    /// For `awskms://`.
    pub(crate) fn aws(&self) -> Result<AwsOptions, KeysError> {
        let home = |name: &str| self.home.as_ref().map(|home| home.join(".aws").join(name));
        let configured = self.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") != Some("true");
        let endpoint = |name| self.text(name).or_else(|| self.text("AWS_ENDPOINT_URL")).filter(|_| configured);
        let relative = || Some(format!("{CONTAINER}{}", self.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?));
        let metadata = self.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(METADATA).to_owned();
        Ok(AwsOptions {
            access_key_id: self.text("AWS_ACCESS_KEY_ID"),
            secret_access_key: self.secret("AWS_SECRET_ACCESS_KEY")?,
            session_token: self.secret("AWS_SESSION_TOKEN")?,
            region: self.text("AWS_REGION").or_else(|| self.text("AWS_DEFAULT_REGION")),
            profile: self.text("AWS_PROFILE"),
            credentials_file: self.file("AWS_SHARED_CREDENTIALS_FILE").or_else(|| home("credentials")),
            config_file: self.file("AWS_CONFIG_FILE").or_else(|| home("config")),
            web_identity_token_file: self.file("AWS_WEB_IDENTITY_TOKEN_FILE"),
            role_arn: self.text("AWS_ROLE_ARN"),
            role_session_name: self.text("AWS_ROLE_SESSION_NAME"),
            container_uri: relative().or_else(|| self.text("AWS_CONTAINER_CREDENTIALS_FULL_URI")),
            container_token: self.secret("AWS_CONTAINER_AUTHORIZATION_TOKEN")?,
            container_token_file: self.file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            metadata_endpoint: Some(metadata).filter(|_| self.get("AWS_EC2_METADATA_DISABLED") != Some("true")),
            endpoint: endpoint("AWS_ENDPOINT_URL_KMS"),
            sts_endpoint: endpoint("AWS_ENDPOINT_URL_STS"),
            authorities: self.file("AWS_CA_BUNDLE"),
            now: SystemTime::now,
        })
    }

    /// For all other schemes.
    pub(crate) fn plugins(&self) -> PluginOptions {
        PluginOptions { path: self.path.clone(), ..PluginOptions::default() }
    }

    fn get(&self, name: &'static str) -> Option<&str> {
        debug_assert!(VARIABLES.contains(&name), "{name} is not in the list");
        self.values.get(name).map(|value| value.as_str())
    }

    fn text(&self, name: &'static str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn file(&self, name: &'static str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    fn secret(&self, name: &'static str) -> Result<Option<Secret>, KeysError> {
        self.get(name).map(Secret::new).transpose()
    }
}
