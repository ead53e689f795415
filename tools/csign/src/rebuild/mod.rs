//! One rebuild: the commit of a request in a fresh directory, built without a network, and what can be stated about it.

mod interrupt;
mod origin;
mod work;

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use csign_contract::{Contract, Recipe};
use csign_envelope::statement::{Rebuild, Reproduced, RevisionFrom};
use csign_oci::Digest;
use csign_sbom::lock::is_revision;
use csign_trust::exchange::{Request, Variables, environment_digest};
use csign_trust::report::printable;

pub(crate) use interrupt::Interrupt;
pub(crate) use origin::Origin;
use origin::Taken;
pub(crate) use work::Work;

use crate::{
    context::Context,
    failure::Failure,
    recipe::{self, BuildOutcome, BuildRequest, Confinement, Means},
};

/// The directory of a checkout that holds the contract for Bazel's rules.
const CONTRACT_PACKAGE: &str = "csign-contract";

/// What to rebuild and how.
pub(crate) struct Order<'a> {
    pub(crate) contract: &'a Contract,
    pub(crate) request: &'a Request,
    /// The request's file.
    pub(crate) request_file: &'a [u8],
    pub(crate) origin: &'a Origin,
    /// The commit, where the request names none.
    pub(crate) revision: Option<&'a str>,
    pub(crate) submodules: bool,
    pub(crate) package: &'a str,
    /// Cargo's home directory, instead of a fresh one.
    pub(crate) cargo_home: Option<&'a Path>,
    pub(crate) network: bool,
    pub(crate) jobs: Option<usize>,
    pub(crate) bazel: Option<&'a Path>,
}

/// What came out.
pub(crate) struct Rebuilt {
    pub(crate) digest: Digest,
    /// The layout, in the work directory.
    pub(crate) layout: PathBuf,
    /// What can be stated if the digest is the request's.
    pub(crate) reproduced: Reproduced,
    pub(crate) environment: Variables,
}

