//! The one loop that keeps a tag complete although everyone rewrites it: `.sig`, and the index of referrers on registries
//! without the referrers API.
//!
//! 1. Each writer first keeps its entry where nobody else writes; that is its caller's part.
//! 2. It lists everything that is kept and reads the tag.
//! 3. If the tag lacks something that is kept, it puts the tag again with what was there and what was lacking, and goes
//!    back to 2.
//!
//! It is done only when a listing and a read that came after its last put show nothing lacking. Whoever puts last thus
//! lists after its put and sees every entry kept before; one kept later has a writer who will put later still. A tool
//! that knows only the tag and overwrites it is repaired by the next writer.

use csign_oci::{Descriptor, Digest, Pinned, Tag};
use tokio::time::Instant;

use crate::{
    client::Client,
    error::{Error, Result},
    retry::jitter,
};

/// How often a put is put off because somebody else has just written, before it is done all the same.
const YIELDS: u32 = 2;

/// An entry, and what it is called in messages.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) entry: Descriptor,
    pub(crate) name: String,
}

/// What a listing found.
pub(crate) struct Listing {
    /// Everything that is kept, in an order that depends on nothing but itself.
    pub(crate) kept: Vec<Kept>,
    /// What is listed and could not be found: the listing will not hold for long.
    pub(crate) gone: Vec<String>,
}

/// A tag that everyone rewrites, and the place where its entries are kept besides.
pub(crate) trait SharedTag {
    /// What the tag points to.
    type Document;
    /// What its entries are, before their names in a message.
    fn entries_are(&self) -> &'static str;
    fn tag(&self) -> Tag;
    fn entries(document: &Self::Document) -> &[Descriptor];
    fn same(&self, a: &Descriptor, b: &Descriptor) -> bool;
    /// The name of an entry of which only the tag tells.
    fn name(entry: &Descriptor) -> String;
    /// Everything that is kept now.
    async fn list(&mut self) -> Result<Listing>;
    /// What the tag points to now.
    async fn read(&mut self) -> Result<Option<(Self::Document, Digest)>>;
    /// Puts the tag with what `lacking` adds to `before`. Returns entries that were left out because the registry has no
    /// longer what they point to.
    async fn write(&mut self, before: Option<Self::Document>, lacking: Vec<Kept>) -> Result<Vec<Descriptor>>;
}

/// One look at both places.
pub(crate) struct View<D> {
    pub(crate) listing: Listing,
    pub(crate) document: Option<(D, Digest)>,
}

/// Names what the caller has kept and a listing does not show.
pub(crate) type Unlisted<'a> = dyn Fn(&Listing) -> Vec<String> + Send + Sync + 'a;

/// What a merge did.
pub(crate) struct Merged {
    /// How often the tag was written.
    pub(crate) rounds: u32,
    /// Entries under the tag at the end.
    pub(crate) entries: usize,
}

/// The state of one merge between its rounds.
pub(crate) struct Merge<'a, S> {
    client: &'a Client,
    image: &'a Pinned,
    pub(crate) shared: S,
    /// Every entry seen so far in a listing or under the tag: what a foreign writer drops is put back.
    seen: Vec<Kept>,
    rounds: u32,
    yielded: u32,
}

impl<'a, S: SharedTag> Merge<'a, S> {
    pub(crate) fn new(client: &'a Client, image: &'a Pinned, shared: S) -> Self {
        Self { client, image, shared, seen: Vec::new(), rounds: 0, yielded: 0 }
    }

    /// Step 2.
    pub(crate) async fn look(&mut self) -> Result<View<S::Document>> {
        let listing = self.shared.list().await?;
        let document = self.shared.read().await?;
        self.see(listing.kept.iter().cloned());
        self.see(present::<S>(&document).iter().map(foreign::<S>));
        Ok(View { listing, document })
    }

    /// Notes entries that must not be lost.
    pub(crate) fn see(&mut self, entries: impl IntoIterator<Item = Kept>) {
        for kept in entries {
            if !self.seen.iter().any(|seen| self.shared.same(&seen.entry, &kept.entry)) {
                self.seen.push(kept);
            }
        }
    }

    /// Steps 2 and 3, from `view` on if it is still current.
    ///
    /// # Errors
    /// [`Error::Incomplete`] after all rounds or all time.
    pub(crate) async fn run(&mut self, mut view: Option<View<S::Document>>, unlisted: &Unlisted<'_>) -> Result<Merged> {
        let (limits, start, mut paused) = (&self.client.inner.limits, Instant::now(), false);
        loop {
            let View { listing, document } = match view.take() {
                Some(view) => view,
                None => self.look().await?,
            };
            let mut missing: Vec<String> = unlisted(&listing).into_iter().chain(listing.gone).collect();
            let present = present::<S>(&document);
            let lacks = |kept: &&Kept| !present.iter().any(|entry| self.shared.same(entry, &kept.entry));
            let lacking: Vec<Kept> = self.seen.iter().filter(lacks).cloned().collect();
            if missing.is_empty() && lacking.is_empty() {
                return Ok(Merged { rounds: self.rounds, entries: present.len() });
            }
            if self.rounds >= limits.attach_rounds || start.elapsed() >= limits.attach_time {
                missing.extend(lacking.into_iter().map(|kept| kept.name));
                missing.sort();
                missing.dedup();
                return Err(self.incomplete(missing));
            }
            // Somebody has written over our put: let others finish, then look again before the next.
            let wait = self.rounds > 0 && !paused;
            paused = wait || !self.put(document, lacking).await?;
            if paused {
                tokio::time::sleep(jitter(limits.attach_pause)).await;
            }
        }
    }

    /// Puts the tag with what `lacking` adds to it, unless somebody else has just written. Says whether it put.
    async fn put(&mut self, document: Option<(S::Document, Digest)>, lacking: Vec<Kept>) -> Result<bool> {
        if lacking.is_empty() {
            return Ok(false);
        }
        let before = document.as_ref().map(|(_, digest)| *digest);
        let now = self.client.describe(&self.image.repository, &self.shared.tag().into()).await?;
        if now.map(|descriptor| descriptor.digest) != before && self.yielded < YIELDS {
            self.yielded += 1;
            return Ok(false);
        }
        let dropped = self.shared.write(document.map(|(document, _)| document), lacking).await?;
        let shared = &self.shared;
        self.seen.retain(|seen| !dropped.iter().any(|entry| shared.same(entry, &seen.entry)));
        self.rounds += 1;
        self.yielded = 0;
        Ok(true)
    }

    fn incomplete(&self, missing: Vec<String>) -> Error {
        Error::Incomplete {
            image: Box::new(self.image.clone()),
            entries: self.shared.entries_are(),
            missing,
            rounds: self.rounds,
        }
    }
}

fn present<S: SharedTag>(document: &Option<(S::Document, Digest)>) -> &[Descriptor] {
    document.as_ref().map_or(&[], |(document, _)| S::entries(document))
}

fn foreign<S: SharedTag>(entry: &Descriptor) -> Kept {
    Kept { entry: entry.clone(), name: S::name(entry) }
}
