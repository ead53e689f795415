//! cosign's protocol for other key providers: a program `sigstore-kms-SCHEME` is run once for each operation.
//!
//! Its first argument is the protocol's version, its second the request in JSON; the message comes on its standard
//! input, the reply goes to its standard output, and what it says on its standard error goes to the user. Its exit
//! status means nothing: an error is a member of the reply.
//! <https://github.com/sigstore/sigstore/tree/main/pkg/signature/kms/cliplugin>

use std::{
    env,
    ffi::OsString,
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{PublicKey, SignatureAlgorithm};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::{
    KeysError, PluginKey, Service, ServiceFault,
    call::Call,
    digest::{Hash, hash_of},
    error::{FETCHING_KEY, SIGNING},
};

const PROTOCOL: &str = "v1";
/// Longest reply that is read, in bytes: a real one has a few hundred.
const MAX_REPLY: u64 = 1 << 20;

/// How programs of key providers are found and run.
#[derive(Clone, Debug)]
pub struct PluginOptions {
    /// `PATH`: the directories to look in.
    pub path: OsString,
    /// Longest time for one operation: someone may have to touch a token.
    pub time_limit: Duration,
}

impl Default for PluginOptions {
    fn default() -> Self {
        Self { path: OsString::new(), time_limit: Duration::from_secs(180) }
    }
}

/// One key and the program that knows it.
pub struct PluginClient {
    program: PathBuf,
    key: PluginKey,
    time_limit: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    init_options: InitOptions<'a>,
    method_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKeyArguments>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_message: Option<SignArguments>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitOptions<'a> {
    protocol_version: &'static str,
    #[serde(rename = "keyResourceID")]
    key_resource_id: &'a str,
    hash_func: u8,
    rpc_options: RpcOptions,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct RpcOptions {
    key_version: &'static str,
    remote_verification: bool,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicKeyArguments {
    public_key_options: PublicKeyOptions,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicKeyOptions {
    rpc_options: RpcOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignArguments {
    sign_options: SignOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignOptions {
    rpc_options: RpcOptions,
    message_options: MessageOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageOptions {
    hash_func: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default)]
    public_key: Option<PublicKeyReply>,
    #[serde(default)]
    sign_message: Option<SignReply>,
}

#[derive(Deserialize)]
struct PublicKeyReply {
    #[serde(rename = "publicKeyPEM")]
    pem: String,
}

#[derive(Deserialize)]
struct SignReply {
    signature: String,
}

impl PluginClient {
    /// Finds the program for `key`; it is not run yet.
    ///
    /// # Errors
    /// There is none in the directories of `PATH`.
    pub fn find(key: &PluginKey, options: &PluginOptions) -> Result<Self, KeysError> {
        let executable = key.executable();
        // A directory that is not absolute depends on where csign was started.
        let directories = env::split_paths(&options.path).filter(|directory| directory.is_absolute());
        let program = directories.map(|directory| directory.join(&executable)).find(|path| is_executable(path));
        let program = program.ok_or_else(|| KeysError::NoPlugin { key: key.to_string(), executable })?;
        Ok(Self { program, key: key.clone(), time_limit: options.time_limit })
    }

    /// The public key, with the algorithm that is usual for its type.
    ///
    /// # Errors
    /// The program cannot be run or refuses, or its reply is none.
    pub async fn public_key(&self) -> Result<PublicKey, KeysError> {
        let uri = self.key.to_string();
        let call = Call { service: Service::Plugin, doing: FETCHING_KEY, resource: &uri };
        let request = Request {
            public_key: Some(PublicKeyArguments::default()),
            ..self.request("publicKey", SignatureAlgorithm::EcdsaP256Sha256)
        };
        let reply = self.run(&call, &request, b"").await?.public_key;
        let pem = reply.and_then(|reply| BASE64_STANDARD.decode(reply.pem).ok());
        let pem = pem.and_then(|pem| String::from_utf8(pem).ok());
        let pem = pem.ok_or_else(|| call.integrity("the program's reply has no public key"))?;
        PublicKey::from_pem(&pem).map_err(|error| call.fault(ServiceFault::Refused, &error.to_string()))
    }

    /// A signature over `message`. The caller verifies it; [`crate::Signer`] does.
    ///
    /// # Errors
    /// The program cannot be run or refuses, or its reply is none.
    pub async fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let uri = self.key.to_string();
        let call = Call { service: Service::Plugin, doing: SIGNING, resource: &uri };
        let message_options = MessageOptions { hash_func: hash_number(algorithm) };
        let sign_options = SignOptions { rpc_options: RpcOptions::default(), message_options };
        let request =
            Request { sign_message: Some(SignArguments { sign_options }), ..self.request("signMessage", algorithm) };
        let reply = self.run(&call, &request, message).await?.sign_message;
        let signature = reply.and_then(|reply| BASE64_STANDARD.decode(reply.signature).ok());
        signature.ok_or_else(|| call.integrity("the program's reply has no signature"))
    }

    fn request(&self, method_name: &'static str, algorithm: SignatureAlgorithm) -> Request<'_> {
        let init_options = InitOptions {
            protocol_version: PROTOCOL,
            key_resource_id: self.key.resource(),
            hash_func: hash_number(algorithm),
            rpc_options: RpcOptions::default(),
        };
        Request { init_options, method_name, public_key: None, sign_message: None }
    }

    /// Runs the program to its end and reads its reply; it is killed when the time is up.
    async fn run(&self, call: &Call<'_>, request: &Request<'_>, message: &[u8]) -> Result<Reply, KeysError> {
        let request = serde_json::to_string(request).map_err(|_| call.integrity("the request cannot be written"))?;
        let output = match tokio::time::timeout(self.time_limit, self.output(&request, message)).await {
            Ok(output) => output.map_err(|error| {
                call.fault(ServiceFault::Unavailable, &format!("running {}: {error}", self.program.display()))
            })?,
            Err(_) => {
                let seconds = self.time_limit.as_secs();
                let message = format!("{} was ended after {seconds} seconds", self.program.display());
                return Err(call.fault(ServiceFault::Unavailable, &message));
            }
        };
        if output.len() as u64 > MAX_REPLY {
            return Err(call.integrity("the program's reply is longer than any that a key provider gives"));
        }
        let reply: Reply = csign_oci::json::from_slice(&output)
            .map_err(|_| call.integrity("the program's reply is not in the protocol's format"))?;
        match reply.error_message.as_deref() {
            None | Some("") => Ok(reply),
            Some(message) => Err(call.fault(ServiceFault::Refused, message)),
        }
    }

    async fn output(&self, request: &str, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut child = Command::new(&self.program)
            .args([PROTOCOL, request])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut output = Vec::new();
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program that does not want the message closes its standard input.
                match stdin.write_all(message).await {
                    Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        };
        let read = async {
            match stdout {
                Some(stdout) => stdout.take(MAX_REPLY + 1).read_to_end(&mut output).await,
                None => Ok(0),
            }
        };
        tokio::try_join!(write, read)?;
        if output.len() as u64 <= MAX_REPLY {
            child.wait().await?;
        }
        Ok(output)
    }
}

impl fmt::Debug for PluginClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PluginClient({}, {})", self.program.display(), self.key)
    }
}

/// The protocol numbers hash functions as Go's `crypto.Hash` does; 0 is none.
fn hash_number(algorithm: SignatureAlgorithm) -> u8 {
    match hash_of(algorithm) {
        None => 0,
        Some(Hash::Sha256) => 5,
        Some(Hash::Sha384) => 6,
        Some(Hash::Sha512) => 7,
    }
}

fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    path.is_file()
}

/// For fuzzing: is this a reply?
#[doc(hidden)]
pub fn parses_reply(bytes: &[u8]) -> bool {
    csign_oci::json::from_slice::<Reply>(bytes).is_ok()
}
