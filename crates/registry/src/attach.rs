//! Attaching signatures so that none is lost, although `.sig` is one tag that everyone rewrites.
//!
//! 1. Each writer first keeps its signature where nobody else writes ([`crate::records`]).
//! 2. It lists everything that is kept and reads `.sig`.
//! 3. If `.sig` lacks something that is kept, it puts `.sig` again with what was there and what was lacking, and goes
//!    back to 2.
//!
//! It is done only when a listing and a read that came after its last put show nothing lacking. Whoever puts last thus
//! lists after its put and sees every signature kept before; one kept later has a writer who will put later still. A
//! tool that knows only `.sig` and overwrites it is repaired by the next writer or by [`Client::repair`].

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{
    sig_image::{MAX_SIGNATURES, SigImage, signature_layer},
    simple_signing::SIGNATURE_ANNOTATION,
};
use csign_oci::{Descriptor, Digest, Pinned, Tag};
use tokio::time::Instant;

use crate::{
    blob::{Content, Progress},
    client::Client,
    error::{Error, Result},
    manifest::TagOrDigest,
    records::{Kept, Listing, Records},
    retry::jitter,
};

/// How often a put is put off because somebody else has just written, before it is done all the same.
const YIELDS: u32 = 2;

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

/// Whether the layer that is there already is a signature by the signer of the other one, over the same payload. ECDSA
/// signatures differ each time, so only verification tells.
pub type SameSigner<'a> = dyn Fn(&Descriptor, &SignatureLayer) -> bool + Send + Sync + 'a;

/// What an attach did. Everything that is kept was in `.sig` when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// How often `.sig` was written: 0 if everything was there, more than 1 if others wrote meanwhile.
    pub rounds: u32,
    /// Signatures in `.sig` at the end.
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
        let mut records = Records::new(self, image);
        let counts_as = |kept: &Descriptor, (signature, layer): &(&SignatureLayer, Descriptor)| {
            same_layer(kept, layer) || same_signer(kept, signature)
        };

        // 1. Keep ours, unless a signature of the same signer is kept. If one is in `.sig` only, keep that one: a writer
        // that has read `.sig` before it came could still drop it.
        let mut listing = records.list().await?;
        let mut sig = self.sig_image(image, &sig_tag(image)).await?;
        let present = sig.as_ref().map_or(&[][..], |(sig, _)| sig.layers());
        let unkept = |listing: &Listing| -> Vec<&(&SignatureLayer, Descriptor)> {
            ours.iter().filter(|mine| !listing.kept.iter().any(|kept| counts_as(&kept.layer, mine))).collect()
        };
        let to_keep: Vec<_> = unkept(&listing)
            .into_iter()
            .map(|mine| (mine, present.iter().find(|layer| counts_as(layer, mine)).cloned()))
            .collect();
        check_count(image, present.len() + to_keep.iter().filter(|(_, present)| present.is_none()).count())?;
        let mut merge = Merge { client: self, image, seen: Vec::new(), rounds: 0, yielded: 0 };
        merge.see(&listing, present);
        let mut current = to_keep.is_empty();
        for ((signature, layer), present) in to_keep {
            records.keep(&present.unwrap_or_else(|| layer.clone()), &signature.payload, &signature.key_id).await?;
        }

        // 2. and 3.
        let (limits, start, mut paused) = (&self.inner.limits, Instant::now(), false);
        loop {
            if !current {
                listing = records.list().await?;
                sig = self.sig_image(image, &sig_tag(image)).await?;
            }
            current = false;
            let unlisted = unkept(&listing).into_iter().map(|(signature, _)| signature.key_id.clone());
            let mut missing: Vec<String> = unlisted.chain(listing.gone.iter().cloned()).collect();
            let lacking = merge.lacking(&listing, sig.as_ref().map_or(&[][..], |(sig, _)| sig.layers()));
            if missing.is_empty() && lacking.is_empty() {
                let signatures = sig.map_or(0, |(sig, _)| sig.layers().len());
                return Ok(Attached { rounds: merge.rounds, signatures });
            }
            if merge.rounds >= limits.attach_rounds || start.elapsed() >= limits.attach_time {
                missing.extend(lacking.into_iter().map(|kept| kept.signer));
                missing.sort();
                missing.dedup();
                return Err(Error::Incomplete { image: image.clone(), missing, rounds: merge.rounds });
            }
            // Somebody has written over our put: let others finish, then look again before the next.
            let wait = merge.rounds > 0 && !paused;
            paused = wait || !merge.put(sig.take(), lacking).await?;
            if paused {
                tokio::time::sleep(jitter(limits.attach_pause)).await;
            }
        }
    }

    /// Merges everything that is kept into `.sig` again, for instance after a tool that knows only `.sig` overwrote it.
    ///
    /// # Errors
    /// As [`Client::attach`].
    pub async fn repair(&self, image: &Pinned) -> Result<Attached> {
        self.attach(image, &[], &|_, _| false).await
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

/// The state of one attach between its rounds.
struct Merge<'a> {
    client: &'a Client,
    image: &'a Pinned,
    /// Every layer seen so far in a record or in `.sig`: what a foreign writer drops is put back.
    seen: Vec<Kept>,
    rounds: u32,
    yielded: u32,
}

