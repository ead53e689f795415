//! Attacks on a checkout: by names, by what a repository can make git run, by what stands in for an object, by submodules.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{Checkout, Remote, git};
use crate::failure::Failure;

struct Place(TempDir);

impl Place {
    /// A repository `a` with the file `file` in two commits; returns their ids.
    fn new() -> (Self, String, String) {
        let place = Self(tempfile::tempdir().unwrap());
        place.repository("a");
        let first = place.commit("a", &[("file", "1\n")]);
        let second = place.commit("a", &[("file", "2\n")]);
        (place, first, second)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn repository(&self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        git(&self.path(name), ["init", "--quiet", "--initial-branch=main"]);
    }

    fn commit(&self, name: &str, files: &[(&str, &str)]) -> String {
        for (file, text) in files {
            fs::write(self.path(name).join(file), text).unwrap();
        }
        git(&self.path(name), ["add", "."]);
        git(&self.path(name), ["commit", "--quiet", "--allow-empty", "-m", "x"]);
        self.id(name, "HEAD")
    }

    fn id(&self, name: &str, what: &str) -> String {
        super::line(&self.path(name), &["rev-parse", what]).unwrap()
    }

    fn check_out(&self, from: &str, revision: &str, submodules: bool) -> Result<super::checkout::Submodules, Failure> {
        let _ = fs::remove_dir_all(self.path("out"));
        let remote = Remote::parse(self.path(from).to_str().unwrap())?;
        Checkout { remote: &remote, revision, submodules }.into(&self.path("out"))
    }

    fn content(&self) -> String {
        fs::read_to_string(self.path("out/file")).unwrap()
    }

    #[track_caller]
    fn refused(&self, revision: &str, submodules: bool, words: &str) {
        let refused = self.check_out("a", revision, submodules).expect_err("it was checked out");
        assert!(refused.text().contains(words), "{}", refused.text());
    }
}

#[test]
fn the_very_commit_is_checked_out_from_a_clone_a_bare_repository_and_a_bundle() {
    let (place, first, second) = Place::new();
    git(place.0.path(), ["clone", "--quiet", "--bare", "a", "bare"]);
    git(&place.path("a"), ["bundle", "create", "--quiet", "../a.bundle", "main"]);
    for from in ["a", "bare", "a.bundle"] {
        for (revision, content) in [(&first, "1\n"), (&second, "2\n")] {
            place.check_out(from, revision, false).unwrap_or_else(|why| panic!("{from}: {}", why.text()));
            assert_eq!(place.content(), content, "{from}");
            let facts = super::Git::of(&place.path("out"), &[]).unwrap().unwrap();
            assert_eq!((&facts.revision, facts.changes.len(), facts.origin), (revision, 0, None));
        }
    }
}

#[test]
fn names_short_ids_and_other_objects_are_no_commits() {
    let (place, first, _) = Place::new();
    for name in ["main", "HEAD", &first[..12], "--upload-pack=evil", ""] {
        place.refused(name, false, "no whole commit id");
    }
    place.refused(&"a".repeat(40), false, "does not have the commit");
    git(&place.path("a"), ["tag", "-a", "-m", "x", "v1"]);
    place.refused(&place.id("a", "v1"), false, "not a commit");
    place.refused(&place.id("a", "HEAD^{tree}"), false, "commit");
}

#[test]
fn a_branch_or_tag_that_is_called_like_the_commit_does_not_stand_for_it() {
    let (place, first, second) = Place::new();
    let unknown = "b".repeat(40);
    for name in [&first, &unknown] {
        git(&place.path("a"), ["update-ref", &format!("refs/heads/{name}"), &second]);
        git(&place.path("a"), ["update-ref", &format!("refs/tags/{name}"), &second]);
    }
    place.check_out("a", &first, false).unwrap();
    assert_eq!(place.content(), "1\n");
    place.refused(&unknown, false, "does not have the commit");
}

#[test]
fn replacements_and_grafts_of_the_repository_do_not_reach_the_checkout() {
    let (place, first, second) = Place::new();
    git(&place.path("a"), ["replace", &first, &second]);
    fs::create_dir_all(place.path("a/.git/info")).unwrap();
    fs::write(place.path("a/.git/info/grafts"), format!("{second}\n")).unwrap();
    place.check_out("a", &first, false).unwrap();
    assert_eq!(place.content(), "1\n");
    assert_eq!(super::line(&place.path("out"), &["cat-file", "-p", "HEAD"]).unwrap().lines().count(), 5);
}

#[test]
fn hooks_and_programs_of_the_repository_are_not_run() {
    let (place, first, _) = Place::new();
    let evil = place.path("evil");
    fs::write(&evil, format!("#!/bin/sh\ntouch {}\ncat\n", place.path("ran").display())).unwrap();
    fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let evil = evil.to_str().unwrap();
    for hook in ["post-checkout", "pre-auto-gc", "reference-transaction", "post-index-change"] {
        fs::copy(evil, place.path("a/.git/hooks").join(hook)).unwrap();
    }
    for (name, value) in [
        ("core.fsmonitor", evil),
        ("core.sshCommand", evil),
        ("uploadpack.packObjectsHook", evil),
        ("filter.evil.smudge", evil),
        ("filter.evil.process", evil),
        ("diff.external", evil),
        ("core.pager", evil),
    ] {
        git(&place.path("a"), ["config", name, value]);
    }
    place.check_out("a", &first, false).unwrap();
    assert!(!place.path("ran").exists(), "a program of the repository ran");

    // Files that a filter should write would have other content without it.
    git(&place.path("a"), ["config", "--unset", "core.fsmonitor"]);
    for name in ["filter.evil.smudge", "filter.evil.process"] {
        git(&place.path("a"), ["config", "--unset", name]);
    }
    let filtered = place.commit("a", &[(".gitattributes", "*.bin filter=lfs diff=lfs -text\n"), ("b.bin", "pointer")]);
    let _ = fs::remove_file(place.path("ran"));
    place.refused(&filtered, false, "Git LFS");
    assert!(!place.path("ran").exists(), "a program of the repository ran");
}

#[test]
fn line_ends_are_the_commits_own() {
    let (place, ..) = Place::new();
    let files = [(".gitattributes", "*.cmd text eol=crlf\n*.sh text\n"), ("a.cmd", "1\n"), ("a.sh", "1\n")];
    let revision = place.commit("a", &files);
    place.check_out("a", &revision, false).unwrap();
    assert_eq!(fs::read(place.path("out/a.cmd")).unwrap(), b"1\r\n");
    assert_eq!(fs::read(place.path("out/a.sh")).unwrap(), b"1\n");

    // A commit whose content is not what its attributes ask for differs from itself wherever it is checked out.
    fs::write(place.path("a/crlf.sh"), "1\r\n").unwrap();
    let id = super::line(&place.path("a"), &["hash-object", "-w", "--no-filters", "crlf.sh"]).unwrap();
    git(&place.path("a"), ["update-index", "--add", "--cacheinfo", &format!("100644,{id},crlf.sh")]);
    git(&place.path("a"), ["commit", "--quiet", "-m", "x"]);
    place.refused(&place.id("a", "HEAD"), false, "differs from its commit");
}

/// `a` has the submodule `b`, which has `c`.
fn nested() -> (Place, String, [String; 2]) {
    let (place, ..) = Place::new();
    for name in ["b", "c"] {
        place.repository(name);
    }
    let inner = place.commit("c", &[("file", "c\n")]);
    let add = |name: &str, module: &str| {
        let url = format!("../{module}");
        git(&place.path(name), ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, module]);
        place.commit(name, &[])
    };
    let middle = add("b", "c");
    let outer = add("a", "b");
    // The submodules move on; what is pinned stays.
    place.commit("c", &[("file", "moved\n")]);
    place.commit("b", &[("file", "moved\n")]);
    (place, outer, [middle, inner])
}

