//! Attaching signatures and attestations so that none is lost, although `.sig` and `.att` are tags that everyone
//! rewrites: each is kept where nobody else writes ([`crate::records`]), then everything that is kept is merged into the
//! tag ([`crate::merge`]).

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{
    dsse,
    sig_image::{SigImage, signature_layer},
    simple_signing::SIGNATURE_ANNOTATION,
};
use csign_oci::{Descriptor, Digest, Pinned, Tag};

use crate::{
    blob::{Content, Progress},
    client::Client,
    error::{Error, Result},
    manifest::TagOrDigest,
    merge::{Kept, Listing, Merge, SharedTag},
    records::{Family, Records},
};

/// A signature to attach. That it verifies is the caller's business; see `csign_trust`.
#[derive(Clone, Debug)]
pub struct SignatureLayer {
    /// The simple-signing payload, byte for byte as it was signed.
    pub payload: Vec<u8>,
    /// The signature, standard base64 without white space.
    pub signature_base64: String,
    /// The signer's key id: 64 lowercase hexadecimal digits.
    pub key_id: String,
    /// Annotations beside the signature's own.
    pub annotations: BTreeMap<String, String>,
}

/// An attestation to attach. That it verifies is the caller's business.
#[derive(Clone, Debug)]
pub struct AttestationLayer {
    /// The DSSE envelope, byte for byte.
    pub envelope: Vec<u8>,
    /// The predicate type of the statement in it, for readers that filter by it.
    pub predicate_type: String,
}

/// Whether the layer that is there already is a signature by the signer of the other one, over the same payload. ECDSA
/// signatures differ each time, so only verification tells.
pub type SameSigner<'a> = dyn Fn(&Descriptor, &SignatureLayer) -> bool + Send + Sync + 'a;

/// What an attach did. Everything that is kept was under the tag when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// How often the tag was written: 0 if everything was there, more than 1 if others wrote meanwhile.
    pub rounds: u32,
    /// Signatures or attestations under the tag at the end.
    pub signatures: usize,
}

impl Client {
    /// Attaches `ours` to `image`; nothing that is attached already is lost. A signer whose signature over the same
    /// payload is there already causes no write.
    ///
    /// # Errors
    /// [`Error::Incomplete`] names the keys whose signatures are missing after all rounds;
    /// [`Error::TooManySignatures`]; [`Error::SigImage`] if `.sig` is not what cosign writes; everything that keeps the
    /// registry from being read or written.
    pub async fn attach(
        &self,
        image: &Pinned,
        ours: &[SignatureLayer],
        same_signer: &SameSigner<'_>,
    ) -> Result<Attached> {
        let ours = ours.iter().map(|signature| Ok((signature, layer(signature)?))).collect::<Result<Vec<_>>>()?;
        let counts_as = |kept: &Descriptor, (signature, layer): &(&SignatureLayer, Descriptor)| {
            Family::Signatures.same(kept, layer) || same_signer(kept, signature)
        };
        let unkept = |listing: &Listing| -> Vec<&(&SignatureLayer, Descriptor)> {
            ours.iter().filter(|mine| !listing.kept.iter().any(|kept| counts_as(&kept.entry, mine))).collect()
        };

        // Keep ours, unless a signature of the same signer is kept. If one is in `.sig` only, keep that one: a writer
        // that has read `.sig` before it came could still drop it.
        let mut merge = Merge::new(self, image, LayersTag::new(self, image, Family::Signatures));
        let view = merge.look().await?;
        let present = view.document.as_ref().map_or(&[][..], |(sig, _)| sig.layers());
        let to_keep: Vec<_> = unkept(&view.listing)
            .into_iter()
            .map(|mine| (mine, present.iter().find(|layer| counts_as(layer, mine)).cloned()))
            .collect();
        check_count(
            image,
            Family::Signatures,
            present.len() + to_keep.iter().filter(|(_, present)| present.is_none()).count(),
        )?;
        let current = to_keep.is_empty();
        for ((signature, layer), present) in to_keep {
            let layer = present.unwrap_or_else(|| layer.clone());
            merge.shared.records.keep(&layer, &signature.payload, &signature.key_id).await?;
        }
        let unlisted =
            |listing: &Listing| unkept(listing).into_iter().map(|(signature, _)| signature.key_id.clone()).collect();
        let merged = merge.run(current.then_some(view), &unlisted).await?;
        Ok(Attached { rounds: merged.rounds, signatures: merged.entries })
    }

    /// Attaches attestations under the tag `.att`; nothing that is attached already is lost. An envelope that is there
    /// already causes no write.
    ///
    /// # Errors
    /// As [`Client::attach`].
    pub async fn attach_attestations(&self, image: &Pinned, ours: &[AttestationLayer]) -> Result<Attached> {
        let ours: Vec<(Descriptor, &AttestationLayer)> =
            ours.iter().map(|attestation| (attestation.layer(), attestation)).collect();
        let unkept = |listing: &Listing| -> Vec<&(Descriptor, &AttestationLayer)> {
            let is_kept = |layer: &Descriptor| listing.kept.iter().any(|kept| kept.entry.digest == layer.digest);
            ours.iter().filter(|(layer, _)| !is_kept(layer)).collect()
        };
        let mut merge = Merge::new(self, image, LayersTag::new(self, image, Family::Attestations));
        let view = merge.look().await?;
        let present = view.document.as_ref().map_or(0, |(tag, _)| tag.layers().len());
        let to_keep = unkept(&view.listing);
        check_count(image, Family::Attestations, present + to_keep.len())?;
        let current = to_keep.is_empty();
        for (layer, attestation) in to_keep {
            merge.shared.records.keep(layer, &attestation.envelope, &layer.digest.hex()).await?;
        }
        let unlisted = |listing: &Listing| unkept(listing).into_iter().map(|(layer, _)| layer.digest.hex()).collect();
        let merged = merge.run(current.then_some(view), &unlisted).await?;
        Ok(Attached { rounds: merged.rounds, signatures: merged.entries })
    }

