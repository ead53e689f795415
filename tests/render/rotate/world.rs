//! Two collaborators, an operator, a builder, and a cloud in which the old image runs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use csign_contract::Contract;
use csign_oci::Digest;
use csign_render::{Change, Files, Input, Rotation, Settings, Target, render, rotate};
use csign_tests::process::Finished;
use serde_json::{Value, json};
use simulator::attestation::{Container, TokenOptions, Vm};

use crate::{
    released::{Released, audience_of, container, vm},
    scene::{Cloud, REPOSITORY, ROLES, contract, role, settings},
};

pub(super) const ONE: &str = "collaborator-collaborator-1";
pub(super) const TWO: &str = "collaborator-collaborator-2";

pub(super) fn old() -> Digest {
    Digest::of("the old image")
}

pub(super) fn new() -> Digest {
    Digest::of("the new image")
}

/// What all parties set; approvals are made with keys in files.
pub(super) fn common() -> Settings {
    let mut settings = settings();
    settings.collaborator.signing_key = None;
    settings
}

pub(super) fn change<'a>(before: &'a Contract, after: &'a Contract, settings: &'a Settings) -> Change<'a> {
    Change {
        before,
        after,
        settings,
        from: old(),
        to: Some(new()),
        revoke: false,
        roles: &[],
        targets: &[Target::Gcloud],
        needs_proof: true,
    }
}

/// One directory of a rotation.
pub(super) fn part(files: &Files, directory: &str) -> Files {
    let files = files.iter();
    let inside = files
        .filter_map(|(name, file)| Some((name.strip_prefix(directory)?.strip_prefix('/')?.to_owned(), file.clone())));
    inside.collect()
}

/// The machine and the container that a contract asks for, with this image.
pub(super) fn workload(contract: &Contract, digest: Digest) -> (Vm, Container) {
    let (mut vm, mut container) = (vm(), container());
    vm.service_account = contract.operator.service_account.clone();
    if contract.platform.hardware == ["GCP_AMD_SEV"] {
        vm.platform.hardware = simulator::attestation::Hardware::AmdSev;
    }
    container.image_digest = digest;
    container.image_reference = format!("{REPOSITORY}@{digest}");
    container.image_signatures.clear();
    container.image_signatures.extend(contract.parties.iter().map(|party| simulator::attestation::ImageSignature {
        key_id: party.public_key.id().to_string(),
        signature: "MEUC".to_owned(),
        signature_algorithm: party.public_key.algorithm().to_string(),
    }));
    (vm, container)
}

/// The cloud, and both collaborators' simulators.
pub(super) struct World {
    pub(super) cloud: Cloud,
    pub(super) released: BTreeMap<u32, Released>,
}

impl World {
    /// Everything that the old image needs, made by the scripts of `csign render`; once for each contract and settings, since
    /// that is some hundred calls.
    pub(super) fn of(contract: &Contract, settings: &Settings) -> Self {
        static MADE: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let state = made.entry(format!("{contract:?} {settings:?}")).or_insert_with(|| {
            let cloud = Cloud::new();
            for who in ROLES {
                let input = Input { contract, settings, digests: &[old()] };
                cloud.run(&render(Target::Gcloud, &role(who), input).unwrap(), &[]).success();
            }
            cloud.state()
        });
        let cloud = Cloud::new();
        cloud.set_state(state);
        drop(made);
        Self::from(cloud)
    }

    /// That of the usual contract and settings.
    pub(super) fn usual() -> Self {
        Self::of(&contract(""), &common())
    }

    fn from(cloud: Cloud) -> Self {
        let state = cloud.state();
        cloud.calls();
        let released = [1, 2].map(|number| (number, Released::of(&state, number)));
        Self { cloud, released: released.into() }
    }

    pub(super) fn run(&self, rotation: &Rotation, directory: &str, arguments: &[&str]) -> Finished {
        let files = part(&rotation.files, directory);
        assert!(!files.is_empty(), "there is no {directory}");
        self.cloud.run(&files, arguments)
    }

    /// Runs a step, which its check refuses before and passes after.
    pub(super) fn step(&self, rotation: &Rotation, directory: &str, arguments: &[&str]) {
        let before = self.run(rotation, directory, &["--check"]);
        assert_eq!(before.code, Some(1), "{directory}: {before}");
        self.run(rotation, directory, arguments).success();
        assert!(self.run(rotation, directory, &["--check"]).success().contains(": 0 to change"));
    }

    /// Runs it once more: nothing changes.
    pub(super) fn again(&self, rotation: &Rotation, directory: &str, arguments: &[&str]) {
        let state = self.cloud.state();
        assert!(self.run(rotation, directory, arguments).success().contains(": 0 changed"));
        assert_eq!(self.cloud.state(), state);
    }

    /// The new image decrypts somewhere, and the audit log says so.
    pub(super) fn works(&self, digest: Digest) {
        let mut state = self.cloud.state();
        for number in [1, 2] {
            let pool = audience_of(number, "x").replace("//iam.googleapis.com/", "principal://iam.googleapis.com/");
            let subject = pool.replace("/providers/x", &format!("/subject/gcpcs::{digest}::100000000001::4"));
            state["used"][format!("project-{number}")] = json!([subject]);
        }
        self.cloud.set_state(&state);
    }

    /// Does this collaborator release the key to the workload of this contract and image?
    pub(super) fn admits(&self, number: u32, contract: &Contract, digest: Digest) -> Result<(), String> {
        self.admits_workload(number, contract, &workload(contract, digest))
    }

    /// The same for any machine and container, at the provider that the contract names.
    pub(super) fn admits_workload(
        &self,
        number: u32,
        contract: &Contract,
        (vm, container): &(Vm, Container),
    ) -> Result<(), String> {
        let released = &self.released[&number];
        released.apply(&self.cloud.state());
        let (_, collaborator) = contract.collaborator(&format!("collaborator-{number}")).unwrap();
        let audience = collaborator.identity_provider.clone();
        let options = TokenOptions { audience: audience.clone(), nonces: Vec::new() };
        let token = released.simulator.issuer().token(vm, container, &options).unwrap();
        released.decrypt_at(&audience, &token)
    }

    /// Which of the old and the new image every collaborator admits: `(old, new)`. Any other image is refused.
    pub(super) fn admitted(&self, number: u32, before: &Contract, after: &Contract) -> (bool, bool) {
        for (contract, digest) in
            [(before, Digest::of("another")), (after, Digest::of("another")), (after, Digest::of("the new image "))]
        {
            let refused = self.admits(number, contract, digest).expect_err("another image");
            assert!(refused.starts_with("STS: "), "{refused}");
        }
        (self.admits(number, before, old()).is_ok(), self.admits(number, after, new()).is_ok())
    }
}

/// The usual rotation.
pub(super) fn usual() -> Rotation {
    let contract = contract("");
    rotate(change(&contract, &contract, &common())).unwrap()
}
