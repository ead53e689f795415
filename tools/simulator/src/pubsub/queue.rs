//! One subscription: what waits, what rests, what is leased to whom and until when. Pure; the time comes from the caller.
//!
//! Messages are kept by their number, which follows the order of publishing: what comes back takes its old place.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio::time::{Duration, Instant};

use super::{broker::Published, filter::Filter};
use crate::config::Subscription as Setting;

/// Messages of one answer, and their bytes: what a client's transport takes in one piece.
const ANSWER: (usize, u64) = (1000, 2 << 20);

/// One delivery of a message, waiting for its acknowledgement.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) ack_id: String,
    pub(super) message: Arc<Published>,
    /// Deliveries so far with this one; 0 without a dead-letter policy, as the API says.
    pub(super) attempt: u32,
}

/// Who takes messages and how many it can hold; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumer {
    pub(super) id: u64,
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
    pub(super) lease: Option<Duration>,
}

/// A message that was delivered too often.
#[derive(Debug)]
pub(super) struct Exhausted {
    pub(super) message: Arc<Published>,
    pub(super) deliveries: u32,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) setting: Setting,
    filter: Filter,
    /// Without an ordering key: to be delivered now, by number.
    ready: BTreeMap<u64, Waiting>,
    /// Without an ordering key: not before a time.
    resting: BTreeMap<(Instant, u64), Waiting>,
    keys: HashMap<String, Key>,
    /// Keys with something to deliver, by the number of their first message.
    ready_keys: BTreeMap<u64, String>,
    resting_keys: BTreeSet<(Instant, String)>,
    leases: HashMap<u64, Lease>,
    deadlines: BTreeSet<(Instant, u64)>,
    held: HashMap<u64, Held>,
    /// Bytes of everything that is not gone.
    bytes: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    message: Arc<Published>,
    since: Instant,
    deliveries: u32,
}

#[derive(Debug)]
struct Lease {
    waiting: Waiting,
    consumer: u64,
    until: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    messages: u64,
    bytes: u64,
}

/// An ordering key's messages. What was delivered after one that comes back comes back too, acknowledged or not.
#[derive(Debug, Default)]
struct Key {
    waiting: BTreeMap<u64, Waiting>,
    out: BTreeMap<u64, Out>,
    consumer: u64,
    rests_until: Option<Instant>,
    /// Its entry in `ready_keys`.
    listed: Option<u64>,
}

#[derive(Debug)]
enum Out {
    Leased(u64),
    Acknowledged(Waiting),
}

impl Queue {
    pub(super) fn new(setting: Setting, filter: Filter) -> Self {
        Self {
            setting,
            filter,
            ready: BTreeMap::new(),
            resting: BTreeMap::new(),
            keys: HashMap::new(),
            ready_keys: BTreeMap::new(),
            resting_keys: BTreeSet::new(),
            leases: HashMap::new(),
            deadlines: BTreeSet::new(),
            held: HashMap::new(),
            bytes: 0,
        }
    }

    /// Takes a message up if it passes the filter.
    pub(super) fn push(&mut self, number: u64, message: &Arc<Published>, now: Instant) {
        if !self.filter.matches(&message.attributes) {
            return;
        }
        self.bytes += weight(message);
        let waiting = Waiting { number, message: Arc::clone(message), since: now, deliveries: 0 };
        if self.is_ordered(message) {
            let key = message.ordering_key.clone();
            self.keys.entry(key.clone()).or_default().waiting.insert(number, waiting);
            self.list(&key);
        } else {
            self.ready.insert(number, waiting);
        }
    }

    /// Leases what `consumer` has room for, oldest first. A message that is larger than the byte limit alone is
    /// delivered when the consumer holds nothing else.
    pub(super) fn pull(&mut self, consumer: Consumer, next_id: &mut u64, now: Instant) -> Vec<Delivery> {
        let lease = consumer.lease.unwrap_or(Duration::from_secs(self.setting.ack_deadline_seconds.into()));
        let mut held = self.held.get(&consumer.id).copied().unwrap_or_default();
        let mut deliveries = Vec::new();
        let mut answer = 0;
        while let Some((key, message)) = self.first(consumer.id) {
            let size = weight(message);
            let full = consumer.max_messages > 0 && held.messages >= consumer.max_messages
                || consumer.max_bytes > 0 && held.messages > 0 && held.bytes + size > consumer.max_bytes
                || deliveries.len() >= ANSWER.0
                || !deliveries.is_empty() && answer + size > ANSWER.1;
            if full {
                break;
            }
            let Some(mut waiting) = self.take(key.as_deref()) else { break };
            if now.saturating_duration_since(waiting.since).as_secs() >= self.setting.message_retention_seconds {
                self.bytes = self.bytes.saturating_sub(size);
                key.iter().for_each(|key| self.list(key));
                continue;
            }
            waiting.deliveries += 1;
            *next_id += 1;
            let id = *next_id;
            deliveries.push(Delivery {
                ack_id: ack_id(id),
                message: Arc::clone(&waiting.message),
                attempt: if self.setting.dead_letter.is_some() { waiting.deliveries } else { 0 },
            });
            if let Some(name) = &key {
                let key = self.keys.entry(name.clone()).or_default();
                key.consumer = consumer.id;
                key.out.insert(waiting.number, Out::Leased(id));
                self.list(name);
            }
            self.deadlines.insert((now + lease, id));
            self.leases.insert(id, Lease { waiting, consumer: consumer.id, until: now + lease });
            held = Held { messages: held.messages + 1, bytes: held.bytes + size };
            answer += size;
        }
        if held.messages > 0 {
            self.held.insert(consumer.id, held);
        }
        deliveries
    }