impl Merge<'_> {
    /// Notes what a listing and a read of `.sig` showed.
    fn see(&mut self, listing: &Listing, present: &[Descriptor]) {
        let foreign =
            |layer: &Descriptor| Kept { layer: layer.clone(), signer: format!("of payload {}", layer.digest) };
        for kept in listing.kept.iter().cloned().chain(present.iter().map(foreign)) {
            if !self.seen.iter().any(|seen| same_layer(&seen.layer, &kept.layer)) {
                self.seen.push(kept);
            }
        }
    }

    /// What was seen, now or before, and `.sig` does not hold.
    fn lacking(&mut self, listing: &Listing, present: &[Descriptor]) -> Vec<Kept> {
        self.see(listing, present);
        self.seen.iter().filter(|kept| !present.iter().any(|layer| same_layer(layer, &kept.layer))).cloned().collect()
    }

    /// Puts `.sig` with what `lacking` adds to it, unless somebody else has just written. Says whether it put.
    async fn put(&mut self, sig: Option<(SigImage, Digest)>, lacking: Vec<Kept>) -> Result<bool> {
        if lacking.is_empty() {
            return Ok(false);
        }
        let before = sig.as_ref().map(|(_, digest)| *digest);
        let mut sig = sig.map_or_else(SigImage::empty, |(sig, _)| sig);
        check_count(self.image, sig.layers().len() + lacking.len())?;
        self.client.load_config(self.image, &mut sig).await?;
        lacking.into_iter().for_each(|kept| sig.append(kept.layer));
        let tag = sig_tag(self.image);
        let now = self.client.describe(&self.image.repository, &tag).await?.map(|descriptor| descriptor.digest);
        if now != before && self.yielded < YIELDS {
            self.yielded += 1;
            return Ok(false);
        }
        self.client.push_sig_image(self.image, &tag, &sig).await?;
        self.rounds += 1;
        self.yielded = 0;
        Ok(true)
    }
}

fn sig_tag(image: &Pinned) -> TagOrDigest {
    TagOrDigest::Tag(Tag::for_digest(&image.digest, ".sig"))
}

fn layer(signature: &SignatureLayer) -> Result<Descriptor> {
    let bad = || Error::BadSignature { key_id: signature.key_id.clone() };
    let bytes = BASE64_STANDARD.decode(&signature.signature_base64).map_err(|_| bad())?;
    Ok(signature_layer(&signature.payload, &bytes, &signature.annotations))
}

fn check_count(image: &Pinned, count: usize) -> Result<()> {
    if count > MAX_SIGNATURES {
        return Err(Error::TooManySignatures { image: image.clone(), count });
    }
    Ok(())
}

/// The same signature over the same payload. Other annotations do not make it another one; without a signature
/// everything counts.
fn same_layer(a: &Descriptor, b: &Descriptor) -> bool {
    match (a.annotations.get(SIGNATURE_ANNOTATION), b.annotations.get(SIGNATURE_ANNOTATION)) {
        (Some(left), Some(right)) => a.digest == b.digest && left == right,
        _ => a == b,
    }
}
