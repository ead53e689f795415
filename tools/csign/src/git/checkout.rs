//! Checks out exactly one commit into a fresh directory. What a name stands for is never asked: the commit's id is fetched,
//! and what arrives is hashed by git, so that whoever serves it cannot put anything else in its place.

use std::{collections::BTreeMap, fs, path::Path};

use csign_sbom::lock::is_revision;
use csign_trust::report::printable;

use super::{
    program::{Answer, Setting, run},
    remote::Remote,
    submodules,
};
use crate::failure::Failure;

/// Submodules inside submodules, at most.
const MAX_DEPTH: usize = 8;

/// A commit and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkout<'a> {
    pub(crate) remote: &'a Remote,
    /// The commit's whole id.
    pub(crate) revision: &'a str,
    /// May pinned submodules be fetched?
    pub(crate) submodules: bool,
}

/// The commit of each submodule by its path.
pub(crate) type Submodules = BTreeMap<String, String>;

impl Checkout<'_> {
    /// Checks the commit out into `directory`, which must be new or empty.
    ///
    /// 1. A repository without templates, hooks and configuration is made.
    /// 2. The commit is fetched by its id, objects checked; from servers that do not do that, all branches and tags are.
    /// 3. It is a commit, and no file of it needs a program of this machine.
    /// 4. It is checked out; submodules, if they are wanted, each at the commit that the tree pins.
    /// 5. `HEAD` is the commit, and nothing differs from it.
    pub(crate) fn into(self, directory: &Path) -> Result<Submodules, Failure> {
        let mut found = Submodules::new();
        self.into_at(directory, "", 0, &mut found)?;
        Ok(found)
    }

    fn into_at(self, directory: &Path, prefix: &str, depth: usize, found: &mut Submodules) -> Result<(), Failure> {
        if !is_revision(self.revision) {
            return Err(Failure::usage(format_args!("{:?} is no whole commit id", printable(self.revision, 80)))
                .hint("a branch or a tag may move; ask the builder for the commit"));
        }
        if depth > MAX_DEPTH {
            return Err(Failure::could_not_check(format_args!("submodules are nested deeper than {MAX_DEPTH}")));
        }
        // 1.
        fs::create_dir_all(directory).map_err(|error| Failure::writing(directory, &error))?;
        let format = if self.revision.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        self.git(directory, &["init", "--quiet", "--template=", format, "--initial-branch=none"])?;
        // 2.
        self.fetch(directory)?;
        // 3.
        let kind = self.git(directory, &["cat-file", "-t", self.revision])?;
        if kind.trim() != "commit" {
            return Err(Failure::rejected(format_args!("{} is a {}, not a commit", self.revision, kind.trim())));
        }
        let modules = submodules::pinned(self, directory)?;
        if let (false, Some(module)) = (self.submodules, modules.first()) {
            return Err(Failure::could_not_check(format_args!(
                "the revision has {} submodules, the first at {:?}",
                modules.len(),
                module.path
            ))
            .hint("--submodules fetches each of them at the commit that the revision pins"));
        }
        // 4.
        self.git(directory, &["checkout", "--quiet", "--detach", self.revision, "--"])?;
        self.refuse_filters(directory)?;
        for module in modules {
            let path = format!("{prefix}{}", module.path);
            let remote = self.remote.submodule(&module.url)?;
            let inner = Checkout { remote: &remote, revision: &module.revision, submodules: true };
            inner.into_at(&submodules::place(directory, &module.path)?, &format!("{path}/"), depth + 1, found)?;
            found.insert(path, module.revision);
        }
        // 5.
        self.verify(directory)
    }

    fn fetch(self, directory: &Path) -> Result<(), Failure> {
        let place = self.remote.argument()?;
        let options = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
        let exact = [&options[..], &["--depth=1", "--", place, self.revision]].concat();
        if self.call(directory, &exact)?.status == Some(0) {
            return Ok(());
        }
        let all = ["--", place, "+refs/heads/*:refs/fetched/heads/*", "+refs/tags/*:refs/fetched/tags/*"];
        let all = [&options[..], &all].concat();
        self.call(directory, &all)?.expect(directory, &all, &[0]).map_err(|failure| {
            failure.hint("csign uses no configuration and no credential helper of yours; a clone of your own works too: --from DIR")
        })?;
        let present = self.call(directory, &["cat-file", "-e", self.revision])?;
        if present.status == Some(0) {
            return Ok(());
        }
        Err(Failure::could_not_check(format_args!(
            "{} does not have the commit {}",
            self.remote.described(),
            self.revision
        ))
        .hint("fetch from the repository that the builder built from, where the commit must be on a branch or tag"))
    }

    /// A file that a filter is to write, such as Git LFS, has other content without that program.
    fn refuse_filters(self, directory: &Path) -> Result<(), Failure> {
        let args = ["ls-files", "-z", "--", ".", ":(exclude,attr:!filter)", ":(exclude,attr:-filter)"];
        let files = self.git(directory, &args)?;
        match files.split_terminator('\0').next() {
            None => Ok(()),
            Some(first) => Err(Failure::could_not_check(format_args!(
                "{:?} is written by a filter (such as Git LFS), and csign runs no program that a repository names",
                printable(first, 200)
            ))
            .hint("build from a directory of your own: csign build, then csign approve --rebuilt DIR")),
        }
    }

    fn verify(self, directory: &Path) -> Result<(), Failure> {
        let head = self.git(directory, &["rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"])?;
        if head.trim() != self.revision {
            return Err(Failure::rejected(format_args!("{} was checked out, not {}", head.trim(), self.revision)));
        }
        let args = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=traditional"];
        let differing = self.git(directory, &[&args[..], &["--ignore-submodules=none"]].concat())?;
        match differing.split_terminator('\0').next() {
            None => Ok(()),
            Some(first) => Err(Failure::could_not_check(format_args!(
                "the fresh checkout differs from its commit at {:?}",
                printable(first.get(3..).unwrap_or(first), 200)
            ))
            .hint("the commit holds files otherwise than its own .gitattributes ask for; git add --renormalize repairs that")),
        }
    }

    /// What git printed.
    pub(super) fn git(self, directory: &Path, args: &[&str]) -> Result<String, Failure> {
        self.call(directory, args)?.expect(directory, args, &[0])
    }

    pub(super) fn call(self, directory: &Path, args: &[&str]) -> Result<Answer, Failure> {
        run(directory, Setting::Fresh(self.remote.protocols()), args)
    }
}