    /// Forgets an acknowledged message. `false` if the id is none of a lease that still runs.
    pub(super) fn acknowledge(&mut self, id: &str) -> bool {
        let Some(lease) = lease_id(id).and_then(|id| self.end(id)) else { return false };
        let waiting = lease.waiting;
        if !self.is_ordered(&waiting.message) {
            self.bytes = self.bytes.saturating_sub(weight(&waiting.message));
            return true;
        }
        let name = waiting.message.ordering_key.clone();
        if let Some(key) = self.keys.get_mut(&name) {
            key.out.insert(waiting.number, Out::Acknowledged(waiting));
            while let Some(first) = key.out.first_entry() {
                let Out::Acknowledged(gone) = first.get() else { break };
                self.bytes = self.bytes.saturating_sub(weight(&gone.message));
                first.remove();
            }
            self.list(&name);
        }
        true
    }

    /// Moves the end of a lease. `false` if the id is none of a lease that still runs.
    pub(super) fn extend(&mut self, id: &str, until: Instant) -> bool {
        let Some(id) = lease_id(id) else { return false };
        let Some(lease) = self.leases.get_mut(&id) else { return false };
        self.deadlines.remove(&(lease.until, id));
        self.deadlines.insert((until, id));
        lease.until = until;
        true
    }

    /// Frees messages whose lease or rest has ended; those delivered too often are handed out, unless they must stay.
    pub(super) fn wake(&mut self, now: Instant, has_dead_letters: bool) -> Vec<Exhausted> {
        let mut exhausted = Vec::new();
        while let Some((until, id)) = self.deadlines.first().copied()
            && until <= now
        {
            match self.end(id) {
                Some(lease) => exhausted.extend(self.back(lease.waiting, now, has_dead_letters)),
                // Cannot be: each deadline has a lease. Without it the loop would not end.
                None => _ = self.deadlines.pop_first(),
            }
        }
        while let Some(first) = self.resting.first_entry()
            && first.key().0 <= now
        {
            let waiting = first.remove();
            self.ready.insert(waiting.number, waiting);
        }
        while let Some((until, name)) = self.resting_keys.first().cloned()
            && until <= now
        {
            self.resting_keys.pop_first();
            if let Some(key) = self.keys.get_mut(&name) {
                key.rests_until = None;
            }
            self.list(&name);
        }
        exhausted
    }

