//! The state under a key that only the attested workload can obtain: what the database's operator sees, and what happens
//! when he changes it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use csign_contract::Contract;
use csign_tests::postgres::{Postgres, USER};
use csign_trust::ExitStatus;
use simulator::kms::Purpose;
use support::{COLLABORATORS, PARTIES, Site, image, pool, until, words};
use workload::{Metrics, Recorded, State, StateError};

const KEY: &str = "projects/keeper/locations/global/keyRings/csign/cryptoKeys/state";
const PERMISSIONS: [&str; 2] = ["cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"];
const WORD: &str = "canary-in-the-clear";

/// A site whose contract keeps the state in `store`, under the key.
async fn site(store: &str) -> Site {
    let state = format!(
        "[state]\n{store}\n[state.key]\nkms_key = \"{KEY}\"\nidentity_provider = \"//iam.googleapis.com/{}/providers/attestation\"\n",
        pool(COLLABORATORS[0])
    );
    let mut site = Site::with_contract(|text| text + &state).await;
    site.simulator.kms().create_key(KEY, Purpose::EncryptDecrypt).unwrap();
    for permission in PERMISSIONS {
        site.simulator.iam().bind(KEY, permission, &member());
    }
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    site
}

fn member() -> String {
    format!("principalSet://iam.googleapis.com/{}/attribute.image_digest/{}", pool(COLLABORATORS[0]), image())
}

async fn sealed(server: &Postgres) -> Site {
    site(&format!("kind = \"postgres\"\nurl = \"{}\"", server.url())).await
}

async fn open(site: &Site) -> Result<State, StateError> {
    open_under(site, &site.contract).await
}

async fn open_under(site: &Site, contract: &Contract) -> Result<State, StateError> {
    State::open(contract, &site.setting(), &Metrics::new(contract)).await
}

async fn count(state: &State, message: &str, word: &str) -> Result<Recorded, StateError> {
    state.count("collaborator-1", message, &words(&[(word, 1)])).await
}

/// A state of three messages and two words.
async fn filled(site: &Site) -> State {
    let state = open(site).await.unwrap();
    for (message, word) in [("m1", "alice"), ("m2", "bob"), ("m3", "alice")] {
        count(&state, message, word).await.unwrap();
    }
    state
}

