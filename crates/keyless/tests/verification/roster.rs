//! Identities on a roster: `csign_trust` asks this crate about certificates.

use csign_contract::Threshold;
use csign_envelope::{dsse::IN_TOTO, simple_signing, statement::Statement};
use csign_keyless::{IdentityPolicy, Pattern};
use csign_oci::{Descriptor, Digest, Pinned, Repository};
use csign_trust::{Credential, ImageCheck, ImageReport, Need, PartyStatus, Roster, Signer, Verdict};
use serde_json::Value;

use crate::{
    peers,
    world::{EMAIL, ISSUER, Party, Request, SAN, SIGNED, sign_message, sign_statement, verifier},
};

fn policy(identity: Pattern, issuer: &str) -> IdentityPolicy {
    IdentityPolicy { identity, issuer: Pattern::exact(issuer).unwrap() }
}

fn roster(policies: Vec<IdentityPolicy>) -> Roster {
    let named = policies.into_iter().enumerate();
    let signers = named
        .map(|(at, policy)| Signer { name: format!("party-{at}"), credential: Credential::Identity(policy.into()) });
    Roster::new(signers.collect(), Threshold::All).unwrap()
}

fn exact(identity: &str) -> IdentityPolicy {
    policy(Pattern::exact(identity).unwrap(), ISSUER)
}

fn image() -> Pinned {
    Repository::parse("registry.example.com/app").unwrap().at(Digest::of(b"an image"))
}

fn signature(image: &Pinned, request: &Request) -> Value {
    let statement = Statement::signature(&image.digest, &std::collections::BTreeMap::new());
    sign_statement(request, IN_TOTO, &statement.to_bytes().unwrap()).bundle_v2()
}

fn judge(roster: &Roster, bundles: &[Value]) -> ImageReport {
    let image = image();
    let mut check = ImageCheck::new(&image, roster).with_certificates(verifier());
    bundles.iter().for_each(|bundle| check.bundle(bundle.to_string().as_bytes()));
    check.report()
}

#[test]
fn the_identity_that_was_asked_for_signs_an_image() {
    let bundle = signature(&image(), &Request::default());
    assert_eq!(judge(&roster(vec![exact(SAN)]), std::slice::from_ref(&bundle)).verdict(), Verdict::Verified);
    let team = policy(Pattern::regexp(".*@example\\.com").unwrap(), ISSUER);
    assert_eq!(judge(&roster(vec![team]), std::slice::from_ref(&bundle)).verdict(), Verdict::Verified);
    for other in [exact("other@example.com"), policy(Pattern::exact(SAN).unwrap(), "https://accounts.example.org")] {
        let report = judge(&roster(vec![other]), std::slice::from_ref(&bundle));
        assert_eq!(report.verdict(), Verdict::Rejected);
        assert!(report.unknown[0].problem.contains(SAN), "{:?}", report.unknown);
    }
}

#[test]
fn two_certificates_of_one_identity_count_once() {
    let other = Request {
        key: Party::Stranger,
        not_before: SIGNED - 30,
        names: vec![(EMAIL, "other@example.com".to_owned())],
        ..Request::default()
    };
    let again = Request { key: Party::Stranger, not_before: SIGNED - 30, ..Request::default() };
    let both = || roster(vec![exact(SAN), exact("other@example.com")]);
    let [first, second, third] = [Request::default(), again, other].map(|request| signature(&image(), &request));
    let report = judge(&both(), &[first.clone(), second]);
    assert_eq!((report.signed(), report.verdict()), (1, Verdict::Rejected));
    assert_eq!(judge(&both(), &[first, third]).verdict(), Verdict::Verified);
}

#[test]
fn a_certificate_over_another_image_or_a_predicate_of_another_kind_is_no_signature() {
    let another = image().repository.at(Digest::of(b"another image"));
    let report = judge(&roster(vec![exact(SAN)]), &[signature(&another, &Request::default())]);
    assert!(matches!(report.parties[0].status, PartyStatus::WrongDigest { .. }), "{:?}", report.parties);

    let mut statement = Statement::signature(&image().digest, &std::collections::BTreeMap::new());
    statement.predicate_type = "https://example.com/predicate/v1".to_owned();
    let attested = sign_statement(&Request::default(), IN_TOTO, &statement.to_bytes().unwrap()).bundle_v2();
    assert_eq!(judge(&roster(vec![exact(SAN)]), &[attested]).verdict(), Verdict::Rejected);
}

#[test]
fn a_bundle_over_bytes_is_no_signature_of_an_image() {
    let bundle = sign_message(&Request::default(), b"an image").bundle_v2();
    let report = judge(&roster(vec![exact(SAN)]), &[bundle]);
    assert_eq!(report.verdict(), Verdict::Rejected);
    assert!(report.unknown[0].problem.contains("a statement is wanted"), "{:?}", report.unknown);
}

#[test]
fn what_cosign_signed_keyless_is_counted_for_its_identity() {
    let identity = policy(Pattern::exact("https://example.com/release").unwrap(), ISSUER);
    let (roster, verifier) = (roster(vec![identity]), peers::verifier());

    let written = peers::written("cosign-bundle-rekor2");
    let image = image().repository.at(written.image);
    let mut check = ImageCheck::new(&image, &roster).with_certificates(&verifier);
    check.bundle(written.bundle.to_string().as_bytes());
    assert_eq!(check.report().verdict(), Verdict::Verified);

    let written = peers::written("cosign-sig");
    let payload = simple_signing::Payload::parse(written.payload.as_bytes()).unwrap();
    let image = Repository::parse(&payload.critical.identity.docker_reference).unwrap().at(written.image);
    let mut check = ImageCheck::new(&image, &roster).with_certificates(&verifier);
    let layer = Descriptor {
        annotations: written.annotations,
        ..Descriptor::of(simple_signing::MEDIA_TYPE, written.payload.as_bytes())
    };
    if check.layer(&layer) == Need::Payload {
        check.payload(&layer, written.payload.as_bytes());
    }
    assert_eq!(check.report().verdict(), Verdict::Verified);
}