    /// When [`Queue::wake`] has something to do next.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(until, _)| *until);
        let rest = self.resting.first_key_value().map(|((until, _), _)| *until);
        let keys = self.resting_keys.first().map(|(until, _)| *until);
        [deadline, rest, keys].into_iter().flatten().min()
    }

    /// Messages that wait or rest, and messages that are delivered and neither acknowledged nor back.
    pub(super) fn backlog(&self) -> (usize, usize) {
        let (waiting, kept) = self.keys.values().fold((0, 0), |(waiting, kept), key| {
            let acknowledged = key.out.values().filter(|out| matches!(out, Out::Acknowledged(_))).count();
            (waiting + key.waiting.len(), kept + acknowledged)
        });
        (self.ready.len() + self.resting.len() + waiting, self.leases.len() + kept)
    }

    /// The messages that wait or rest, oldest first.
    pub(super) fn waiting(&self) -> Vec<Published> {
        let keyed = self.keys.values().flat_map(|key| key.waiting.values());
        let mut all: Vec<&Waiting> = self.ready.values().chain(self.resting.values()).chain(keyed).collect();
        all.sort_by_key(|waiting| waiting.number);
        all.into_iter().map(|waiting| Published::clone(&waiting.message)).collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_ordered(&self, message: &Published) -> bool {
        self.setting.enable_message_ordering && !message.ordering_key.is_empty()
    }

    /// The oldest message that `consumer` may have, with its key if it is ordered. A key's messages go to one consumer
    /// at a time.
    fn first(&self, consumer: u64) -> Option<(Option<String>, &Published)> {
        let free = |name: &String| self.keys.get(name).is_some_and(|k| k.out.is_empty() || k.consumer == consumer);
        let key = self.ready_keys.iter().find(|(_, name)| free(name));
        match (self.ready.first_key_value(), key) {
            (Some((number, waiting)), Some((first, _))) if number < first => Some((None, &waiting.message)),
            (Some((_, waiting)), None) => Some((None, &waiting.message)),
            (_, Some((number, name))) => Some((Some(name.clone()), &self.keys.get(name)?.waiting.get(number)?.message)),
            (None, None) => None,
        }
    }

    fn take(&mut self, key: Option<&str>) -> Option<Waiting> {
        let first = match key {
            None => self.ready.pop_first(),
            Some(name) => self.keys.get_mut(name)?.waiting.pop_first(),
        };
        first.map(|(_, waiting)| waiting)
    }

    /// Takes a lease away.
    fn end(&mut self, id: u64) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.deadlines.remove(&(lease.until, id));
        if let Some(held) = self.held.get_mut(&lease.consumer) {
            held.messages = held.messages.saturating_sub(1);
            held.bytes = held.bytes.saturating_sub(weight(&lease.waiting.message));
            if held.messages == 0 {
                self.held.remove(&lease.consumer);
            }
        }
        Some(lease)
    }

    /// Puts a message back that was refused or not acknowledged in time.
    fn back(&mut self, waiting: Waiting, now: Instant, has_dead_letters: bool) -> Option<Exhausted> {
        let limit = self.setting.dead_letter.as_ref().map(|dead| dead.max_delivery_attempts);
        let dead = has_dead_letters && limit.is_some_and(|limit| waiting.deliveries >= limit);
        let rest = if dead { None } else { self.rest(waiting.deliveries).map(|rest| now + rest) };
        if !self.is_ordered(&waiting.message) {
            return match rest {
                _ if dead => Some(self.exhausted(waiting)),
                Some(until) => {
                    self.resting.insert((until, waiting.number), waiting);
                    None
                }
                None => {
                    self.ready.insert(waiting.number, waiting);
                    None
                }
            };
        }
        let name = waiting.message.ordering_key.clone();
        let later = self.keys.get_mut(&name).map(|key| key.out.split_off(&waiting.number)).unwrap_or_default();
        let mut again = Vec::new();
        for (number, out) in later {
            match out {
                Out::Leased(id) if number != waiting.number => again.extend(self.end(id).map(|lease| lease.waiting)),
                Out::Acknowledged(waiting) => again.push(waiting),
                Out::Leased(_) => {}
            }
        }
        let key = self.keys.entry(name.clone()).or_default();
        key.waiting.extend(again.into_iter().map(|waiting| (waiting.number, waiting)));
        let exhausted = if dead {
            Some(waiting)
        } else {
            key.waiting.insert(waiting.number, waiting);
            None
        };
        if let Some(until) = rest {
            if let Some(old) = key.rests_until.replace(until) {
                self.resting_keys.remove(&(old, name.clone()));
            }
            self.resting_keys.insert((until, name.clone()));
        }
        self.list(&name);
        exhausted.map(|waiting| self.exhausted(waiting))
    }

    fn exhausted(&mut self, waiting: Waiting) -> Exhausted {
        self.bytes = self.bytes.saturating_sub(weight(&waiting.message));
        Exhausted { message: waiting.message, deliveries: waiting.deliveries }
    }

    /// The pause after so many deliveries.
    fn rest(&self, deliveries: u32) -> Option<Duration> {
        let retry = self.setting.retry.as_ref()?;
        let factor = 2_u64.saturating_pow(deliveries.saturating_sub(1).min(32));
        let pause = retry.minimum_backoff_ms.saturating_mul(factor).min(retry.maximum_backoff_ms);
        (pause > 0).then(|| Duration::from_millis(pause))
    }

    /// Brings a key's entry in `ready_keys` up to date, and forgets a key that has nothing left.
    fn list(&mut self, name: &str) {
        let Some(key) = self.keys.get_mut(name) else { return };
        let first = key.waiting.first_key_value().map(|(number, _)| *number).filter(|_| key.rests_until.is_none());
        if key.listed != first {
            key.listed.iter().for_each(|number| _ = self.ready_keys.remove(number));
            first.iter().for_each(|number| _ = self.ready_keys.insert(*number, name.to_owned()));
            key.listed = first;
        }
        if key.waiting.is_empty() && key.out.is_empty() {
            key.rests_until.iter().for_each(|until| _ = self.resting_keys.remove(&(*until, name.to_owned())));
            self.keys.remove(name);
        }
    }
}

/// What a message costs in memory, roughly.
fn weight(message: &Published) -> u64 {
    message.size() as u64
}

fn ack_id(lease: u64) -> String {
    format!("ack-{lease}")
}

fn lease_id(ack_id: &str) -> Option<u64> {
    ack_id.strip_prefix("ack-")?.parse().ok()
}
