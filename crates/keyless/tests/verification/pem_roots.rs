//! A trusted root from PEM files, against what cosign and sigstore-js wrote.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::simple_signing::SIGNATURE_ANNOTATION;
use csign_keyless::{Artifact, Certified, KeylessError, MAX_TRUSTED_ROOT, PemRoots, TrustedRoot, Verifier};
use serde_json::Value;

use crate::{
    peers::{Written, read, written},
    world::{self, ARTIFACT, NOW, Request, SIGNED},
};

/// The files that cosign's variables would name, for the services of the fixtures.
#[derive(Clone)]
struct Files {
    fulcio: String,
    rekor: String,
    ct_log: String,
    tsa: Option<String>,
}

fn block(label: &str, base64: &Value) -> String {
    let der = BASE64_STANDARD.decode(base64.as_str().expect("base64")).expect("base64");
    world::pem(&der).replace("CERTIFICATE", label)
}

fn chain(authority: &Value) -> String {
    let list = authority["certChain"]["certificates"].as_array().expect("a chain");
    list.iter().map(|one| block("CERTIFICATE", &one["rawBytes"])).collect()
}

impl Files {
    /// Of this trusted root, with the key of this one of its logs.
    fn of(root: &Value, rekor: usize) -> Self {
        Self {
            fulcio: chain(&root["certificateAuthorities"][0]),
            rekor: block("PUBLIC KEY", &root["tlogs"][rekor]["publicKey"]["rawBytes"]),
            ct_log: block("PUBLIC KEY", &root["ctlogs"][0]["publicKey"]["rawBytes"]),
            tsa: Some(chain(&root["timestampAuthorities"][0])),
        }
    }

    fn fixtures(rekor: usize) -> Self {
        Self::of(&serde_json::from_slice(&read("trusted_root")).expect("JSON"), rekor)
    }

    fn root(&self) -> Result<TrustedRoot, KeylessError> {
        let Self { fulcio, rekor, ct_log, tsa } = self;
        TrustedRoot::from_pem(&PemRoots { fulcio, rekor, ct_log, tsa: tsa.as_deref() })
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(&self.root().expect("a root"), NOW).expect("a verifier")
    }

    fn refused(&self) -> String {
        let error = self.root().expect_err("a root");
        assert!(matches!(&error, KeylessError::Pem { .. }), "{error:?}");
        assert!(error.hint().expect("a hint").contains("SIGSTORE_ROOT_FILE"));
        error.to_string()
    }
}

fn edited(edit: impl FnOnce(&mut Files)) -> Files {
    let mut files = Files::fixtures(0);
    edit(&mut files);
    files
}

fn verify(name: &str, verifier: &Verifier) -> Result<Certified, KeylessError> {
    if name.starts_with("sigstore-js") {
        return verifier.verify_bundle(&read(name), Artifact::Bytes(ARTIFACT));
    }
    let Written { image, annotations, payload, bundle } = written(name);
    match annotations {
        none if none == BTreeMap::new() => {
            verifier.verify_bundle(bundle.to_string().as_bytes(), Artifact::Digest(&image))
        }
        annotations if name.starts_with("cosign-sig") => {
            let signature = BASE64_STANDARD.decode(&annotations[SIGNATURE_ANNOTATION]).expect("base64");
            verifier.verify_legacy(payload.as_bytes(), &signature, &annotations)
        }
        annotations => verifier.verify_legacy_attestation(payload.as_bytes(), Artifact::Digest(&image), &annotations),
    }
}

const ALL: [&str; 11] = [
    "cosign-att",
    "cosign-att-stamped",
    "cosign-bundle-rekor1",
    "cosign-bundle-rekor1-stamped",
    "cosign-bundle-rekor2",
    "cosign-sig",
    "cosign-sig-stamped",
    "sigstore-js-dsse",
    "sigstore-js-intoto",
    "sigstore-js-message",
    "sigstore-js-message-stamped",
];

#[test]
fn what_cosign_and_sigstore_js_wrote_verifies_under_pem_files_and_under_no_other_logs_key() {
    let (first, second) = (Files::fixtures(0).verifier(), Files::fixtures(1).verifier());
    for name in ALL {
        let (own, other) = if name == "cosign-bundle-rekor2" { (&second, &first) } else { (&first, &second) };
        let certified = verify(name, own).expect(name);
        assert_eq!((certified.signed_at, certified.identity.san.as_str()), (SIGNED, "https://example.com/release"));
        assert!(matches!(verify(name, other), Err(KeylessError::Log(_))), "{name} with another log's key");
    }
}

