//! One collaborator's data keys, kept for a while, so that one request of Cloud KMS opens many envelopes.
//!
//! A key is kept for the contract's time at most, counted from before Cloud KMS was asked, and for so many uses; then it
//! is asked again: a collaborator that revokes its grant knows when that has its full effect. Refusals are not kept:
//! whoever waited for the same answer gets it, and the next message asks anew.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use csign_contract::envelope::DataKey;
use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use tokio::time::Instant;

/// Keys of one collaborator that are kept.
const KEYS: usize = 256;
/// Envelopes that are opened before Cloud KMS is asked again: as many as one key may have sealed.
const USES: u32 = csign_contract::envelope::MAX_USES;

/// What all who wait for one key get.
type Unwrapping<E> = Shared<BoxFuture<'static, Result<Arc<DataKey>, E>>>;

/// The cache. `E` is why there is no key.
pub(crate) struct DataKeys<E: Clone> {
    lifetime: Duration,
    inner: Mutex<Inner<E>>,
}

struct Inner<E: Clone> {
    /// By the wrapped key.
    kept: HashMap<Box<[u8]>, Kept>,
    unwrapping: HashMap<Box<[u8]>, Unwrapping<E>>,
}

struct Kept {
    key: Arc<DataKey>,
    until: Instant,
    uses: u32,
}

impl<E: Clone + Send + Sync + 'static> DataKeys<E> {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, inner: Mutex::new(Inner { kept: HashMap::new(), unwrapping: HashMap::new() }) }
    }

    /// A key that is kept, for one use.
    pub(crate) fn kept(&self, wrapped: &[u8], now: Instant) -> Option<Arc<DataKey>> {
        let mut inner = self.inner();
        let kept = inner.kept.get_mut(wrapped)?;
        if kept.until <= now || kept.uses == 0 {
            inner.kept.remove(wrapped);
            return None;
        }
        kept.uses -= 1;
        Some(Arc::clone(&kept.key))
    }

    /// A key that is kept, or what `unwrap` gives. Of those who ask for the same key at the same time only one unwraps.
    pub(crate) async fn get(
        self: &Arc<Self>,
        wrapped: &[u8],
        unwrap: impl FnOnce() -> BoxFuture<'static, Result<DataKey, E>>,
    ) -> Result<Arc<DataKey>, E> {
        let began = Instant::now();
        if let Some(key) = self.kept(wrapped, began) {
            return Ok(key);
        }
        let unwrapping = {
            let mut inner = self.inner();
            match inner.unwrapping.get(wrapped) {
                Some(unwrapping) => unwrapping.clone(),
                None => {
                    let (cache, name, answer) = (Arc::clone(self), Box::from(wrapped), unwrap());
                    let unwrapping = async move {
                        let answer = answer.await.map(Arc::new);
                        cache.settle(name, &answer, began);
                        answer
                    };
                    let unwrapping = unwrapping.boxed().shared();
                    inner.unwrapping.insert(Box::from(wrapped), unwrapping.clone());
                    unwrapping
                }
            }
        };
        unwrapping.await
    }

    fn settle(&self, wrapped: Box<[u8]>, answer: &Result<Arc<DataKey>, E>, began: Instant) {
        let mut inner = self.inner();
        inner.unwrapping.remove(&wrapped);
        let Ok(key) = answer else { return };
        while inner.kept.len() >= KEYS {
            let oldest = inner.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(wrapped, _)| wrapped.clone());
            let Some(oldest) = oldest else { break };
            inner.kept.remove(&oldest);
        }
        inner.kept.insert(wrapped, Kept { key: Arc::clone(key), until: began + self.lifetime, uses: USES });
    }

    /// Drops, and so overwrites, what may not be kept any longer.
    pub(crate) fn expire(&self, now: Instant) {
        self.inner().kept.retain(|_, kept| kept.until > now && kept.uses > 0);
    }

    fn inner(&self) -> MutexGuard<'_, Inner<E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Clone> fmt::Debug for DataKeys<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKeys")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Keys = DataKeys<&'static str>;

    fn keys() -> (Arc<Keys>, Arc<AtomicUsize>) {
        (Arc::new(Keys::new(Duration::from_secs(60))), Arc::default())
    }

    async fn get(keys: &Arc<Keys>, calls: &Arc<AtomicUsize>, wrapped: &[u8]) -> Result<(), &'static str> {
        let calls = Arc::clone(calls);
        let refused = wrapped == b"refused";
        let unwrap = async move {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            if refused { Err("denied") } else { Ok(DataKey::new(&[7; 32]).expect("a key")) }
        };
        keys.get(wrapped, || unwrap.boxed()).await.map(drop)
    }

    #[tokio::test]
    async fn many_who_need_one_key_at_a_time_ask_once() {
        let (keys, calls) = keys();
        let all = futures_util::future::join_all((0..20).map(|_| get(&keys, &calls, b"a"))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        get(&keys, &calls, b"b").await.expect("another key");
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_refusal_is_shared_by_those_who_waited_and_by_nobody_later() {
        let (keys, calls) = keys();
        let all = futures_util::future::join_all((0..20).map(|_| get(&keys, &calls, b"refused"))).await;
        assert!(all.iter().all(|answer| *answer == Err("denied")));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(get(&keys, &calls, b"refused").await, Err("denied"));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn one_who_gives_up_stops_nobody_else() {
        let (keys, calls) = keys();
        let first = tokio::time::timeout(Duration::ZERO, keys.get(b"a", || std::future::pending().boxed())).await;
        assert!(first.is_err());
        // The answer is still awaited by nobody: the next one goes on with it.
        assert!(tokio::time::timeout(Duration::ZERO, get(&keys, &calls, b"a")).await.is_err());
        get(&keys, &calls, b"b").await.expect("another key");
    }

    #[tokio::test]
    async fn a_key_is_not_kept_beyond_its_time_its_uses_and_its_place() {
        let (keys, calls) = keys();
        get(&keys, &calls, b"a").await.expect("a key");
        let now = Instant::now();
        assert!(keys.kept(b"a", now).is_some());
        assert!(keys.kept(b"a", now + Duration::from_secs(60)).is_none(), "its time is over");
        assert!(keys.kept(b"a", now).is_none(), "and it is gone");
        get(&keys, &calls, b"a").await.expect("again");
        keys.inner().kept.get_mut(&b"a"[..]).expect("kept").uses = 1;
        assert!(keys.kept(b"a", now).is_some());
        assert!(keys.kept(b"a", now).is_none(), "worn out");
        for number in 0..2 * KEYS {
            get(&keys, &calls, format!("{number}").as_bytes()).await.expect("a key");
        }
        assert_eq!(keys.inner().kept.len(), KEYS);
        keys.expire(now + Duration::from_secs(3600));
        assert!(keys.inner().kept.is_empty() && keys.inner().unwrapping.is_empty());
    }

    #[test]
    fn debug_output_has_no_key() {
        assert_eq!(format!("{:?}", Keys::new(Duration::ZERO)), "DataKeys");
    }
}