fn is_tampered(error: &StateError) -> bool {
    matches!(error, StateError::Tampered { .. })
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn the_databases_files_hold_no_word_no_id_and_no_reason() {
    let Some(server) = Postgres::start() else { return };
    let texts = [WORD, "canary-message", "canary-delivery", "canary-reason"];
    let fill = async |state: &State| {
        for number in 0..50 {
            count(state, &format!("canary-message-{number}"), WORD).await.unwrap();
            state.refuse(&format!("canary-delivery-{number}"), "canary-reason").await.unwrap();
        }
        state.close().await;
    };
    let site = sealed(&server).await;
    fill(&open(&site).await.unwrap()).await;
    let bytes = server.raw_bytes();
    for text in texts {
        assert!(!contains(&bytes, text), "{text} is in the database's files");
    }
    // The search finds what is there: without a key the word is, as the contract's linter says.
    let state = format!("[state]\nkind = \"postgres\"\nurl = \"{}\"\n", server.url_of("postgres"));
    let open_contract = Contract::from_toml(&(support::contract_toml(&["pin".to_owned()]) + &state)).unwrap();
    fill(&open_under(&site, &open_contract).await.unwrap()).await;
    assert!(contains(&server.raw_bytes(), WORD));
}

#[tokio::test]
async fn an_embedded_file_with_a_key_holds_no_word_either() {
    let site = site("kind = \"embedded\"").await;
    let state = open(&site).await.unwrap();
    count(&state, "canary-message", WORD).await.unwrap();
    state.close().await;
    let bytes = std::fs::read(site.path("var/lib/csign/state.redb")).unwrap();
    assert!(!contains(&bytes, WORD) && !contains(&bytes, "canary-message"));
    let state = open(&site).await.unwrap();
    assert_eq!(state.counts().await.unwrap(), words(&[(WORD, 1)]));
}

#[tokio::test]
async fn of_several_first_workloads_one_makes_the_key_and_all_use_it() {
    let Some(server) = Postgres::start() else { return };
    let site = sealed(&server).await;
    let states = futures_util::future::join_all((0..6).map(|_| open(&site))).await;
    for (number, state) in states.iter().enumerate() {
        let state = state.as_ref().unwrap();
        count(state, &format!("m{number}"), "alice").await.unwrap();
        assert_eq!(count(state, "m0", "alice").await.unwrap(), Recorded::Again);
    }
    let last = states.last().unwrap().as_ref().unwrap();
    assert_eq!(last.counts().await.unwrap(), words(&[("alice", 6)]));
}

#[tokio::test]
async fn a_workload_that_may_not_use_the_key_does_not_start() {
    let Some(server) = Postgres::start() else { return };
    let site = sealed(&server).await;
    filled(&site).await;
    for permission in PERMISSIONS {
        assert!(site.simulator.iam().unbind(KEY, permission, &member()));
    }
    let error = open(&site).await.unwrap_err();
    assert!(matches!(error, StateError::Key(_)) && error.status() == ExitStatus::CouldNotCheck, "{error}");
    let running = site.run();
    let (status, log) = running.ended().await;
    assert_eq!(status, ExitStatus::CouldNotCheck, "{}", log.text());
    assert!(log.people().contains("obtaining the state's key"), "{}", log.people());
}

#[tokio::test]
async fn another_key_in_the_databases_place_is_refused() {
    let Some(server) = Postgres::start() else { return };
    let site = sealed(&server).await;
    filled(&site).await;
    // A key that KMS wrapped under this very key, for another contract.
    let other =
        Contract::from_toml(&support::contract_toml(&["other".to_owned()]).replace("\"test\"", "\"other\"")).unwrap();
    let theirs = site.wrap(KEY, &[7; 32], &other.state_key_additional_data()).await;
    let hex: String = theirs.iter().map(|byte| format!("{byte:02x}")).collect();
    server.query(USER, &format!("UPDATE csign.state SET key = '\\x{hex}'"));
    let error = open(&site).await.unwrap_err();
    assert!(matches!(error, StateError::Key(_)), "{error}");
    // One that was wrapped for this contract, by somebody who may encrypt: it opens nothing that is there.
    let planted = site.wrap(KEY, &[7; 32], &site.contract.state_key_additional_data()).await;
    let hex: String = planted.iter().map(|byte| format!("{byte:02x}")).collect();
    server.query(USER, &format!("UPDATE csign.state SET key = '\\x{hex}'"));
    let error = open(&site).await.unwrap_err();
    assert!(is_tampered(&error) && error.to_string().contains("does not open"), "{error}");
    server.query(USER, "UPDATE csign.state SET key = NULL");
    assert!(is_tampered(&open(&site).await.unwrap_err()));
}

/// What an operator may do to the rows, and what the workload says when it starts again.
#[tokio::test]
async fn every_change_of_the_rows_is_found_when_a_workload_starts() {
    const ATTACKS: [(&str, &str); 10] = [
        ("a value flipped", "UPDATE csign.numbers SET value = set_byte(value, 40, get_byte(value, 40) # 1)"),
        (
            "two rows swapped",
            "UPDATE csign.numbers n SET value = (SELECT value FROM csign.numbers o WHERE o.word <> n.word)",
        ),
        (
            "a word removed",
            "DELETE FROM csign.numbers WHERE word = (SELECT word FROM csign.numbers ORDER BY word LIMIT 1)",
        ),
        ("all words removed", "DELETE FROM csign.numbers"),
        ("a message forgotten", "DELETE FROM csign.seen WHERE id = (SELECT id FROM csign.seen ORDER BY id LIMIT 1)"),
        (
            "a message exchanged",
            "UPDATE csign.seen SET id = sha256(id) WHERE id = (SELECT id FROM csign.seen ORDER BY id LIMIT 1)",
        ),
        ("a message invented", "INSERT INTO csign.seen VALUES (sha256('x'))"),
        (
            "a row's name cut",
            "UPDATE csign.seen SET id = substr(id, 2) WHERE id = (SELECT id FROM csign.seen ORDER BY id LIMIT 1)",
        ),
        ("a value set back", "UPDATE csign.numbers n SET value = o.value FROM public.old o WHERE o.word = n.word"),
        ("everything begun anew but the rows", "DELETE FROM csign.state"),
    ];
    let Some(server) = Postgres::start() else { return };
    let site = sealed(&server).await;
    let state = open(&site).await.unwrap();
    count(&state, "m0", "alice").await.unwrap();
    server.query(USER, "CREATE TABLE public.old AS SELECT * FROM csign.numbers");
    state.close().await;
    filled(&site).await.close().await;
    server.query(
        USER,
        "CREATE SCHEMA kept; CREATE TABLE kept.state AS SELECT * FROM csign.state;
         CREATE TABLE kept.seen AS SELECT * FROM csign.seen; CREATE TABLE kept.numbers AS SELECT * FROM csign.numbers",
    );
    for (attack, sql) in ATTACKS {
        server.query(USER, sql);
        let error = open(&site).await.expect_err(attack);
        assert!(is_tampered(&error), "{attack}: {error}");
        assert_eq!(error.status(), ExitStatus::Rejected);
        server.query(
            USER,
            "TRUNCATE csign.state, csign.seen, csign.numbers; INSERT INTO csign.state SELECT * FROM kept.state;
             INSERT INTO csign.seen SELECT * FROM kept.seen; INSERT INTO csign.numbers SELECT * FROM kept.numbers",
        );
        let state = open(&site).await.expect("as it was, it opens");
        assert_eq!(state.counts().await.unwrap(), words(&[("alice", 3), ("bob", 1)]));
        state.close().await;
    }
}

#[tokio::test]
async fn a_running_workload_stops_when_it_meets_a_changed_row() {
    let Some(server) = Postgres::start() else { return };
    let site = sealed(&server).await;
    let running = site.start().await;
    site.publish(COLLABORATORS[0], "m1", "alice").await;
    site.drained().await;
    server.query(USER, "UPDATE csign.numbers SET value = set_byte(value, 40, get_byte(value, 40) # 1)");
    site.publish(COLLABORATORS[0], "m2", "alice").await;
    let (status, log) = running.ended().await;
    assert_eq!(status, ExitStatus::Rejected, "{}", log.text());
    assert!(log.people().contains("tampered with") && log.people().contains("hint: "), "{}", log.people());
    let (waiting, delivered) = site.backlog();
    assert_eq!(waiting + delivered, 1, "the message that met it was acknowledged");
}

#[tokio::test]
async fn a_running_workload_notices_that_the_database_was_set_back() {
    let Some(server) = Postgres::start() else { return };
    let site = sealed(&server).await;
    let state = filled(&site).await;
    let copy = "TRUNCATE csign.state, csign.seen, csign.numbers; INSERT INTO csign.state SELECT * FROM kept.state;
        INSERT INTO csign.seen SELECT * FROM kept.seen; INSERT INTO csign.numbers SELECT * FROM kept.numbers";
    server.query(
        USER,
        "CREATE SCHEMA kept; CREATE TABLE kept.state AS SELECT * FROM csign.state;
         CREATE TABLE kept.seen AS SELECT * FROM csign.seen; CREATE TABLE kept.numbers AS SELECT * FROM csign.numbers",
    );
    count(&state, "m4", "carol").await.unwrap();
    server.query(USER, copy);
    let error = count(&state, "m4", "carol").await.unwrap_err();
    assert_eq!(error, StateError::Tampered { what: "it went back from transaction 4 to 3".to_owned() });
    assert_eq!(count(&state, "m5", "carol").await.unwrap_err(), error, "it goes on after it noticed");
    // Another workload, which starts only now, cannot know: the copy is whole. docs/state.md says so.
    assert!(open(&site).await.is_ok());
}

#[tokio::test]
async fn a_database_that_swallows_rows_is_noticed_at_once() {
    let Some(server) = Postgres::start() else { return };
    let site = sealed(&server).await;
    let state = filled(&site).await;
    server.query(
        USER,
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER swallow BEFORE INSERT ON csign.seen FOR EACH ROW EXECUTE FUNCTION swallow()",
    );
    let error = count(&state, "m4", "carol").await.unwrap_err();
    assert!(is_tampered(&error), "{error}");
    until("the state to be given up", || state.failure().is_some_and(|error| error.is_final())).await;
}