#[test]
fn keys_and_certificates_of_other_services_verify_nothing() {
    let stranger = Files::of(&world::trusted_root(), 0);
    for (what, files) in [
        ("the authority", edited(|files| files.fulcio = stranger.fulcio.clone())),
        ("Rekor", edited(|files| files.rekor = stranger.rekor.clone())),
        ("the certificate transparency log", edited(|files| files.ct_log = stranger.ct_log.clone())),
    ] {
        let error = verify("cosign-sig", &files.verifier()).expect_err(what);
        assert!(matches!(error, KeylessError::Certificate(_) | KeylessError::Log(_)), "{what}: {error:?}");
    }
}

#[test]
fn a_time_stamp_counts_under_its_own_authority_alone() {
    let stranger = Files::of(&world::trusted_root(), 0);
    for tsa in [None, stranger.tsa] {
        let verifier = edited(|files| files.tsa = tsa).verifier();
        assert!(verify("cosign-sig", &verifier).is_ok(), "a time of Rekor's needs none");
        let error = verify("sigstore-js-message-stamped", &verifier).expect_err("a time stamp");
        assert!(matches!(error, KeylessError::TimeStamp(_)), "{error:?}");
    }
}

#[test]
fn private_keys_garbage_and_files_of_another_kind_are_refused() {
    let good = Files::fixtures(0);
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = good.fulcio.replace("-----END", "");
    let (with_private, with_key) = (format!("{}{private}", good.fulcio), format!("{}{}", good.fulcio, good.rekor));
    for text in ["", "x", private, garbage, &cut, &with_private, &with_key, &good.rekor] {
        let said = edited(|files| text.clone_into(&mut files.fulcio)).refused();
        assert!(said.contains("Fulcio"), "{said}");
        assert_eq!(said.contains("a private key is in it"), text.contains("PRIVATE"), "{said}");
        let said = edited(|files| files.tsa = Some(text.to_owned())).refused();
        assert!(said.contains("time stamp authority"), "{said}");
    }
    let two = good.rekor.repeat(2);
    for text in ["", "x", private, garbage, &two, &good.fulcio, &good.rekor.replace("END", "")] {
        let said = edited(|files| text.clone_into(&mut files.rekor)).refused();
        assert!(said.contains("Rekor"), "{said}");
        let said = edited(|files| text.clone_into(&mut files.ct_log)).refused();
        assert!(said.contains("certificate transparency log"), "{said}");
    }
}

#[test]
fn a_signers_certificate_in_fulcios_file_makes_no_authority_of_the_signer() {
    let certificate = world::pem(&Request::default().certificate());
    let said = edited(|files| files.fulcio.push_str(&certificate)).refused();
    assert!(said.contains("not an authority's"), "{said}");
}

#[test]
fn a_time_stamp_authoritys_chain_ends_with_its_root() {
    let good = Files::fixtures(0);
    let tsa = good.tsa.expect("a chain");
    let half = tsa.find("-----BEGIN").map(|start| tsa[start + 1..].find("-----BEGIN").expect("two") + start + 1);
    let (leaf, root) = tsa.split_at(half.expect("two"));
    for chain in [leaf.to_owned(), root.to_owned(), format!("{root}{leaf}"), format!("{leaf}{}", good.fulcio)] {
        let said = edited(|files| files.tsa = Some(chain)).refused();
        assert!(said.contains("chain of at least two") || said.contains("followed by its issuer's"), "{said}");
    }
}

#[test]
fn comments_line_endings_and_a_second_authority_do_not_matter() {
    let stranger = Files::of(&world::trusted_root(), 0);
    let files = edited(|files| {
        files.fulcio = format!("subject=other\n{}subject=ours\n{}\n\n", stranger.fulcio, files.fulcio);
        for file in [&mut files.fulcio, &mut files.rekor, &mut files.ct_log] {
            *file = file.replace('\n', "\r\n");
        }
    });
    assert!(verify("cosign-sig", &files.verifier()).is_ok());
}

#[test]
fn huge_files_are_refused_before_they_are_parsed() {
    let files = edited(|files| files.rekor = " ".repeat(MAX_TRUSTED_ROOT + 1));
    assert!(matches!(files.root(), Err(KeylessError::TooLarge { .. })));
    let files = edited(|files| files.fulcio = files.fulcio.repeat(33));
    assert!(matches!(files.root(), Err(KeylessError::TooLarge { .. })));
}
