//! `simulator run`: an image's program, launched as a Confidential Space VM would.

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use axum::http::{Method, StatusCode};
use csign_oci::Layout;
use simulator::{Launch, Report, Simulator, Stream};
use tokio::signal::unix::{SignalKind, signal};

use super::{CONTROL, ConfigArgs, Result, Usage, request};

/// The metadata that names the image.
const IMAGE: &str = "tee-image-reference";

/// Launch an image's program as a Confidential Space VM would, without Docker
///
/// Its output goes to stdout and stderr; the launcher's own messages go to stderr. With CSIGN_SIMULATOR and SIMULATOR_CONTROL set, as `simulator up`
/// prints them, the simulator there launches it; with --own a new one does, which ends with the program.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  simulator run --image registry.simulator.localhost/app@sha256:… --metadata tee-env-NAME=value\n  simulator run --own --config simulator.toml --image 127.0.0.1:5000/app@sha256:… --debug\n  simulator run --own --layout image --metadata tee-signed-image-repos=\n\nExit status:\n  N    what the program exited with\n  2    usage: called wrongly, or a configuration that makes no sense\n  3    no simulator answered, or a port or file could not be used\n  125  the program was not started\n  137  a signal ended the program"
)]
pub(crate) struct Args {
    /// Image with its digest, in the simulator's registry or one on the loopback interface
    #[arg(long, value_name = "IMAGE@DIGEST", required_unless_present = "layout")]
    image: Option<String>,
    /// The image of an OCI layout, as `csign build` writes it, for a simulator of its own
    #[arg(long, value_name = "DIR", requires = "own", conflicts_with = "image")]
    layout: Option<PathBuf>,
    /// Instance metadata, for instance tee-restart-policy=Never; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Boot the debug image of Confidential Space
    #[arg(long)]
    debug: bool,
    /// The machine's service account (default: the configuration's)
    #[arg(long, value_name = "EMAIL")]
    service_account: Option<String>,
    /// Address of the simulator (default: that of CSIGN_SIMULATOR)
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "own")]
    address: Option<String>,
    /// Start a simulator for this program alone
    #[arg(long)]
    own: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The program was not started.
const NOT_STARTED: u8 = 125;
/// The program was ended by a signal.
const BY_SIGNAL: u8 = 137;

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let mut metadata = BTreeMap::new();
    if let Some(image) = &args.image {
        metadata.insert(IMAGE.to_owned(), image.clone());
    }
    for (name, value) in &args.metadata {
        if metadata.insert(name.clone(), value.clone()).is_some() {
            return Err(Usage(format!("the metadata {name} are given twice")).into());
        }
    }
    let mut launch = Launch { metadata, ..Launch::default() };
    if args.debug {
        launch.machine.insert("image".to_owned(), "debug".into());
    }
    if let Some(account) = &args.service_account {
        launch.machine.insert("service_account".to_owned(), account.as_str().into());
    }
    if args.own { in_own(&args, launch).await } else { in_running(&args, &launch).await }
}

async fn in_own(args: &Args, mut launch: Launch) -> Result<ExitCode> {
    let (simulator, _) = args.config.start(|_| {}).await?;
    if let Some(directory) = &args.layout {
        let image = push(directory, &simulator).map_err(|e| Usage(format!("{}: {e}", directory.display())))?;
        launch.metadata.insert(IMAGE.to_owned(), image);
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let running = match simulator.launch(launch).await {
        Ok(running) => running,
        Err(error) => return not_started(&error.to_string()),
    };
    let mut lines = running.follow();
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Some(line) => print(line.stream, &line.text)?,
                None => return Ok(status(running.wait().await?.code())),
            },
            // The program may finish what it began.
            _ = terminate.recv() => running.terminate(),
        }
    }
}

/// Puts a layout's image into the simulator's registry; what it is called there.
fn push(directory: &Path, simulator: &Simulator) -> Result<String> {
    const NAME: &str = "local/image";
    let layout = Layout::open(directory)?;
    let (descriptor, manifest) = layout.image()?;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        simulator.registry().put_blob(NAME, layout.blob(blob)?);
    }
    let (digest, bytes) = (descriptor.digest.to_string(), layout.document(&descriptor)?);
    simulator.registry().put_manifest(NAME, &digest, &descriptor.media_type, bytes);
    Ok(format!("registry.simulator.localhost/{NAME}@{digest}"))
}

async fn in_running(args: &Args, launch: &Launch) -> Result<ExitCode> {
    let address = request::address(args.address.as_deref())?;
    let token = env::var(CONTROL).map_err(|_| Usage(format!("{CONTROL} is not set; `simulator up` prints it")))?;
    let body = serde_json::to_vec(launch)?;
    let response = request::send(address, Method::POST, "/simulator/launch", Some(&token), body).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNPROCESSABLE_ENTITY => {
            let text = request::text(response, 1 << 20).await?;
            let answer: serde_json::Value = csign_oci::json::from_slice(text.as_bytes())?;
            return not_started(answer["error"].as_str().unwrap_or("the simulator gives no reason"));
        }
        status => {
            let why = request::text(response, 1 << 16).await?;
            return Err(format!("{address} answered {status}: {}", why.trim()).into());
        }
    }
    let mut lines = request::BodyLines::new(response);
    while let Some(line) = lines.next().await? {
        match csign_oci::json::from_slice(line.as_bytes())? {
            Report::Stdout(text) => print(Stream::Stdout, &text)?,
            Report::Stderr(text) => print(Stream::Stderr, &text)?,
            Report::Launcher(text) => print(Stream::Launcher, &text)?,
            Report::Ended(code) => return Ok(status(code)),
        }
    }
    Err("the simulator ended before the program did".into())
}

fn print(stream: Stream, text: &str) -> io::Result<()> {
    match stream {
        Stream::Stdout => {
            writeln!(io::stdout(), "{text}")?;
            io::stdout().flush()
        }
        Stream::Stderr => writeln!(io::stderr(), "{text}"),
        Stream::Launcher => writeln!(io::stderr(), "launcher: {text}"),
    }
}

fn not_started(why: &str) -> Result<ExitCode> {
    writeln!(io::stderr(), "error: {why}")?;
    Ok(ExitCode::from(NOT_STARTED))
}

fn status(code: Option<i32>) -> ExitCode {
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(BY_SIGNAL))
}
