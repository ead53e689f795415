//! The store in PostgreSQL, which any number of workloads share.
//!
//! Whoever writes locks the one row with the head first. So transactions follow one another, the head's number only
//! grows, and no two of them can wait for each other. A transaction is three round trips, however much is in it.

mod connect;
mod reader;
mod schema;
mod tls;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use csign_contract::{Certificate, DatabaseUrl};
use futures_util::TryStreamExt as _;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, Row, Statement, types::ToSql};
use zeroize::Zeroizing;

use self::connect::{Server, Trouble, trouble};
pub(super) use self::reader::Reader;
use super::{
    Described, Recorded,
    codec::{Codec, Head, Key},
    error::{CommitError, StateError},
    plan::{Audit, Effect, Newest, Plan, rows},
};

/// For one transaction, with all attempts and connections that it takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// For one attempt; the server itself gives up a little earlier.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Between attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a statement is given.
type Value<'a> = &'a (dyn ToSql + Sync);

/// A session with its statements prepared. Sessions are not repaired: after any error there is a new one.
struct Session {
    client: Client,
    lock: Statement,
    seen: Statement,
    numbers: Statement,
    add_seen: Statement,
    set_numbers: Statement,
    set_head: Statement,
}

/// The way to the database, with at most one session.
pub(super) struct Link {
    server: Arc<Server>,
    session: Option<Arc<Session>>,
}

/// The database as the writer sees it.
pub(super) struct Postgres {
    link: Link,
    codec: Arc<Codec>,
    newest: Mutex<Newest>,
}

impl Link {
    /// The way to a database; nobody is spoken to yet.
    pub(super) fn new(
        url: &DatabaseUrl,
        ca: Option<&Certificate>,
        password: Option<Zeroizing<String>>,
    ) -> Result<Self, StateError> {
        Ok(Self { server: Arc::new(Server::new(url, ca, password)?), session: None })
    }

    /// Another way to the same database.
    pub(super) fn again(&self) -> Self {
        Self { server: Arc::clone(&self.server), session: None }
    }

    /// What the state in the database is, if there is one. Its tables are made or updated first.
    pub(super) async fn describe(&mut self) -> Result<Option<Described>, StateError> {
        Ok(self.persist(PATIENCE, ATTEMPT, |session| async move { describe(&session).await }).await?)
    }

    /// Makes the state, unless another workload has made one meanwhile.
    pub(super) async fn create(&mut self, codec: &Codec, described: &Described) -> Result<(), StateError> {
        let head = &codec.sealer()?.head(&Head::default())?;
        Ok(self.persist(PATIENCE, ATTEMPT, |session| async move { create(&session, described, head).await }).await?)
    }

    /// Reads the head.
    pub(super) async fn head(&mut self, codec: &Codec) -> Result<Head, StateError> {
        Ok(self.persist(PATIENCE, ATTEMPT, |session| async move { head(&session, codec).await }).await?)
    }

    /// Holds every row against the head, as of one moment; with `keep`, returns the counts. It takes as long as there are
    /// rows.
    pub(super) async fn audit(&mut self, codec: &Codec, keep: bool) -> Result<BTreeMap<String, u64>, StateError> {
        Ok(self.persist(PATIENCE, Duration::MAX, |session| async move { audit(&session, codec, keep).await }).await?)
    }

    async fn session(&mut self) -> Result<Arc<Session>, Trouble> {
        if let Some(session) = self.session.as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let client = self.server.connect().await?;
        schema::migrate(&client).await?;
        let session = Arc::new(Session::prepare(client).await.map_err(|error| trouble("opening", &error))?);
        Ok(Arc::clone(self.session.insert(session)))
    }