    /// Merges everything that is kept into `.sig` and `.att` again, for instance after a tool that knows only the tags
    /// overwrote them.
    ///
    /// # Errors
    /// As [`Client::attach`].
    pub async fn repair(&self, image: &Pinned) -> Result<Attached> {
        let attached = self.attach(image, &[], &|_, _| false).await?;
        self.attach_attestations(image, &[]).await?;
        Ok(attached)
    }

    /// The `.sig`-shaped image under `tag` and its digest.
    pub(crate) async fn sig_image(&self, image: &Pinned, tag: &TagOrDigest) -> Result<Option<(SigImage, Digest)>> {
        let Some(fetched) = self.manifest(&image.repository, tag).await? else { return Ok(None) };
        let parsed = SigImage::parse(&fetched.bytes);
        let parsed = parsed.map_err(|source| Error::SigImage { image: image.clone(), source })?;
        Ok(Some((parsed, fetched.digest)))
    }

    /// Reads a configuration that csign did not write, so that the next one keeps what it says.
    pub(crate) async fn load_config(&self, image: &Pinned, sig: &mut SigImage) -> Result<()> {
        let Some(config) = sig.foreign_config() else { return Ok(()) };
        match self.blob(&image.repository, config).await {
            Ok(bytes) => sig.set_config(&bytes).map_err(|source| Error::SigImage { image: image.clone(), source }),
            // There is nothing left that could be kept.
            Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Pushes a `.sig`-shaped image. Its payloads must be there.
    pub(crate) async fn push_sig_image(&self, image: &Pinned, tag: &TagOrDigest, sig: &SigImage) -> Result<()> {
        let encoded = sig.encode().map_err(|source| Error::SigImage { image: image.clone(), source })?;
        let config = Descriptor::of(&encoded.config_media_type, &encoded.config);
        self.push_blob(&image.repository, &config, Content::Bytes(encoded.config.into()), &Progress::none()).await?;
        self.push_manifest(&image.repository, tag, &encoded.media_type, &encoded.manifest).await?;
        Ok(())
    }
}

/// `.sig` or `.att`, and the records of its layers.
pub(crate) struct LayersTag<'a> {
    client: &'a Client,
    image: &'a Pinned,
    family: Family,
    pub(crate) records: Records<'a>,
}

impl<'a> LayersTag<'a> {
    pub(crate) fn new(client: &'a Client, image: &'a Pinned, family: Family) -> Self {
        Self { client, image, family, records: Records::new(client, image, family) }
    }
}

impl SharedTag for LayersTag<'_> {
    type Document = SigImage;

    fn entries_are(&self) -> &'static str {
        match self.family {
            Family::Signatures => "the signature of key",
            Family::Attestations => "the attestation",
        }
    }

    fn tag(&self) -> Tag {
        Tag::for_digest(&self.image.digest, self.family.suffix())
    }

    fn entries(sig: &SigImage) -> &[Descriptor] {
        sig.layers()
    }

    fn same(&self, a: &Descriptor, b: &Descriptor) -> bool {
        self.family.same(a, b)
    }

    fn name(layer: &Descriptor) -> String {
        format!("of payload {}", layer.digest)
    }

    async fn list(&mut self) -> Result<Listing> {
        self.records.list().await
    }

    async fn read(&mut self) -> Result<Option<(SigImage, Digest)>> {
        self.client.sig_image(self.image, &self.tag().into()).await
    }

    async fn write(&mut self, before: Option<SigImage>, lacking: Vec<Kept>) -> Result<Vec<Descriptor>> {
        let mut sig = before.unwrap_or_else(SigImage::empty);
        check_count(self.image, self.family, sig.layers().len() + lacking.len())?;
        self.client.load_config(self.image, &mut sig).await?;
        lacking.into_iter().for_each(|kept| sig.append(kept.entry));
        self.client.push_sig_image(self.image, &self.tag().into(), &sig).await?;
        Ok(Vec::new())
    }
}

impl AttestationLayer {
    /// As cosign writes it: an empty signature annotation, since the signature is in the envelope.
    fn layer(&self) -> Descriptor {
        let mut layer = Descriptor::of(dsse::MEDIA_TYPE, &self.envelope);
        layer.annotations = BTreeMap::from([
            (SIGNATURE_ANNOTATION.to_owned(), String::new()),
            ("predicateType".to_owned(), self.predicate_type.clone()),
        ]);
        layer
    }
}

fn layer(signature: &SignatureLayer) -> Result<Descriptor> {
    let bad = || Error::BadSignature { key_id: signature.key_id.clone() };
    let bytes = BASE64_STANDARD.decode(&signature.signature_base64).map_err(|_| bad())?;
    Ok(signature_layer(&signature.payload, &bytes, &signature.annotations))
}

fn check_count(image: &Pinned, family: Family, count: usize) -> Result<()> {
    let limit = family.limit();
    if count > limit {
        return Err(Error::TooManySignatures { image: image.clone(), count, limit });
    }
    Ok(())
}
