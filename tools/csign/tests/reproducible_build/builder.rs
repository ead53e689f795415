//! One build in a process of its own, on a machine that looks different.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{PermissionsExt as _, lchown},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use csign::recipe::{self, BuildRequest, RecipeError};
use csign_contract::Recipe;
use serde::{Deserialize, Serialize};

use crate::{
    fixture::{Order, copy},
    noise, repository,
    variation::{Powers, Variation},
};

/// Names the file with what the child process builds.
const SPECIFICATION: &str = "CSIGN_TEST_BUILD";
const USER: u32 = 12345;
const GROUP: u32 = 23456;
/// Another user who may read everything, because toolchain and caches are the caller's own, but writes as anyone does.
pub(crate) const OTHER_USER: &[&str] =
    &["setpriv", "--reuid=12345", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"];
pub(crate) const OTHER_GROUP: &[&str] = &["setpriv", "--regid=23456", "--clear-groups", "--"];

/// What the child process builds.
#[derive(Serialize, Deserialize)]
struct Specification {
    source: PathBuf,
    output: PathBuf,
    target_dir: Option<PathBuf>,
    jobs: usize,
    network: bool,
    answer: PathBuf,
}

/// What came out of one build.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) image: String,
    pub(crate) binary: String,
    /// What the fixture's leaks put into the binary: who saw it and what it saw.
    pub(crate) facts: BTreeMap<String, String>,
    /// The target cannot be had on this machine.
    pub(crate) missing: Option<String>,
}

/// Not a test of its own: the process in which one build runs.
#[test]
#[ignore = "started by the other tests"]
fn one_build() {
    let Some(path) = env::var_os(SPECIFICATION) else { return };
    let spec: Specification = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let request = BuildRequest {
        source: spec.source.clone(),
        package: "workload".to_owned(),
        recipe: Recipe::CargoMusl,
        contract: b"{}".to_vec(),
        labels: BTreeMap::from([("label".to_owned(), "value".to_owned())]),
        ports: Vec::new(),
        output: spec.output,
        target_dir: spec.target_dir.clone(),
        network: spec.network,
        jobs: Some(spec.jobs),
        progress: env::var_os("CSIGN_FULL_REPRO").is_some(),
        environment: env::vars_os().collect(),
    };
    let answer = match recipe::build(&request) {
        Ok(outcome) => {
            let target = spec.target_dir.unwrap_or_else(|| spec.source.join("target/image"));
            let binary = fs::read(target.join("x86_64-unknown-linux-musl/image/workload")).unwrap();
            Answer {
                image: outcome.image.to_string(),
                binary: outcome.binary.to_string(),
                facts: facts(&binary),
                missing: None,
            }
        }
        Err(error @ RecipeError::MissingTarget { .. }) => Answer {
            image: String::new(),
            binary: String::new(),
            facts: BTreeMap::new(),
            missing: Some(error.to_string()),
        },
        Err(error) => panic!("{error}: {error:?}"),
    };
    fs::write(spec.answer, serde_json::to_vec(&answer).unwrap()).unwrap();
}

/// `<script>name=value;…</script>` and `<macro>…</macro>` in the binary.
fn facts(binary: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(binary);
    let mut out = BTreeMap::new();
    for who in ["script", "macro"] {
        let inside = text.split_once(&format!("<{who}>")).and_then(|(_, rest)| rest.split_once(&format!("</{who}>")));
        let facts = inside.map_or("", |(facts, _)| facts).split_terminator(';');
        out.extend(facts.map(|fact| fact.split_once('=').unwrap()).map(|(k, v)| (format!("{who} {k}"), v.to_owned())));
    }
    out
}

/// Where builds take place.
pub(crate) struct Site<'a> {
    pub(crate) powers: &'a Powers,
    /// Holds everything; the same for all builds that are compared, so that only the variations differ.
    pub(crate) place: PathBuf,
    /// Where cargo builds; below the sources if absent.
    pub(crate) target_dir: Option<PathBuf>,
    /// A git repository with the sources.
    pub(crate) repository: &'a Path,
    /// The library that shifts the clock.
    pub(crate) shim: Option<&'a Path>,
    pub(crate) network: bool,
}

