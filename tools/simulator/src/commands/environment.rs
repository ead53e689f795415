//! The environment that leads Google's clients, and ours, to a running simulator.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use simulator::{Config, Simulator};

use super::{Readers, Result, write};

/// How clients find the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Clients {
    /// By Google's own names, through the proxy and over TLS: for any program, unchanged and with real authentication
    Tls,
    /// By the emulator variables, in plain HTTP: Google's clients then send no credentials, so allUsers must be bound
    Emulator,
}

/// Names and values, in the order in which they are printed.
#[derive(Debug)]
pub(crate) struct Environment {
    variables: Vec<(&'static str, String)>,
    /// A directory of programs that come before those of PATH.
    programs: Option<PathBuf>,
}

impl Environment {
    /// Writes the files that the variables name, then says what the variables are.
    pub(crate) fn prepare(clients: Clients, simulator: &Simulator, config: &Config, directory: &Path) -> Result<Self> {
        let address = simulator.address();
        let mut variables = vec![
            ("CSIGN_SIMULATOR", address.to_string()),
            ("SIMULATOR_CONTROL", simulator.control_token().to_owned()),
            ("GOOGLE_CLOUD_PROJECT", config.project.clone()),
            ("CLOUDSDK_CORE_PROJECT", config.project.clone()),
            ("GCE_METADATA_HOST", address.to_string()),
        ];
        let ca = match simulator.ca_pem() {
            Some(pem) => Some(write_ca(pem, config, directory)?),
            None => None,
        };
        if let Some(credentials) = credentials(clients, simulator, config) {
            let path = directory.join("credentials.json");
            write(&path, format!("{credentials:#}\n"), Readers::Owner)?;
            let path = path.display().to_string();
            variables.push(("GOOGLE_APPLICATION_CREDENTIALS", path.clone()));
            variables.push(("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", path));
        }
        match (clients, ca) {
            (Clients::Tls, Some(ca)) => variables.extend(tls(&simulator.endpoint(), &ca)),
            (Clients::Tls, None) => return Err("the TLS endpoints are off, so clients need --clients emulator".into()),
            (Clients::Emulator, _) => variables.extend(emulator(&simulator.endpoint())),
        }
        Ok(Self { variables, programs: None })
    }

    /// Puts a `gcloud` before the others that works on this simulator. Its project is then the one that it is told.
    pub(crate) fn add_gcloud(&mut self, directory: &Path) -> Result<()> {
        let programs = directory.join("bin");
        std::fs::create_dir_all(&programs).map_err(|e| format!("creating {}: {e}", programs.display()))?;
        let own = std::env::current_exe()?;
        let script = format!("#!/bin/sh\nexec {} gcloud \"$@\"\n", quoted(&own.display().to_string()));
        write(&programs.join("gcloud"), script, Readers::Users)?;
        self.variables.retain(|(name, _)| *name != "CLOUDSDK_CORE_PROJECT");
        self.programs = Some(programs);
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        let path = self.programs.as_ref().map(|programs| {
            let present = std::env::var("PATH").unwrap_or_default();
            ("PATH".to_owned(), Value::from(format!("{}:{present}", programs.display())))
        });
        let variables = self.variables.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        variables.chain(path).collect()
    }

    /// Lines for a shell to read: `export NAME='value'`.
    pub(crate) fn shell(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.variables {
            let _ = writeln!(text, "export {name}={}", quoted(value));
        }
        if let Some(programs) = &self.programs {
            let _ = writeln!(text, "export PATH={}:\"$PATH\"", quoted(&programs.display().to_string()));
        }
        text
    }
}

/// In a shell's single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn write_ca(pem: &str, config: &Config, directory: &Path) -> Result<PathBuf> {
    let chosen = config.tls.as_ref().and_then(|tls| tls.ca_file.clone());
    let path = chosen.unwrap_or_else(|| directory.join("ca.pem"));
    write(&path, pem, Readers::Everyone)?;
    // Clients run in any directory.
    Ok(std::path::absolute(&path)?)
}

/// One variable for every place in which some client looks: Python and Go, curl, Node, gRPC, gcloud. gRPC reads the
/// lower-case name of the proxy's variable.
fn tls(endpoint: &str, ca: &Path) -> Vec<(&'static str, String)> {
    let proxies = ["HTTPS_PROXY", "https_proxy"].map(|name| (name, endpoint.to_owned()));
    let files = [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    ];
    proxies.into_iter().chain(files.map(|name| (name, ca.display().to_string()))).collect()
}

fn emulator(endpoint: &str) -> Vec<(&'static str, String)> {
    let host = endpoint.trim_start_matches("http://").to_owned();
    let overrides = [
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", "/"),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "/"),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB", "/"),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", "/"),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", "/storage/v1/"),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "/"),
    ];
    let mut variables = vec![("STORAGE_EMULATOR_HOST", endpoint.to_owned()), ("PUBSUB_EMULATOR_HOST", host)];
    variables.extend(overrides.map(|(name, path)| (name, format!("{endpoint}{path}"))));
    variables
}

/// An external-account file for the configured client, whose subject tokens the simulator itself hands out.
fn credentials(clients: Clients, simulator: &Simulator, config: &Config) -> Option<Value> {
    let client = config.client.as_ref()?;
    let endpoint = simulator.endpoint();
    let (sts, iam) = match clients {
        Clients::Tls => ("https://sts.googleapis.com", "https://iamcredentials.googleapis.com"),
        Clients::Emulator => (endpoint.as_str(), endpoint.as_str()),
    };
    let mut file = json!({
        "type": "external_account",
        "universe_domain": "googleapis.com",
        "audience": client.audience(),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{sts}/v1/token"),
        "credential_source": {
            "url": format!("{endpoint}/simulator/token"),
            "headers": {"Authorization": format!("Bearer {}", simulator.control_token())},
            "format": {"type": "text"},
        },
    });
    if let Some(account) = &client.service_account {
        file["service_account_impersonation_url"] =
            format!("{iam}/v1/projects/-/serviceAccounts/{account}:generateAccessToken").into();
    }
    Some(file)
}
