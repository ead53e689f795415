//! A real PostgreSQL on loopback, in a directory of its own, that a test may stop, kill and start again.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::peer::peer;

/// The superuser of every cluster that a test makes.
pub const USER: &str = "csign";
/// `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;
/// For one start or stop; only a machine that is broken needs longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; it is killed and its files are removed when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    directory: TempDir,
    settings: Vec<String>,
    port: u16,
    child: Option<Child>,
}

/// How to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Transactions that are under way are rolled back.
    Fast,
    /// As a crash does: the next start recovers from the log.
    Immediate,
}

impl Postgres {
    /// A new cluster that trusts everyone on loopback, with the empty database `csign`; `None` where PostgreSQL is
    /// missing and may be.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Option<Self> {
        Self::start_with(&[], |_| {})
    }

    /// The same with more settings (`name=value`), after `change` had its way with the cluster's directory.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(settings: &[&str], change: impl FnOnce(&Path)) -> Option<Self> {
        let programs = programs()?;
        let directory = tempfile::Builder::new().prefix("csign-postgres-").tempdir().expect("a temporary directory");
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("giving the directory to nobody");
        }
        let mut server = Self {
            programs,
            directory,
            settings: settings.iter().map(ToString::to_string).collect(),
            port: 0,
            child: None,
        };
        let mut initdb = server.command("initdb");
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username", USER]).arg("--pgdata");
        run(initdb.arg(server.data()));
        change(&server.data());
        server.own_files();
        server.pick_port();
        server.restart();
        server.query("postgres", &format!("CREATE DATABASE {USER}"));
        Some(server)
    }

    /// Its port on 127.0.0.1; it stays the same when it is started again.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The database `csign` as a contract names it.
    pub fn url(&self) -> String {
        self.url_of(USER)
    }

    /// Another database as a contract names it.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Stops it.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(&mut self, how: Stop) {
        let Some(mut child) = self.child.take() else { return };
        let mode = if how == Stop::Fast { "fast" } else { "immediate" };
        run(self
            .command("pg_ctl")
            .args(["stop", "--silent", "--no-wait", "--mode", mode, "--pgdata"])
            .arg(self.data()));
        let began = Instant::now();
        while child.try_wait().expect("its state").is_none() {
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not stop");
            sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again on the same port and the same files, after it was stopped.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "stop it first");
        let log = fs::File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).stdout(Stdio::null()).stderr(log);
        let own = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "jit=off", "shared_buffers=32MB"];
        for setting in
            own.into_iter().map(str::to_owned).chain([format!("port={}", self.port)]).chain(self.settings.clone())
        {
            command.args(["-c", &setting]);
        }
        self.child = Some(command.spawn().expect("starting postgres"));
        let began = Instant::now();
        while !self.answers() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("its state"));
            let said = || fs::read_to_string(self.log_file()).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "PostgreSQL does not start:\n{}", said());
            sleep(Duration::from_millis(20));
        }
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Runs statements in a database and returns what they select as text. It blocks; inside of asynchronous code
    /// nothing else runs meanwhile.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn query(&self, database: &str, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_query(database, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The same, for statements that may fail.
    ///
    /// # Errors
    /// What the server or the connection says.
    ///
    /// # Panics
    /// When the machine gives no thread.
    pub fn try_query(&self, database: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        let (url, sql) = (self.url_of(database), sql.to_owned());
        let work = move || -> Result<_, tokio_postgres::Error> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
                let connection = tokio::spawn(connection);
                let messages = client.simple_query(&sql).await?;
                drop(client);
                let _ = connection.await;
                let mut rows = Vec::new();
                for message in messages {
                    if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                        rows.push((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
                    }
                }
                Ok(rows)
            })
        };
        // A thread of its own, because the caller may run in a runtime already.
        std::thread::spawn(work).join().expect("the query's thread")
    }

    /// Every byte of every file of the cluster, with what was still in memory: what an operator can read.
    ///
    /// # Panics
    /// When the files cannot be read.
    pub fn raw_bytes(&self) -> Vec<u8> {
        self.query("postgres", "CHECKPOINT");
        let mut bytes = Vec::new();
        let mut directories = vec![self.data()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("the cluster's directory").map_while(Result::ok) {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                    // A file that the server removed meanwhile holds nothing any more.
                    _ => bytes.extend(fs::read(entry.path()).unwrap_or_default()),
                }
            }
        }
        bytes
    }

    /// What a test put into the directory belongs to the server.
    fn own_files(&self) {
        if is_root() {
            for entry in fs::read_dir(self.data()).expect("the cluster's directory").map_while(Result::ok) {
                chown(entry.path(), Some(NOBODY), Some(NOBODY)).expect("giving a file to nobody");
            }
        }
    }

    fn answers(&self) -> bool {
        self.child.is_some() && self.try_query("postgres", "SELECT 1").is_ok()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Free now; whoever takes it before the server does makes the start fail, with the reason in the panic.
    fn pick_port(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        self.port = listener.local_addr().expect("its address").port();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let stopped =
            self.command("pg_ctl").args(["stop", "--silent", "--mode=immediate", "--pgdata"]).arg(self.data()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = child.kill();
        }
        let _ = child.wait();
    }
}

/// The directory of the programs, or `None` where they are missing and may be.
fn programs() -> Option<PathBuf> {
    for program in ["initdb", "pg_ctl"] {
        peer(program)?;
    }
    Some(peer("postgres")?.parent().expect("a program lies in a directory").to_path_buf())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