impl Site<'_> {
    /// Runs one build in its own process, with these variations, and removes everything.
    pub(crate) fn build(&self, variations: &[Variation]) -> Answer {
        let answer = self.build_in_place(variations);
        fs::remove_dir_all(&self.place).unwrap();
        let _ = fs::remove_dir_all(self.etc());
        if let Some(target_dir) = &self.target_dir {
            fs::remove_dir_all(target_dir).unwrap();
        }
        answer
    }

    /// The copy of /etc is not in the place that another user may own: it holds what the machine keeps to itself.
    fn etc(&self) -> PathBuf {
        self.place.with_file_name("etc")
    }

    fn build_in_place(&self, variations: &[Variation]) -> Answer {
        let place = &self.place;
        let varies = |variation| variations.contains(&variation);
        fs::create_dir_all(place).unwrap();
        let source =
            place.join(if varies(Variation::Directory) { "a longer/path with spaces/to/sources" } else { "s" });
        self.lay_out_sources(&source, variations);

        let elsewhere = || self.target_dir.as_ref().unwrap_or(place).join("elsewhere/t");
        let spec = Specification {
            source: source.clone(),
            output: place.join("layout"),
            target_dir: if varies(Variation::TargetDirectory) { Some(elsewhere()) } else { self.target_dir.clone() },
            jobs: if varies(Variation::Jobs) { 1 } else { 4 },
            network: self.network,
            answer: place.join("answer.json"),
        };
        fs::write(place.join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();

        let mut child = self.command(variations);
        child.env(SPECIFICATION, place.join("spec.json"));
        child.env("CARGO_HOME", cargo_home());
        if varies(Variation::Home) {
            fs::create_dir_all(place.join("home/eve")).unwrap();
            child.env("HOME", place.join("home/eve")).env("USER", "eve").env("LOGNAME", "eve");
        }
        if varies(Variation::CargoHome) {
            child.env("CARGO_HOME", other_cargo_home(place));
        }
        if varies(Variation::TimeZone) {
            child.env("TZ", "Pacific/Kiritimati");
        }
        if varies(Variation::Locale) {
            child.env("LC_ALL", "tr_TR.UTF-8").env("LANG", "de_DE.UTF-8");
        }
        if varies(Variation::SourceDateEpoch) {
            child.env("SOURCE_DATE_EPOCH", "1234567890");
        }
        if varies(Variation::EnvironmentNoise) {
            child.envs(noise::ENVIRONMENT.iter().copied());
        }
        let user = varies(Variation::User).then_some(USER);
        let group = varies(Variation::Group).then_some(GROUP);
        if user.is_some() || group.is_some() {
            for directory in std::iter::once(place).chain(&self.target_dir) {
                fs::create_dir_all(directory).unwrap();
                give(directory, user, group);
            }
        }
        let status = child.status().unwrap();
        assert!(status.success(), "the build with {variations:?} failed");
        serde_json::from_slice(&fs::read(&spec.answer).unwrap()).unwrap()
    }

    /// The sources, as somebody gets them and as their disk keeps them.
    fn lay_out_sources(&self, source: &Path, variations: &[Variation]) {
        let varies = |variation| variations.contains(&variation);
        let got = self.place.join("got");
        let get = if varies(Variation::GitCheckout) {
            "git clone --quiet --no-local \"$1\" \"$2\""
        } else {
            "mkdir \"$2\" && git -C \"$1\" archive HEAD | tar -x -C \"$2\""
        };
        let status = Command::new("sh").args(["-euc", get, "sh"]).arg(self.repository).arg(&got).status().unwrap();
        assert!(status.success(), "{get} failed");
        if varies(Variation::HostileConfiguration) {
            noise::write_hostile_configuration(&got, &self.place);
        }
        copy(&got, source, if varies(Variation::FileOrder) { Order::Falling } else { Order::Rising });
        fs::remove_dir_all(got).unwrap();
        let years = if varies(Variation::FileTimes) { 40 } else { 20 };
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * years);
        set_times_and_modes(source, time, varies(Variation::Umask));
    }

    /// This very program, in namespaces, as somebody and with a umask, as the variations ask.
    fn command(&self, variations: &[Variation]) -> Command {
        let varies = |variation| variations.contains(&variation);
        let mut words: Vec<&str> = Vec::new();
        let mut script = String::from("set -e; ");
        let shift = variations.iter().find_map(|variation| variation.clock());
        // gcc looks for programs with access(2), which knows no capabilities: another user needs a way to the toolchain.
        let moves_toolchain = varies(Variation::Toolchain) || varies(Variation::User);
        if varies(Variation::HostName) || moves_toolchain || shift.is_some() {
            words.extend(self.powers.namespaces.as_ref().expect("checked before"));
        }
        if varies(Variation::HostName) {
            script += "hostname builder-b; ";
        }
        let etc = shift.map(|seconds| {
            // The build's programs get a cleared environment, so the loader itself must know the shim.
            script += "mount --bind \"$CSIGN_TEST_ETC\" /etc; ";
            other_etc(&self.etc(), self.shim.expect("checked before"), seconds)
        });
        let rustup = self.place.join("tools/rustup");
        let toolchain = toolchain();
        let moved = rustup.join("toolchains").join(&toolchain.0);
        if moves_toolchain {
            fs::create_dir_all(&moved).unwrap();
            let _ = fs::copy(rustup_home().join("settings.toml"), rustup.join("settings.toml"));
            script += "mount --bind \"$CSIGN_TEST_FROM\" \"$CSIGN_TEST_TO\"; RUSTUP_HOME=$CSIGN_TEST_RUSTUP; ";
        }
        script += if varies(Variation::Umask) { "umask 0077; " } else { "umask 0022; " };
        script += "exec \"$@\"";
        words.extend(["sh", "-c", &script, "sh"]);
        // First the group, while the user may still choose it.
        if varies(Variation::Group) {
            words.extend(OTHER_GROUP);
        }
        if varies(Variation::User) {
            words.extend(OTHER_USER);
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(env::current_exe().unwrap());
        command.args(["--exact", "builder::one_build", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("CSIGN_TEST_FROM", toolchain.1).env("CSIGN_TEST_TO", moved).env("CSIGN_TEST_RUSTUP", rustup);
        command.env("RUSTUP_HOME", rustup_home());
        command.envs(etc.map(|etc| ("CSIGN_TEST_ETC", etc)));
        if env::var_os("CSIGN_FULL_REPRO").is_none() {
            command.stdout(std::process::Stdio::null());
        }
        command
    }
}

/// A copy of /etc in which the loader preloads the shim.
fn other_etc(directory: &Path, shim: &Path, seconds: i64) -> PathBuf {
    // Files that only root reads are left out when this is not root.
    let _ = Command::new("cp").args(["-a", "/etc/."]).arg(directory).stderr(std::process::Stdio::null()).status();
    fs::create_dir_all(directory).unwrap();
    fs::copy(shim, directory.join("csign-clock.so")).unwrap();
    fs::write(directory.join("ld.so.preload"), "/etc/csign-clock.so\n").unwrap();
    fs::write(directory.join("csign-clock-offset"), seconds.to_string()).unwrap();
    directory.to_owned()
}

fn home() -> PathBuf {
    env::var_os("HOME").expect("HOME").into()
}

pub(crate) fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}

/// The pinned toolchain: rustup's name of it, and where it is.
fn toolchain() -> (String, PathBuf) {
    let rustc = |args: &[&str]| {
        let output = Command::new("rustc").args(args).current_dir(repository()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let version = rustc(&["-vV"]);
    let field = |name| version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
    let sysroot = fs::canonicalize(rustc(&["--print", "sysroot"]).trim_end()).unwrap();
    (format!("{}-{}", field("release"), field("host")), sysroot)
}

fn rustup_home() -> PathBuf {
    env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from)
}

/// Another `CARGO_HOME` with the same downloads, so that the network is not needed; crates are unpacked anew.
fn other_cargo_home(place: &Path) -> PathBuf {
    let other = place.join("another cargo home");
    for part in ["registry/cache", "registry/index"] {
        copy(&cargo_home().join(part), &other.join(part), Order::Rising);
    }
    let _ = fs::copy(cargo_home().join("config.toml"), other.join("config.toml"));
    other
}

fn entries(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(directory).unwrap().map(Result::unwrap)
}

fn give(path: &Path, user: Option<u32>, group: Option<u32>) {
    lchown(path, user, group).unwrap();
    if path.is_dir() && !path.is_symlink() {
        entries(path).for_each(|entry| give(&entry.path(), user, group));
    }
}

fn set_times_and_modes(directory: &Path, time: SystemTime, private: bool) {
    let mask = if private { 0o700 } else { 0o755 };
    for entry in entries(directory).filter(|entry| !entry.file_type().unwrap().is_symlink()) {
        let path = entry.path();
        let mode = entry.metadata().unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode((mode | 0o600) & mask)).unwrap();
        if path.is_dir() {
            set_times_and_modes(&path, time, private);
        }
        fs::File::open(&path).unwrap().set_modified(time).unwrap();
    }
}