#[test]
fn submodules_are_refused_or_fetched_at_the_commits_that_the_tree_pins() {
    let (place, outer, [middle, inner]) = nested();
    place.refused(&outer, false, "--submodules");
    let found = place.check_out("a", &outer, true).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("b".to_owned(), middle), ("b/c".to_owned(), inner)]);
    assert_eq!(fs::read_to_string(place.path("out/b/c/file")).unwrap(), "c\n");
    assert!(!place.path("out/b/file").exists());
}

#[test]
fn submodules_that_are_not_pinned_or_nowhere_are_refused() {
    let (place, ..) = Place::new();
    let named = "[submodule \"x\"]\n\tpath = x\n\turl = https://git.example/x\n";
    let revision = place.commit("a", &[(".gitmodules", named)]);
    place.refused(&revision, true, "not pinned");

    git(&place.path("a"), ["update-index", "--add", "--cacheinfo", &format!("160000,{},x", "a".repeat(40))]);
    git(&place.path("a"), ["rm", "--quiet", "-f", ".gitmodules"]);
    git(&place.path("a"), ["commit", "--quiet", "-m", "x"]);
    place.refused(&place.id("a", "HEAD"), true, "does not say where");
}

#[test]
fn a_submodules_url_runs_no_program_and_reads_nothing_elsewhere_on_this_machine() {
    let (place, ..) = Place::new();
    let ran = place.path("ran");
    git(&place.path("a"), ["update-index", "--add", "--cacheinfo", &format!("160000,{},x", "a".repeat(40))]);
    for (url, words) in [
        (format!("ext::sh -c touch% {}", ran.display()), "not fetched from"),
        ("/etc".to_owned(), "not fetched from"),
        ("file:///etc".to_owned(), "not fetched from"),
        ("https://me:secret@git.example/x".to_owned(), "credentials"),
        // Whoever checks objects on arrival refuses a URL like an option.
        ("--upload-pack=evil".to_owned(), ""),
    ] {
        let file = format!("[submodule \"x\"]\n\tpath = x\n\turl = {url}\n\tupdate = !touch {}\n", ran.display());
        fs::write(place.path("a/.gitmodules"), file).unwrap();
        git(&place.path("a"), ["add", ".gitmodules"]);
        git(&place.path("a"), ["commit", "--quiet", "-m", "x"]);
        let refused = place.check_out("a", &place.id("a", "HEAD"), true).expect_err(&url);
        assert!(refused.text().contains(words) || refused.text().contains("gitmodules"), "{url}: {}", refused.text());
        assert!(!refused.text().contains("secret"), "{}", refused.text());
    }
    assert!(!ran.exists(), "a program ran");
}