    /// Tries until it works, for as long as errors pass, at most for `patience`, each time at most for `each`.
    async fn persist<T, F>(
        &mut self,
        patience: Duration,
        each: Duration,
        attempt: impl Fn(Arc<Session>) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let deadline = Instant::now() + patience;
        let mut pause = PAUSE.0;
        loop {
            let done = match self.session().await {
                Ok(session) => timeout(each, attempt(session)).await.unwrap_or_else(|_| {
                    let why = format!("no answer within {} seconds", each.as_secs());
                    Err(Trouble::Passing(StateError::Unavailable { doing: "waiting for", why }))
                }),
                Err(trouble) => Err(trouble),
            };
            let Err(trouble) = done else { return done };
            // The connection's end is the transaction's.
            self.session = None;
            if !matches!(trouble, Trouble::Passing(_)) || Instant::now() + pause > deadline {
                return Err(trouble);
            }
            // Several workloads that lost one server do not all come back at once.
            sleep(pause.mul_f64(0.5 + 0.5 * random())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

impl Session {
    async fn prepare(client: Client) -> Result<Self, tokio_postgres::Error> {
        let (lock, seen, numbers, add_seen, set_numbers, set_head) = tokio::try_join!(
            client.prepare("SELECT s.head, f.version FROM csign.state s, csign.format f FOR UPDATE OF s"),
            client.prepare("SELECT id FROM csign.seen WHERE id = ANY($1::bytea[])"),
            client.prepare("SELECT word, value FROM csign.numbers WHERE word = ANY($1::bytea[])"),
            client.prepare("INSERT INTO csign.seen (id) SELECT unnest($1::bytea[])"),
            client.prepare(
                "INSERT INTO csign.numbers (word, value) SELECT * FROM unnest($1::bytea[], $2::bytea[])
                 ON CONFLICT (word) DO UPDATE SET value = excluded.value"
            ),
            client.prepare("UPDATE csign.state SET head = $1"),
        )?;
        Ok(Self { client, lock, seen, numbers, add_seen, set_numbers, set_head })
    }
}

impl Postgres {
    pub(super) fn new(link: Link, codec: Arc<Codec>) -> Self {
        Self { link, codec, newest: Mutex::default() }
    }

    /// Writes the effects in one transaction. Where the answer to a commit was lost, the next attempt sees by the ids
    /// whether it was made.
    pub(super) async fn commit(&mut self, effects: &[Effect]) -> Result<Vec<Recorded>, CommitError> {
        let (codec, newest) = (&self.codec, &self.newest);
        let done = self
            .link
            .persist(PATIENCE, ATTEMPT, |session| async move { commit(&session, codec, newest, effects).await });
        done.await.map_err(|trouble| match trouble {
            Trouble::Refused(error) => CommitError::Refused(error),
            Trouble::Passing(error) | Trouble::Lasting(error) => CommitError::Failed(error),
        })
    }
}

async fn describe(session: &Session) -> Result<Option<Described>, Trouble> {
    let row = session.client.query_opt("SELECT contract, key FROM csign.state", &[]).await.map_err(opening)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Described { contract: row.try_get(0).map_err(opening)?, key: row.try_get(1).map_err(opening)? }))
}

async fn create(session: &Session, described: &Described, head: &Vec<u8>) -> Result<(), Trouble> {
    const CREATE: &str = "INSERT INTO csign.state (contract, key, head) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let created = session.client.execute(CREATE, &[&described.contract, &described.key, head]).await;
    created.map(|_| ()).map_err(opening)
}

async fn head(session: &Session, codec: &Codec) -> Result<Head, Trouble> {
    let row = session.client.query_opt("SELECT head FROM csign.state", &[]).await.map_err(reading)?;
    Ok(codec.open_head(bytes(&row.ok_or(StateError::tampered("its head is absent"))?, 0)?)?)
}

async fn audit(session: &Session, codec: &Codec, keep: bool) -> Result<BTreeMap<String, u64>, Trouble> {
    let client = &session.client;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(reading)?;
    client.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on").await.map_err(reading)?;
    let head = head(session, codec).await?;
    let mut audit = Audit::new(codec, keep);
    let none: [&str; 0] = [];
    let mut rows = pin!(client.query_raw("SELECT id FROM csign.seen", none).await.map_err(reading)?);
    while let Some(row) = rows.try_next().await.map_err(reading)? {
        audit.seen(&key(&row)?);
    }
    let mut rows = pin!(client.query_raw("SELECT word, value FROM csign.numbers", none).await.map_err(reading)?);
    while let Some(row) = rows.try_next().await.map_err(reading)? {
        audit.number(&key(&row)?, bytes(&row, 1)?)?;
    }
    client.batch_execute("COMMIT").await.map_err(reading)?;
    Ok(audit.finish(&head)?)
}

/// 1. Lock the head. 2. Read what the effects are about. 3. Write. Each step is one round trip.
async fn commit(
    session: &Session,
    codec: &Codec,
    newest: &Mutex<Newest>,
    effects: &[Effect],
) -> Result<Vec<Recorded>, Trouble> {
    let Session { client, .. } = session;
    let accept = |head: &Head| newest.lock().unwrap_or_else(PoisonError::into_inner).accept(head);
    // 1.
    let (begun, locked) = tokio::join!(
        biased;
        client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
        client.query_opt(&session.lock, &[]),
    );
    begun.map_err(writing)?;
    let locked = locked.map_err(writing)?.ok_or(StateError::tampered("its head is absent"))?;
    schema::check(locked.try_get(1).map_err(writing)?)?;
    let head = codec.open_head(bytes(&locked, 0)?)?;
    accept(&head)?;
    // 2.
    let (ids, words) = rows(effects);
    let (ids, words): (Vec<&[u8]>, Vec<&[u8]>) = (slices(&ids), slices(&words));
    let (ids, words): ([Value<'_>; 1], [Value<'_>; 1]) = ([&ids], [&words]);
    let (seen, numbers) = tokio::join!(
        biased;
        client.query(&session.seen, &ids),
        client.query(&session.numbers, &words),
    );
    let mut known = HashSet::new();
    for row in seen.map_err(writing)? {
        known.insert(key(&row)?);
    }
    let mut values = HashMap::new();
    for row in numbers.map_err(writing)? {
        values.insert(key(&row)?, bytes(&row, 1)?.to_vec());
    }
    let plan = Plan::of(codec, head, effects, &known, values)?;
    // 3.
    let Some((head, sealed)) = &plan.head else {
        client.batch_execute("COMMIT").await.map_err(writing)?;
        return Ok(plan.outcomes);
    };
    let ids = slices(&plan.seen);
    let (words, values): (Vec<&[u8]>, Vec<&[u8]>) =
        plan.numbers.iter().map(|(word, value)| (word.as_slice(), value.as_slice())).unzip();
    let (seen, numbers, sealed): ([Value<'_>; 1], [Value<'_>; 2], [Value<'_>; 1]) =
        ([&ids], [&words, &values], [sealed]);
    let (added, set, headed, committed) = tokio::join!(
        biased;
        client.execute(&session.add_seen, &seen),
        client.execute(&session.set_numbers, &numbers),
        client.execute(&session.set_head, &sealed),
        client.batch_execute("COMMIT"),
    );
    let written = (added.map_err(writing)?, set.map_err(writing)?, headed.map_err(writing)?);
    committed.map_err(writing)?;
    if written != (ids.len() as u64, words.len() as u64, 1) {
        return Err(StateError::tampered("the database did not write all rows that it was given").into());
    }
    accept(head)?;
    Ok(plan.outcomes)
}

fn slices(keys: &[Key]) -> Vec<&[u8]> {
    keys.iter().map(Key::as_slice).collect()
}

fn key(row: &Row) -> Result<Key, Trouble> {
    bytes(row, 0)?.try_into().map_err(|_| StateError::tampered("a row's name has another length").into())
}

fn bytes(row: &Row, column: usize) -> Result<&[u8], Trouble> {
    row.try_get(column).map_err(reading)
}

fn opening(error: tokio_postgres::Error) -> Trouble {
    trouble("opening", &error)
}

fn reading(error: tokio_postgres::Error) -> Trouble {
    trouble("reading", &error)
}

fn writing(error: tokio_postgres::Error) -> Trouble {
    trouble("writing", &error)
}

impl From<Trouble> for StateError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Passing(error) | Trouble::Refused(error) | Trouble::Lasting(error) => error,
        }
    }
}

/// From 0 to 1; where the system gives no random bytes, 1.
fn random() -> f64 {
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}
