//! Is an exported machine the one that the contract and the agreed image ask for? The rules find mistakes in what an export says; this
//! also asks for what must stand in it.

use csign_contract::Contract;
use csign_oci::Digest;
use serde::Serialize;

use crate::{
    finding::printable,
    read::{Document, Instance, Item},
};

/// Longest foreign value, in characters.
const MAX_VALUE: usize = 300;

/// What an export says about the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// What is not as it must be.
    pub wrong: Vec<String>,
    /// What the export does not say.
    pub unknown: Vec<String>,
}

/// Compares the one machine in `documents` with `image` and `contract`. What [`crate::lint`] finds is not repeated.
pub fn machine(documents: &[Document], contract: &Contract, image: &Digest) -> Machine {
    let mut result = Machine::default();
    let mut machines =
        documents.iter().flat_map(|document| &document.items).filter_map(|located| match &located.item {
            Item::Instance(instance) => Some(instance.as_ref()),
            _ => None,
        });
    match (machines.next(), machines.next()) {
        (Some(one), None) => compare(one, contract, image, &mut result),
        (None, _) => result.unknown.push("no machine is described".to_owned()),
        (Some(_), Some(_)) => result.unknown.push("several machines are described".to_owned()),
    }
    result
}

fn compare(machine: &Instance, contract: &Contract, image: &Digest, result: &mut Machine) {
    let want = format!("{}@{image}", contract.image.repository);
    match machine.metadata.get("tee-image-reference") {
        Some((_, found)) if *found == want => {}
        Some((_, found)) => {
            result.wrong.push(format!("tee-image-reference is {}, not {want}", printable(found, MAX_VALUE)));
        }
        None => result.unknown.push("tee-image-reference".to_owned()),
    }
    for (what, there) in [
        ("the project", machine.project.is_some()),
        ("the service account", machine.account.is_some()),
        ("the account's scopes", machine.scopes.is_some()),
        ("whether confidential computing is on", machine.confidential.is_some()),
        ("whether secure boot is on", machine.secure_boot.is_some()),
        ("all of its metadata", machine.complete),
    ] {
        if !there {
            result.unknown.push(what.to_owned());
        }
    }
    // The debug image has a rule of its own.
    if !machine.images.iter().any(|(_, image)| image.contains("confidential-space")) {
        result.unknown.push("that it boots an image of Confidential Space".to_owned());
    }
}
