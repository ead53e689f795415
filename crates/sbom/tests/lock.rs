//! Lock files as cargo writes them, and as somebody with bad intentions would.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use csign_oci::Digest;
use csign_sbom::{Crates, LinkedCrate, LockFile, Origin, SbomError, Scope, lock, purl};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn package(name: &str, version: &str, rest: &str) -> String {
    format!("[[package]]\nname = {name:?}\nversion = {version:?}\n{rest}\n")
}

fn parse(packages: &[String]) -> Result<LockFile, SbomError> {
    LockFile::parse(format!("version = 4\n{}", packages.concat()).as_bytes())
}

#[test]
fn the_lock_file_of_this_repository_is_read_whole() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
    let lock = LockFile::parse(&bytes).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(lock.packages.len(), text.matches("[[package]]").count());
    assert_eq!(lock.digest, Digest::of(&bytes));
    let checksums = lock.packages.iter().filter(|package| package.checksum.is_some()).count();
    assert_eq!(checksums, text.matches("\nchecksum = ").count());
    let own = &lock.packages[lock.find("csign-sbom", "0.1.0", None).unwrap()];
    assert_eq!(own.origin, Origin::Path);
    let names: Vec<&str> = own.dependencies.iter().map(|at| lock.packages[*at].name.as_str()).collect();
    assert!(names.contains(&"csign-oci") && names.contains(&"toml"), "{names:?}");
}

#[test]
fn sources_of_every_kind_are_told_apart_and_lose_their_credentials() {
    let revision = "a".repeat(40);
    let lock = parse(&[
        package("git", "1.0.0", &format!("source = \"git+https://me:secret@git.example/x?branch=main#{revision}\"")),
        package("local", "1.0.0", ""),
        package("mirror", "1.0.0", "source = \"sparse+https://me:secret@mirror.example/index/\""),
        package("public", "1.0.0+x", &format!("source = {CRATES_IO:?}\nchecksum = \"{}\"", "0".repeat(64))),
    ])
    .unwrap();
    let origins: Vec<&Origin> = lock.packages.iter().map(|package| &package.origin).collect();
    let url = "https://git.example/x".to_owned();
    assert_eq!(
        origins,
        [
            &Origin::Git { url, revision: revision.clone() },
            &Origin::Path,
            &Origin::Registry("sparse+https://mirror.example/index/".to_owned()),
            &Origin::CratesIo
        ]
    );
    let urls: Vec<Option<String>> = lock.packages.iter().map(purl::cargo).collect();
    assert_eq!(urls[0], Some(format!("pkg:cargo/git@1.0.0?vcs_url=git%2Bhttps://git.example/x%40{revision}")));
    assert_eq!(urls[1], None, "crates.io may have another crate of that name");
    assert_eq!(
        urls[2].as_deref(),
        Some("pkg:cargo/mirror@1.0.0?repository_url=sparse%2Bhttps://mirror.example/index/")
    );
    assert_eq!(urls[3].as_deref(), Some("pkg:cargo/public@1.0.0%2Bx"));
    assert!(lock.packages[0].checksum.is_none() && lock.packages[3].checksum.is_some());
    assert!(lock.packages.iter().all(|package| !package.reference().contains("secret")));
    assert!(!format!("{lock:?}").contains("secret"));
    let unknown = package("a", "1.0.0", "dependencies = [\"b 1.0.0 (git+https://me:secret@git.example/x)\"]");
    assert!(!parse(&[unknown]).expect_err("no such package").to_string().contains("secret"));
}

#[test]
fn packages_that_cargo_could_not_have_written_are_refused() {
    let long = "x".repeat(300);
    for bad in [
        package("a\u{1}b", "1.0.0", ""),
        package("a b", "1.0.0", ""),
        package("a/b", "1.0.0", ""),
        package("é", "1.0.0", ""),
        package("", "1.0.0", ""),
        package(&long, "1.0.0", ""),
        package("a", "1.0.0\n", ""),
        package("a", "", ""),
        package("a", &long, ""),
        package("a", "1.0.0", "source = \"registry+file\""),
        package("a", "1.0.0", "source = \"ftp+ftp://x\""),
        package("a", "1.0.0", "source = \"registry+https://x\\ny\""),
        package("a", "1.0.0", "source = \"git+https://x#main\""),
        package("a", "1.0.0", "source = \"git+https://x\""),
        package("a", "1.0.0", "checksum = \"0\""),
        package("a", "1.0.0", "checksum = \"<none>\""),
        package("a", "1.0.0", &format!("checksum = \"{}\"", "A".repeat(64))),
        package("a", "1.0.0", "dependencies = [1]"),
    ] {
        assert!(parse(std::slice::from_ref(&bad)).is_err(), "accepted: {bad}");
    }
}

