//! The state in a real PostgreSQL, which is stopped, crashed, cut off, filled and set back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use csign_contract::Contract;
use csign_tests::postgres::{Postgres, Stop, USER};
use support::{contract_toml, until, words};
use tokio::{
    io::copy,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use workload::{Metrics, Recorded, Setting, State, StateError};

/// A contract whose state is in this database, without a key: for what has nothing to do with one.
fn contract(url: &str) -> Contract {
    contract_pinned(url, "pin")
}

fn contract_pinned(url: &str, pin: &str) -> Contract {
    let state = format!("[state]\nkind = \"postgres\"\nurl = \"{url}\"\n");
    Contract::from_toml(&(contract_toml(&[pin.to_owned()]) + &state)).unwrap()
}

async fn open(contract: &Contract) -> Result<State, StateError> {
    let setting = Setting { root: "/nonexistent".into(), simulator: Some("127.0.0.1:9".to_owned()) };
    State::open(contract, &setting, &Metrics::new(contract)).await
}

async fn counted(state: &State, message: &str) -> Recorded {
    state.count("c1", message, &words(&[("alice", 1)])).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_counted_once_by_eight_workloads_that_all_have_it() {
    const MESSAGES: u64 = 300;
    let Some(server) = Postgres::start() else { return };
    let contract = contract(&server.url());
    // All at once, also the first of them, which makes the tables.
    let opened = futures_util::future::join_all((0..8).map(|_| open(&contract))).await;
    let states: Vec<Arc<State>> = opened.into_iter().map(|state| Arc::new(state.unwrap())).collect();
    let mut tasks = Vec::new();
    for (workload, state) in states.iter().enumerate() {
        for number in 0..MESSAGES {
            let state = Arc::clone(state);
            // Every workload begins elsewhere, and words come in another order.
            let number = (number + 37 * workload as u64) % MESSAGES;
            tasks.push(tokio::spawn(async move {
                let own = format!("w{}", number % 11);
                state.count("c1", &format!("m{number}"), &words(&[("the", 1), (&own, 2)])).await.unwrap()
            }));
        }
    }
    let mut counted = 0;
    for task in tasks {
        counted += u64::from(matches!(task.await.unwrap(), Recorded::Counted(_)));
    }
    assert_eq!(counted, MESSAGES);
    for state in &states {
        assert!(state.is_counted("c1", "m1").await.unwrap() && !state.is_counted("c2", "m1").await.unwrap());
    }
    let counts = states[3].counts().await.unwrap();
    assert_eq!((counts["the"], counts.len()), (MESSAGES, 12));
    assert_eq!(counts.values().sum::<u64>(), MESSAGES * 3);
    assert_eq!(states[5].messages().await.unwrap(), MESSAGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_in_the_middle_of_transactions_loses_and_doubles_nothing() {
    const MESSAGES: u64 = 150;
    let Some(mut server) = Postgres::start() else { return };
    let contract = contract(&server.url());
    let state = Arc::new(open(&contract).await.unwrap());
    let (done, progress) = watch::channel(0);
    let writer = {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            for number in 0..MESSAGES {
                // As Pub/Sub does: again, until it is acknowledged.
                while state.count("c1", &format!("m{number}"), &words(&[("alice", 1)])).await.is_err() {}
                done.send_replace(number);
            }
        })
    };
    for crash in 1..=4 {
        until("the next messages", || *progress.borrow() > crash * MESSAGES / 6).await;
        server = tokio::task::spawn_blocking(move || {
            server.stop(Stop::Immediate);
            server.restart();
            server
        })
        .await
        .unwrap();
    }
    writer.await.unwrap();
    assert_eq!(state.counts().await.unwrap(), words(&[("alice", MESSAGES)]));
    assert_eq!(state.failure(), None);
}

/// Passes bytes on to the server; when told to, it cuts every connection as soon as the server has answered a commit,
/// before that answer gets through.
async fn cutting_proxy(server: u16) -> (u16, watch::Sender<bool>, Arc<std::sync::atomic::AtomicU64>) {
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cut, cuts) = watch::channel(false);
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (cuts, counter) = (cuts.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let up = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                let (mut bytes, mut wrote) = (vec![0; 64 << 10], false);
                while let Ok(length) = from_server.read(&mut bytes).await {
                    let answer = &bytes[..length];
                    let committed = answer.windows(7).any(|window| window == b"COMMIT\0");
                    // The transaction wrote something: the head was updated.
                    wrote |= answer.windows(9).any(|window| window == b"UPDATE 1\0");
                    let ended = committed && std::mem::take(&mut wrote);
                    if *cuts.borrow() && ended && counter.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
                        break;
                    }
                    if length == 0 || to_client.write_all(answer).await.is_err() {
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    (port, cut, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    let Some(server) = Postgres::start() else { return };
    let (port, cut, cuts) = cutting_proxy(server.port()).await;
    let contract = contract(&format!("postgresql://{USER}@127.0.0.1:{port}/{USER}"));
    let state = open(&contract).await.unwrap();
    assert!(matches!(counted(&state, "before").await, Recorded::Counted(_)));
    cut.send_replace(true);
    for number in 0..10 {
        counted(&state, &format!("m{number}")).await;
    }
    assert!(cuts.load(std::sync::atomic::Ordering::SeqCst) >= 10, "no commit was cut");
    cut.send_replace(false);
    assert_eq!(state.counts().await.unwrap(), words(&[("alice", 11)]));
    assert_eq!(state.messages().await.unwrap(), 11);
}

#[tokio::test]
async fn a_database_of_another_contract_is_refused_by_name() {
    let Some(server) = Postgres::start() else { return };
    let first = contract(&server.url());
    counted(&open(&first).await.unwrap(), "m1").await;
    let error = open(&contract_pinned(&server.url(), "other")).await.unwrap_err();
    let digest = first.digest().to_string();
    assert!(matches!(&error, StateError::AnotherContract { found, .. } if *found == digest), "{error}");
    assert!(error.to_string().contains(&digest), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_at_once_and_under_way() {
    let Some(server) = Postgres::start() else { return };
    let contract = contract(&server.url());
    let state = open(&contract).await.unwrap();
    counted(&state, "m1").await;
    server.query(USER, "UPDATE csign.format SET version = 99");
    let error = open(&contract).await.unwrap_err();
    assert_eq!(error, StateError::Newer { found: 99, known: 1 });
    // A workload that runs on stops, rather than write what the newer one does not expect.
    let error = state.count("c1", "m2", &words(&[("alice", 1)])).await.unwrap_err();
    assert_eq!(error, StateError::Newer { found: 99, known: 1 });
    assert_eq!(state.ended().await, error);
}

#[tokio::test]
async fn a_read_only_database_is_an_error_until_it_is_writable_again() {
    let Some(server) = Postgres::start() else { return };
    let contract = contract(&server.url());
    counted(&open(&contract).await.unwrap(), "m1").await;
    server.query("postgres", &format!("ALTER DATABASE {USER} SET default_transaction_read_only = on"));
    let state = open(&contract).await.unwrap();
    let alice = words(&[("alice", 1)]);
    let write = state.count("c1", "m2", &alice);
    let made_writable = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.query("postgres", &format!("ALTER DATABASE {USER} RESET default_transaction_read_only"));
    };
    let (written, ()) = tokio::join!(write, made_writable);
    assert!(matches!(written, Ok(Recorded::Counted(_))), "{written:?}");
    assert!(state.is_counted("c1", "m2").await.unwrap());
    assert_eq!(state.counts().await.unwrap(), words(&[("alice", 2)]));
}

#[tokio::test]
async fn a_row_that_cannot_be_stored_fails_alone() {
    let Some(server) = Postgres::start() else { return };
    let contract = contract(&server.url());
    let state = Arc::new(open(&contract).await.unwrap());
    // Whatever is wrong with a value, the others do not suffer.
    server.query(USER, "ALTER TABLE csign.numbers ADD CONSTRAINT small CHECK (length(value) < 1000)");
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let state = Arc::clone(&state);
            let word = if number == 13 { "a".repeat(2000) } else { "alice".to_owned() };
            tokio::spawn(async move { state.count("c1", &format!("m{number}"), &words(&[(&word, 1)])).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let written = task.await.unwrap();
        assert_eq!(written.is_err(), number == 13, "message {number}: {written:?}");
    }
    assert_eq!(state.counts().await.unwrap(), words(&[("alice", 19)]));
}

#[tokio::test]
async fn an_account_needs_nothing_but_a_schema_of_its_own() {
    let Some(server) = Postgres::start() else { return };
    server.query(USER, "CREATE ROLE plain LOGIN");
    let contract = contract(&server.url().replace(&format!("{USER}@"), "plain@"));
    let error = open(&contract).await.unwrap_err();
    assert!(
        matches!(error, StateError::Unavailable { .. }) && error.to_string().contains("permission denied"),
        "{error}"
    );
    server.query(USER, "CREATE SCHEMA csign AUTHORIZATION plain");
    counted(&open(&contract).await.unwrap(), "m1").await;
    // Without its tables it stops; it does not begin anew.
    server.query(USER, "REVOKE SELECT ON csign.state FROM plain");
    let error = open(&contract).await.unwrap_err();
    assert!(
        matches!(error, StateError::Unavailable { .. }) && error.to_string().contains("permission denied"),
        "{error}"
    );
}
