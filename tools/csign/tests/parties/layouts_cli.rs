//! `--local-image`: what `csign save` stored is verified without any network, and damage is noticed.

use std::{fs, process::Command};

use csign_oci::Digest;
use tempfile::TempDir;

use crate::world::{Done, World};

/// A directory with keys a, b and c, and the layout `saved` of an image: a signed it in the legacy format, b with a
/// bundle; a attested in the legacy format, b with a bundle. The registry is gone.
struct Saved {
    directory: TempDir,
    image: String,
    digest: Digest,
}

impl Saved {
    fn new(world: World) -> Self {
        let image = world.image();
        world.write("p.json", "{\"foo\":\"bar\"}");
        for (name, format) in [("a", "legacy"), ("b", "bundle"), ("c", "legacy")] {
            world.key(name);
            if name != "c" {
                let key = format!("{name}.key");
                let by = ["--key", &key, "--format", format];
                world.csign(&[&["sign", &image], &by[..]].concat()).expect(0, &[]);
                world.csign(&[&["attest", &image, "--predicate", "p.json"], &by[..]].concat()).expect(0, &[]);
            }
        }
        world.contract(&["a", "b"]);
        world.csign(&["save", &image, "--dir", "saved"]).expect(0, &[]);
        let digest = world.digest;
        let (directory, _) = world.unplug();
        Self { directory, image, digest }
    }

    fn csign(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(crate::world::program());
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.output().expect("csign runs").into()
    }

    fn verify(&self, more: &[&str]) -> Done {
        self.csign(&[&["verify", &self.image, "--local-image", "saved", "--key", "a.pub"], more].concat())
    }

    fn repository(&self) -> &str {
        self.image.split_once('@').expect("digest").0
    }

    /// Every blob of the layout.
    fn blobs(&self) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("saved/blobs/sha256")).expect("blobs");
        entries.map(|entry| entry.expect("entry").path()).collect()
    }
}

#[test]
fn a_saved_image_is_verified_in_every_format_without_any_network() {
    for world in World::both() {
        let saved = Saved::new(world);
        saved.verify(&["--key", "b.pub"]).expect(0, &["VERIFIED", "2 of 2", &saved.digest.to_string()]);
        saved.verify(&["--key", "c.pub"]).expect(1, &["MISSING", "1 of 2"]);
        let local = ["--local-image", "saved"];
        let csign = |arguments: &[&str]| saved.csign(&[arguments, &local].concat());
        csign(&["verify", "--contract", "collaboration.toml"]).expect(0, &["2 of 2"]);
        csign(&["verify", "--offline", "--contract", "collaboration.toml"]).expect(0, &["2 of 2"]);
        csign(&["verify", "--key", "a.pub", "--key", "b.pub", "--signed-as", saved.repository()])
            .expect(0, &["2 of 2"]);
        csign(&["verify-attestation", &saved.image, "--key", "a.pub", "--key", "b.pub"]).expect(0, &["2 of 2"]);
        csign(&["verify-attestation", "--contract", "collaboration.toml"]).expect(0, &["2 of 2"]);
        csign(&["verify-attestation", "--contract", "collaboration.toml", "--type", "vuln"]).expect(1, &["MISSING"]);
        // The same from the registry, which is gone.
        saved.csign(&["verify", &saved.image, "--key", "a.pub"]).expect(3, &["UNCHECKED"]);
    }
}

#[test]
fn a_layout_of_another_image_or_repository_is_rejected() {
    let saved = Saved::new(World::new());
    let other = format!("{}@{}", saved.repository(), Digest::of("another image"));
    let verify = |image: &str| saved.csign(&["verify", image, "--local-image", "saved", "--key", "a.pub"]);
    verify(&other).expect(1, &["the layout holds", &saved.digest.to_string()]);
    verify(&format!("other.example/app@{}", saved.digest)).expect(1, &["WRONG REPOSITORY"]);
    let local = ["verify", "--local-image", "saved", "--key", "a.pub", "--signed-as", "other.example/app"];
    saved.csign(&local).expect(1, &["WRONG REPOSITORY"]);
}