#[test]
fn a_package_that_is_there_twice_is_refused() {
    let twice = [package("a", "1.0.0", ""), package("b", "1.0.0", ""), package("a", "1.0.0", "")];
    assert!(matches!(parse(&twice), Err(SbomError::Package { why: "is there twice", .. })));
    assert!(parse(&[package("a", "1.0.0", ""), package("a", "1.0.1", "")]).is_ok());
}

#[test]
fn a_dependency_that_means_none_or_several_packages_is_refused() {
    let two = [package("a", "1.0.0", ""), package("a", "2.0.0", "")];
    let depends = |on: &str| parse(&[two.concat(), package("b", "1.0.0", &format!("dependencies = [{on:?}]"))]);
    for bad in ["a", "c", "a 3.0.0", "a 1.0.0 (registry+https://x)", "", " ", "a  1.0.0"] {
        assert!(matches!(depends(bad), Err(SbomError::Dependency { .. })), "{bad:?} was accepted");
    }
    let lock = depends("a 2.0.0").unwrap();
    assert_eq!(lock.packages[2].dependencies, [1]);
}

#[test]
fn a_dependency_names_a_git_source_without_its_commit() {
    let git = |host: &str| format!("source = \"git+https://{host}/x#{}\"", "a".repeat(40));
    let two = [package("a", "1.0.0", &git("one.example")), package("a", "1.0.0", &git("two.example"))];
    let on = package("b", "1.0.0", "dependencies = [\"a 1.0.0 (git+https://two.example/x)\"]");
    let lock = parse(&[two.concat(), on]).unwrap();
    assert_eq!(lock.packages[2].dependencies, [1]);
    assert!(lock.find("a", "1.0.0", None).is_err(), "two packages of one name and version are not guessed at");
}

#[test]
fn unknown_versions_and_huge_files_are_refused() {
    for bad in [
        "",
        "version = 2",
        "version = 5",
        "version = -1",
        "version = 4.0",
        "version = \"4\"",
        "version = 4\nversion = 4",
    ] {
        assert!(LockFile::parse(bad.as_bytes()).is_err(), "{bad:?} was accepted");
    }
    assert!(LockFile::parse(b"version = 4\n\xff").is_err());
    assert!(matches!(
        LockFile::parse(&vec![b'\n'; lock::MAX_BYTES + 1]),
        Err(SbomError::LockTooLarge { what: "bytes", .. })
    ));
    let many: Vec<String> = (0..20_001).map(|n| package(&format!("a{n}"), "1.0.0", "")).collect();
    assert!(matches!(parse(&many), Err(SbomError::LockTooLarge { what: "packages", .. })));
    let deep = format!("version = 4\nx = {}", "[".repeat(100_000));
    assert!(LockFile::parse(deep.as_bytes()).is_err());
}

#[test]
fn order_in_the_file_changes_nothing_but_its_digest() {
    let one = package("b", "1.0.0", "dependencies = [\"a\"]");
    let (a, b) = (parse(&[one.clone(), package("a", "1.0.0", "")]), parse(&[package("a", "1.0.0", ""), one]));
    assert_eq!(a.unwrap().packages, b.unwrap().packages);
}

#[test]
fn crates_that_the_lock_file_does_not_have_are_not_listed_silently() {
    let lock = parse(&[package("app", "1.0.0", "dependencies = [\"b\"]"), package("b", "1.0.0", "")]).unwrap();
    let linked = |name: &str, source: Option<&str>, dependencies: &[usize]| LinkedCrate {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        source: source.map(|text| lock::Spelling::new(text.to_owned())),
        license: None,
        dependencies: dependencies.to_vec(),
    };
    let crates = Crates::linked(&lock, &[linked("app", None, &[1]), linked("b", None, &[])], "t", "1.0.0").unwrap();
    assert!(matches!(crates.scope, Scope::Linked { root: 0, .. }));
    assert_eq!(crates.list[0].package.dependencies, [1]);
    let absent = [linked("app", None, &[1]), linked("c", None, &[])];
    assert!(matches!(Crates::linked(&lock, &absent, "t", "1"), Err(SbomError::NotLocked { found: 0, .. })));
    let elsewhere = [linked("app", None, &[1]), linked("b", Some(CRATES_IO), &[])];
    assert!(Crates::linked(&lock, &elsewhere, "t", "1").is_err(), "the same name from another source");
    assert!(Crates::linked(&lock, &[linked("app", None, &[7])], "t", "1").is_err(), "a place that is none");
    assert!(Crates::linked(&lock, &[], "t", "1").is_err());
}