impl Order<'_> {
    /// Rebuilds.
    ///
    /// 1. The commit is checked out; it pins the lock file and the toolchain that the request names.
    /// 2. The contract is put where Bazel's rules find it, if they build.
    /// 3. Crates, or Bazel's repositories, are fetched.
    /// 4. The recipe runs in a network namespace of its own where the system allows, with an empty target directory.
    pub(crate) fn rebuild(&self, work: &Work, interrupt: &Interrupt, context: &Context) -> Result<Rebuilt, Failure> {
        let (revision, revision_from) = self.revision()?;
        // 1.
        context.note(format_args!("checking out {revision} from {}", self.origin.words()));
        let Taken { described, submodules } = self.origin.take(revision, self.submodules, &work.path("source"))?;
        if let Origin::Archive(_) = self.origin {
            context.note("warning: nothing in an archive shows its revision; the record says that it is only stated");
        }
        for (path, commit) in &submodules {
            context.note(format_args!("with the submodule {} at {commit}", printable(path, 200)));
        }
        interrupt.check()?;
        let source = self.workspace(&work.path("source"))?;
        let facts = recipe::source_facts(&source)?;
        self.compare_facts(&facts)?;
        // 2.
        let contract_file = match self.contract.build.recipe {
            Recipe::Bazel => Some(put_contract(&source, &self.contract.canonical())?),
            Recipe::CargoMusl | Recipe::CargoGnuStatic => None,
        };
        // 3.
        let caller = std::env::vars_os().collect();
        let mut fetching = work.fetching(&caller, self.cargo_home);
        if self.contract.build.recipe == Recipe::Bazel {
            // What it downloads for itself is kept below HOME, and must be there for the build.
            fetching.insert("HOME".into(), work.path("home").into());
        }
        let mut build = BuildRequest {
            source,
            package: self.package.to_owned(),
            recipe: self.contract.build.recipe,
            contract: self.contract.canonical(),
            labels: self.contract.labels(),
            ports: self.contract.ports(),
            output: work.path("layout"),
            target_dir: Some(work.path("target")),
            network: self.network,
            jobs: self.jobs,
            progress: !context.quiet,
            environment: fetching,
        };
        let mut means = Means { bazel: self.bazel.map(Path::to_path_buf), contract_file, ..Means::default() };
        context.note("fetching what the build needs");
        self.seed(&build, work)?;
        recipe::fetch(&build, &means)?;
        interrupt.check()?;
        // 4.
        means.confinement = Confinement::strongest();
        if means.confinement == Confinement::None {
            context.note("warning: this system allows no network namespace; only the tools' options keep them offline");
        }
        context.note(format_args!("building; network: {}", means.confinement.words()));
        build.network = false;
        build.environment = work.building(&build.environment);
        let outcome = recipe::build_by(&build, &means)?;
        interrupt.check()?;
        for warning in &outcome.warnings {
            context.note(format_args!("warning: {warning}"));
        }
        let rebuild = Rebuild {
            request: Digest::of(self.request_file),
            revision_from,
            sources: described,
            submodules,
            rustc: outcome.toolchain.as_ref().map(|toolchain| toolchain.rustc.clone()),
            cargo: outcome.toolchain.as_ref().map(|toolchain| toolchain.cargo.clone()),
            bazel: outcome.bazel.clone(),
            linker: outcome.linker.clone(),
            environment: environment_digest(&outcome.environment)?,
            network: means.confinement.words().to_owned(),
        };
        Ok(self.rebuilt(outcome, revision, &facts.channel, rebuild))
    }

    fn rebuilt(&self, outcome: BuildOutcome, revision: &str, channel: &str, rebuild: Rebuild) -> Rebuilt {
        let first_line = |rustc: &String| rustc.lines().next().unwrap_or_default().to_owned();
        let reproduced = Reproduced {
            contract: outcome.contract,
            recipe: outcome.recipe.name().to_owned(),
            source_revision: Some(revision.to_owned()),
            lock_file: Some(outcome.lock_file),
            toolchain: Some(rebuild.rustc.as_ref().map_or_else(|| channel.to_owned(), first_line)),
            rebuilt: true,
            rebuild: Some(rebuild),
        };
        Rebuilt { digest: outcome.image, layout: outcome.layout, reproduced, environment: outcome.environment }
    }

    /// The commit, and who named it.
    fn revision(&self) -> Result<(&str, RevisionFrom), Failure> {
        let (revision, from) = match (self.request.source.revision.as_deref(), self.revision) {
            (Some(asked), Some(own)) if asked != own => {
                return Err(Failure::usage(format_args!("the request names the revision {:?}", printable(asked, 80)))
                    .hint("--revision is for requests that name none"));
            }
            (Some(asked), _) => (asked, RevisionFrom::Request),
            (None, Some(own)) => (own, RevisionFrom::Party),
            (None, None) => {
                return Err(Failure::usage("the request names no revision")
                    .hint("ask the builder for one made with csign request --source; or --revision COMMIT, and your approval will say that it is yours"));
            }
        };
        if is_revision(revision) {
            return Ok((revision, from));
        }
        Err(Failure::usage(format_args!("the revision {:?} is no whole commit id", printable(revision, 80)))
            .hint("a short id, a branch or a tag may come to mean something else; ask the builder for the commit"))
    }

    /// The workspace in the checkout: the request names its directory.
    fn workspace(&self, checkout: &Path) -> Result<PathBuf, Failure> {
        let Some(directory) = &self.request.source.directory else { return Ok(checkout.to_path_buf()) };
        let mut place = checkout.to_path_buf();
        for component in Path::new(directory).components() {
            let Component::Normal(name) = component else {
                return Err(Failure::usage(format_args!(
                    "the request's directory {:?} is none of a repository",
                    printable(directory, 200)
                )));
            };
            place.push(name);
            if !fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir()) {
                return Err(Failure::rejected(format_args!(
                    "the revision has no directory {:?}",
                    printable(directory, 200)
                )));
            }
        }
        Ok(place)
    }

    /// The revision pins what the request says that it pins.
    fn compare_facts(&self, facts: &recipe::SourceFacts) -> Result<(), Failure> {
        let asked = &self.request.source;
        if let Some(lock) = asked.lock_file.filter(|lock| *lock != facts.lock_file) {
            return Err(Failure::rejected(format_args!(
                "the revision's Cargo.lock is {}, the request names {lock}",
                facts.lock_file
            ))
            .hint("the builder did not build this revision as it is"));
        }
        match &asked.toolchain {
            Some(toolchain) if *toolchain != facts.channel => Err(Failure::rejected(format_args!(
                "the revision pins Rust {}, the request names {:?}",
                facts.channel,
                printable(toolchain, 80)
            ))
            .hint("the builder did not build this revision as it is")),
            _ => Ok(()),
        }
    }

    /// Spares downloads: archives that this machine has and whose checksums are the lock file's.
    fn seed(&self, build: &BuildRequest, work: &Work) -> Result<(), Failure> {
        if self.cargo_home.is_some() || build.recipe == Recipe::Bazel {
            return Ok(());
        }
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let Some(own) = set("CARGO_HOME").or_else(|| set("HOME").map(|home| home.join(".cargo"))) else {
            return Ok(());
        };
        let fresh = work.path("cargo");
        // Mirrors and proxies; the recipe refuses what could change the image.
        for name in ["config.toml", "config"] {
            match fs::copy(own.join(name), fresh.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::reading(&own.join(name), &error));
                }
                _ => {}
            }
        }
        recipe::seed(&build.source, &own, &fresh)?;
        Ok(())
    }
}

/// A package of the workspace with nothing but the contract in it.
fn put_contract(source: &Path, contract: &[u8]) -> Result<PathBuf, Failure> {
    let package = source.join(CONTRACT_PACKAGE);
    let file = package.join("contract.json");
    let rule = "exports_files([\"contract.json\"], visibility = [\"//visibility:public\"])\n";
    fs::create_dir(&package)
        .and_then(|()| fs::write(&file, contract))
        .and_then(|()| fs::write(package.join("BUILD.bazel"), rule))
        .map_err(|error| Failure::writing(&package, &error))?;
    Ok(file)
}
