//! `simulator gcloud`: commands of gcloud, answered by the running simulator.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use axum::http::{Method, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use simulator::gcloud::{self, Answer, PROPERTIES, Request};

use super::{CONTROL, Readers, Result, Usage, request, write};

/// Largest file that a command reads, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Answer a command of gcloud with the simulated cloud
///
/// Takes the commands that `csign render gcloud` prints and the tutorial needs, and refuses all others. What has a
/// counterpart changes the simulated service; the rest is kept as a record. Needs CSIGN_SIMULATOR and SIMULATOR_CONTROL
/// as `simulator up` prints them; with `simulator up --gcloud` they come with a PATH on which `gcloud` is this.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  simulator gcloud projects create operator-project\n  simulator gcloud kms keyrings create ring --location=global --project=operator-project\n  simulator gcloud help\n\nExit status:\n  0  done\n  1  the simulated service refused\n  2  usage: a command or flag that is not answered\n  3  no simulator answered"
)]
pub(crate) struct Args {
    /// The command; `help` lists all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    if matches!(args.arguments.first().map(String::as_str), None | Some("help" | "--help" | "-h")) {
        return help();
    }
    let files = match gcloud::files(&args.arguments) {
        Ok(files) => files,
        Err(refusal) => {
            writeln!(io::stderr(), "ERROR: {refusal}")?;
            return Ok(ExitCode::from(2));
        }
    };
    let address = request::address(None)?;
    let token = env::var(CONTROL).map_err(|_| Usage(format!("{CONTROL} is not set; `simulator up` prints it")))?;
    let mut command = Request { arguments: args.arguments, ..Request::default() };
    for name in files {
        command.files.insert(name.clone(), STANDARD.encode(read(&name)?));
    }
    let set = PROPERTIES.iter().filter_map(|(name, _)| Some(((*name).to_owned(), env::var(name).ok()?)));
    command.environment = set.collect::<BTreeMap<_, _>>();
    let body = serde_json::to_vec(&command)?;
    let response = request::send(address, Method::POST, "/simulator/gcloud", Some(&token), body).await?;
    let status = response.status();
    let text = request::text(response, MAX_ANSWER).await?;
    if status != StatusCode::OK {
        return Err(format!("{address} answered {status}: {}", text.trim()).into());
    }
    let answer: Answer = csign_oci::json::from_slice(text.as_bytes())?;
    io::stderr().write_all(answer.stderr.as_bytes())?;
    for (name, content) in &answer.files {
        let content = STANDARD.decode(content)?;
        match name.as_str() {
            "-" => io::stdout().write_all(&content)?,
            name => write(Path::new(name), &content, Readers::Owner)?,
        }
    }
    io::stdout().write_all(answer.stdout.as_bytes())?;
    io::stdout().flush()?;
    Ok(ExitCode::from(answer.status))
}

/// A file, or standard input for `-`.
fn read(name: &str) -> Result<Vec<u8>> {
    let doing = |e: io::Error| Usage(format!("Unable to read file [{name}]: {e}"));
    let mut bytes = Vec::new();
    match name {
        "-" => io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(doing)?,
        name => fs::File::open(name).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(doing)?,
    };
    match bytes.len() as u64 > MAX_FILE {
        true => Err(Usage(format!("{name} has more than {MAX_FILE} bytes")).into()),
        false => Ok(bytes),
    }
}

fn help() -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "Commands of gcloud that the simulator answers. Every one also takes --project, --format, --flatten,"
    )?;
    writeln!(
        out,
        "--account, --verbosity and --quiet. =! must be given, =@ and @ are files, [no-] has an opposite.\n"
    )?;
    for line in gcloud::supported() {
        writeln!(out, "gcloud {line}")?;
    }
    Ok(ExitCode::SUCCESS)
}
