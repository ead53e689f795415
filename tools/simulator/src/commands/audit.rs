//! `simulator audit`: the audit log of a simulator that runs, or of a file.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use axum::http::{Method, StatusCode};
use simulator::{
    AuditEntry,
    audit::{Filter, Table},
};

use super::{Result, request};

/// Pause between two looks at a file that is followed.
const LOOK: Duration = Duration::from_millis(200);
const MAX_ANSWER: usize = 256 << 20;

/// Show who asked for what, what was decided, and which clause decided
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  simulator audit --denied\n  simulator audit --address 127.0.0.1:8080 --service kms --service sts --follow\n  simulator audit --file audit.jsonl --principal collaborator-1 --output json"
)]
pub(crate) struct Args {
    /// Address of the simulator (default: that of CSIGN_SIMULATOR)
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "file")]
    address: Option<String>,
    /// Read a file that `--audit-log` wrote instead
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Go on with what happens from now on
    #[arg(long)]
    follow: bool,
    /// Only decisions of this service; may be repeated
    #[arg(long)]
    service: Vec<String>,
    /// Only what was denied
    #[arg(long, conflicts_with = "allowed")]
    denied: bool,
    /// Only what was allowed
    #[arg(long)]
    allowed: bool,
    /// Only decisions about principals that contain this
    #[arg(long)]
    principal: Option<String>,
    /// Only entries that contain this anywhere, whatever the case
    #[arg(long)]
    text: Option<String>,
    /// Only entries with a sequence number of at least this
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    since: u64,
    /// As a table, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
    Table,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let filter = Filter {
        services: args.service.clone(),
        allowed: if args.denied { Some(false) } else { args.allowed.then_some(true) },
        principal: args.principal.clone(),
        text: args.text.clone(),
    };
    let mut printer = Printer { output: args.output, table: Table::default() };
    let outcome = match &args.file {
        Some(path) => of_file(path, &args, &filter, &mut printer).await,
        None => of_simulator(&args, &filter, &mut printer).await,
    };
    match outcome {
        // Whoever reads the output, `head` for instance, has seen enough.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            Ok(ExitCode::SUCCESS)
        }
        outcome => outcome.map(|()| ExitCode::SUCCESS),
    }
}

async fn of_simulator(args: &Args, filter: &Filter, printer: &mut Printer) -> Result<()> {
    let address = request::address(args.address.as_deref())?;
    let query = filter.to_query();
    let mut since = args.since;
    let mut end = None;
    loop {
        let path = format!("/simulator/audit?since={since}&limit=10000&{query}");
        let response = request::send(address, Method::GET, &path, None, "").await?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let why = request::text(response, 4096).await?;
            return Err(format!("{address} answered {status}: {}", why.trim()).into());
        }
        let next = request::number(response.headers(), "audit-next")?;
        let total = request::number(response.headers(), "audit-total")?;
        // Those before `since` were not asked for; those after it are gone.
        lost(request::number(response.headers(), "audit-lost")?);
        let entries = parse(request::text(response, MAX_ANSWER).await?.lines())?;
        printer.print(&entries)?;
        since = since.max(next);
        // What is decided from now on is for those who follow.
        if since >= *end.get_or_insert(total) {
            break;
        }
    }
    if !args.follow {
        return Ok(());
    }
    let path = format!("/simulator/audit/stream?since={since}&{query}");
    let response = request::send(address, Method::GET, &path, None, "").await?;
    if response.status() != StatusCode::OK {
        return Err(format!("{address} answered {}", response.status()).into());
    }
    let mut lines = request::BodyLines::new(response);
    let mut event = String::new();
    while let Some(line) = lines.next().await? {
        match line.split_once(": ") {
            Some(("event", name)) => event = name.to_owned(),
            Some(("data", data)) if event == "lost" => lost(data.parse().unwrap_or_default()),
            Some(("data", data)) => printer.print(&parse([data].into_iter())?)?,
            _ => {}
        }
        if line.is_empty() {
            event.clear();
        }
    }
    Err("the simulator has ended".into())
}

async fn of_file(path: &Path, args: &Args, filter: &Filter, printer: &mut Printer) -> Result<()> {
    let doing = |e: io::Error| format!("reading {}: {e}", path.display());
    let mut reader = BufReader::new(File::open(path).map_err(doing)?);
    let mut line = String::new();
    let mut entries = Vec::new();
    loop {
        let end = reader.read_line(&mut line).map_err(doing)? == 0;
        if line.ends_with('\n') {
            let entry = parse([line.trim_end()].into_iter()).map_err(|e| format!("{}: {e}", path.display()))?;
            entries.extend(entry.into_iter().filter(|entry| entry.sequence >= args.since && filter.admits(entry)));
            line.clear();
        }
        if end || entries.len() == 10_000 {
            printer.print(&std::mem::take(&mut entries))?;
        }
        match (end, args.follow) {
            (true, true) => tokio::time::sleep(LOOK).await,
            (true, false) if !line.is_empty() => {
                return Err(format!("{}: the last line is not whole", path.display()).into());
            }
            (true, false) => return Ok(()),
            (false, _) => {}
        }
    }
}

fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<AuditEntry>> {
    let mut entries = Vec::new();
    for line in lines {
        let entry =
            csign_oci::json::from_slice(line.as_bytes()).map_err(|e| format!("not an entry of the log: {e}"))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn lost(count: u64) {
    if count > 0 {
        let _ = writeln!(io::stderr(), "{count} older entries are gone; --audit-log keeps all of them in a file");
    }
}

struct Printer {
    output: Output,
    table: Table,
}

impl Printer {
    fn print(&mut self, entries: &[AuditEntry]) -> Result<()> {
        let text = match self.output {
            Output::Table => self.table.lines(entries),
            Output::Json => {
                let lines = entries.iter().map(|entry| serde_json::to_string(entry).map(|line| line + "\n"));
                lines.collect::<serde_json::Result<String>>()?
            }
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(io::stdout().flush()?)
    }
}
