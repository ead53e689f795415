//! Sigstore bundles as referrers: which format to write, and attaching without writing the same twice.

use std::collections::BTreeMap;

use csign_contract::Threshold;
use csign_envelope::{
    PredicateType, PublicKey,
    bundle::{self, Bundle},
    statement::SIGN_PREDICATE,
};
use csign_oci::Pinned;
use csign_registry::{
    Client, Referrer,
    evidence::{self, Place},
};
use csign_trust::{AttestationCheck, ImageCheck, PartyStatus, Roster, Signer, Source};

use crate::{context::Context, failure::Failure};

/// In which format signatures and attestations are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The tags .sig and .att, which every cosign and Confidential Space read.
    Legacy,
    /// Sigstore bundles as referrers, cosign 3's default.
    Bundle,
    /// Both.
    Both,
}

impl Format {
    /// The word on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Bundle => "bundle",
            Self::Both => "both",
        }
    }

    pub(crate) fn has_legacy(self) -> bool {
        self != Self::Bundle
    }

    pub(crate) fn has_bundle(self) -> bool {
        self != Self::Legacy
    }

    /// The format to use: as asked; else both, where a contract asks for Confidential Space (which reads the tag) and the
    /// registry lists referrers; else legacy.
    pub(crate) async fn choose(
        asked: Option<Self>,
        confidential_space: bool,
        client: &Client,
        place: &Pinned,
    ) -> Result<Self, Failure> {
        match asked {
            Some(format) => Ok(format),
            None if confidential_space && client.lists_referrers(place).await? => Ok(Self::Both),
            None => Ok(Self::Legacy),
        }
    }
}

/// Attaches a bundle that signs or attests `image`. `predicate` is the type of its statement.
async fn push(
    client: &Client,
    image: &Pinned,
    bundle: &[u8],
    predicate: &str,
    context: &Context,
) -> Result<(), Failure> {
    let referrer = Referrer {
        artifact_type: bundle::MEDIA_TYPE.to_owned(),
        annotations: BTreeMap::from([
            (bundle::CONTENT_ANNOTATION.to_owned(), bundle::CONTENT_DSSE.to_owned()),
            (bundle::PREDICATE_ANNOTATION.to_owned(), predicate.to_owned()),
            ("org.opencontainers.image.created".to_owned(), context.timestamp()?),
        ]),
        layers: vec![(bundle::MEDIA_TYPE.to_owned(), bundle.to_vec().into())],
    };
    let place = context.attachments_of(image);
    let pushed = client.push_referrer_to(image, &place.repository, &referrer).await?;
    if pushed.rounds > 1 {
        context.note(format_args!("others wrote at the same time; merged in {} rounds", pushed.rounds));
    }
    Ok(())
}

/// Attaches the bundle by which `key` signs `image`, unless a bundle of that key over these annotations is there.
pub(crate) async fn attach_signature(
    client: &Client,
    image: &Pinned,
    bundle: &Bundle,
    key: &PublicKey,
    annotations: &BTreeMap<String, String>,
    context: &Context,
) -> Result<(), Failure> {
    let roster = Roster::new(vec![Signer::with_key("signer", key.clone())], Threshold::All)?;
    let mut check = ImageCheck::new(image, &roster).with_annotations(annotations.clone());
    evidence::gather_bundles(&Place::Registry(client, context.attachments_of(image)), &mut check).await;
    let report = check.report();
    let signed = PartyStatus::Signed { source: Source::Bundle };
    if report.parties.iter().any(|row| row.status == signed) {
        context.note(format_args!("a bundle signed with {} is attached already", key.id()));
        return Ok(());
    }
    push(client, image, &to_bytes(bundle)?, SIGN_PREDICATE, context).await
}

/// Attaches the bundle by which `key` attests `image`, unless that very statement of the key is attached as a bundle.
pub(crate) async fn attach_attestation(
    client: &Client,
    image: &Pinned,
    bundle: &Bundle,
    key: &PublicKey,
    kind: &PredicateType,
    context: &Context,
) -> Result<(), Failure> {
    let roster = Roster::new(vec![Signer::with_key("signer", key.clone())], Threshold::All)?;
    let mut check = AttestationCheck::new(image, &roster, kind, []);
    evidence::gather_attestation_bundles(&Place::Registry(client, context.attachments_of(image)), &mut check).await;
    let ours = bundle.dsse_envelope.verify(key).ok().and_then(|payload| serde_json::from_slice(&payload).ok());
    let is_there = |ours: &serde_json::Value| check.report().statements.iter().any(|one| one.statement == *ours);
    if ours.as_ref().is_some_and(is_there) {
        context.note("this very attestation is attached already");
        return Ok(());
    }
    push(client, image, &to_bytes(bundle)?, kind.uri(), context).await
}

/// Attaches a bundle that was made elsewhere, with whatever key or certificate, unless it is there.
pub(crate) async fn attach_foreign(
    client: &Client,
    image: &Pinned,
    bundle: &[u8],
    predicate: &str,
    context: &Context,
) -> Result<(), Failure> {
    if evidence::has_bundle(&Place::Registry(client, context.attachments_of(image)), bundle).await {
        context.note("this very bundle is attached already");
        return Ok(());
    }
    push(client, image, bundle, predicate, context).await
}

/// A bundle's bytes, as they are attached and written to files.
pub(crate) fn to_bytes(bundle: &Bundle) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(bundle).map_err(Failure::could_not_check)
}