#[test]
fn a_layout_whose_repository_nobody_names_is_wrong_usage() {
    let saved = Saved::new(World::new());
    for command in ["verify", "verify-attestation"] {
        saved.csign(&[command, "--local-image", "saved", "--key", "a.pub"]).expect(2, &["--signed-as REPOSITORY"]);
        saved.csign(&[command, "--key", "a.pub"]).expect(2, &["IMAGE@DIGEST"]);
    }
    for (signed_as, status) in [("nonsense", 2), ("", 2)] {
        let arguments = ["verify", "--local-image", "saved", "--key", "a.pub", "--signed-as", signed_as];
        saved.csign(&arguments).expect(status, &[]);
    }
}

#[test]
fn a_directory_that_is_no_layout_or_not_of_one_image_is_no_success() {
    let saved = Saved::new(World::new());
    let image = &saved.image;
    let verify = |directory: &str| saved.csign(&["verify", image, "--local-image", directory, "--key", "a.pub"]);
    fs::create_dir(saved.directory.path().join("empty")).expect("directory");
    for directory in ["absent", "empty", "a.pub"] {
        verify(directory).expect(3, &[directory]);
    }
    let index = saved.directory.path().join("saved/index.json");
    let text = fs::read_to_string(&index).expect("index");
    for bad in ["", "{}", "[]", "{\"schemaVersion\":2,\"manifests\":[]}", &text.replacen("{", "{\"manifests\":[],", 1)]
    {
        fs::write(&index, bad).expect("write");
        let done = verify("saved");
        assert_eq!(done.status, 3, "{bad} {done:?}");
    }
    fs::write(&index, text).expect("write");
    verify("saved").expect(0, &[]);
}

#[test]
fn no_blob_of_a_layout_can_be_changed_cut_or_taken_away_unnoticed() {
    let saved = Saved::new(World::new());
    let all = ["--key", "b.pub"];
    let attested = || {
        saved.csign(&["verify-attestation", &saved.image, "--local-image", "saved", "--key", "a.pub", "--key", "b.pub"])
    };
    let blobs = saved.blobs();
    assert!(blobs.len() > 8, "{blobs:?}");
    for path in blobs {
        let good = fs::read(&path).expect("blob");
        let mut changed = good.clone();
        *changed.last_mut().expect("content") ^= 1;
        for bad in [Some(changed.as_slice()), Some(&good[..good.len() - 1]), None] {
            match bad {
                Some(bytes) => fs::write(&path, bytes).expect("write"),
                None => fs::remove_file(&path).expect("remove"),
            }
            let (verified, attested) = (saved.verify(&all), attested());
            // Blobs that one command does not need are noticed by the other, or hold nothing but a payload that
            // signature and key determine.
            let said: Vec<i32> = vec![verified.status, attested.status];
            assert!(said.iter().all(|status| [0, 1, 3].contains(status)), "{path:?} {verified:?} {attested:?}");
            let is_derived =
                good.starts_with(b"{\"critical\"") || good == b"{}" || good.starts_with(b"{\"architecture\":\"\"");
            assert!(
                is_derived || said.iter().any(|status| *status != 0),
                "{path:?} {}",
                String::from_utf8_lossy(&good)
            );
        }
        fs::write(&path, good).expect("write");
    }
    saved.verify(&all).expect(0, &["2 of 2"]);
    attested().expect(0, &["2 of 2"]);
}

#[test]
fn a_damaged_image_is_rejected_though_its_signatures_are_whole() {
    let saved = Saved::new(World::new());
    let layout = csign_oci::Layout::open(saved.directory.path().join("saved")).expect("layout");
    let (descriptor, manifest) = layout.image().expect("image");
    for digest in manifest.layers.iter().map(|one| one.digest).chain([manifest.config.digest, descriptor.digest]) {
        let path = layout.blob_path(&digest);
        let good = fs::read(&path).expect("blob");
        let mut bad = good.clone();
        bad[0] ^= 1;
        fs::write(&path, &bad).expect("write");
        saved.verify(&[]).expect(1, &["the layout is damaged"]);
        fs::remove_file(&path).expect("remove");
        saved.verify(&[]).expect(3, &["reading blob"]);
        fs::write(&path, &good).expect("write");
    }
    saved.verify(&[]).expect(0, &["VERIFIED"]);
}
