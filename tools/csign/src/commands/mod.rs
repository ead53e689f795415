//! One command, one file: its arguments and its `run`.

pub(crate) mod approve;
pub(crate) mod attach;
pub(crate) mod attach_attestation;
pub(crate) mod attach_sbom;
pub(crate) mod attest;
pub(crate) mod build;
pub(crate) mod clean;
pub(crate) mod collect;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod contract;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod digest;
pub(crate) mod download;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod generate_key_pair;
pub(crate) mod import_key_pair;
pub(crate) mod init;
pub(crate) mod lint;
pub(crate) mod load;
pub(crate) mod man;
pub(crate) mod policy;
pub(crate) mod preflight;
pub(crate) mod provenance;
pub(crate) mod public_key;
pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rebuild;
pub(crate) mod render;
pub(crate) mod request;
pub(crate) mod roster;
pub(crate) mod rotate;
pub(crate) mod save;
pub(crate) mod sbom;
pub(crate) mod sign;
pub(crate) mod token;
pub(crate) mod tree;
pub(crate) mod triangulate;
pub(crate) mod verify;
pub(crate) mod verify_attestation;

use std::{collections::BTreeMap, path::PathBuf};

use csign_envelope::{PredicateType, simple_signing};

use crate::failure::Failure;

/// The contract, for commands that need one.
#[derive(clap::Args)]
pub(crate) struct ContractArgs {
    /// The contract that all parties agreed on
    #[arg(long, value_name = "FILE", default_value = "collaboration.toml")]
    pub(crate) contract: PathBuf,
    /// Accept a contract for the simulator, whose verdicts no hardware protects
    #[arg(long)]
    pub(crate) allow_simulated: bool,
}

/// A private key, for commands that sign.
#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    /// Private key: a file in cosign's format, gcpkms://…/cryptoKeyVersions/N, hashivault://KEY/versions/N,
    /// openbao://KEY/versions/N, awskms:///ID-OR-ARN, or SCHEME://… with a program sigstore-kms-SCHEME on PATH
    #[arg(long, value_name = "KEY", value_parser = key_uri)]
    pub(crate) key: csign_keys::KeyUri,
    /// Algorithm of the key, where its type has several: for instance RSASSA_PSS_SHA256 (default: the type's usual one)
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) key_algorithm: Option<csign_envelope::SignatureAlgorithm>,
    /// File that holds the key file's password (else COSIGN_PASSWORD, else a prompt)
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// Parses a key reference; the advice belongs to the message, since clap prints nothing else.
fn key_uri(text: &str) -> Result<csign_keys::KeyUri, String> {
    text.parse().map_err(|error: csign_keys::KeysError| match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    })
}

/// Parses an annotation to sign or to ask for.
fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((simple_signing::PUB | simple_signing::SIGALG, _)) => Err("csign sets this annotation itself".to_owned()),
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an annotation is NAME=VALUE".to_owned()),
    }
}

/// Annotations by name. One name with two values is refused: whichever counts, the other would be lost.
fn annotations(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for (name, value) in pairs {
        if all.insert(name.clone(), value.clone()).is_some_and(|other| other != *value) {
            return Err(Failure::usage(format_args!("the annotation {name} is given with two values")));
        }
    }
    Ok(all)
}

/// Parses the type of an attestation.
fn predicate_type(text: &str) -> Result<PredicateType, String> {
    text.parse().map_err(|error: csign_envelope::PredicateError| error.to_string())
}
