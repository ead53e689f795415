//! The database's tables, and how they come to be: numbered steps that go forward only.

use tokio_postgres::Client;

use super::connect::{Trouble, is_absent, trouble};
use crate::state::error::StateError;

/// From each version to the next. A step that was released never changes.
const STEPS: &[&str] = &["
    -- The state itself, in one row: whose it is, its key as KMS wrapped it, and the head that vouches for all rows.
    CREATE TABLE csign.state (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        contract text NOT NULL,
        key bytea,
        head bytea NOT NULL
    ) WITH (fillfactor = 50);
    -- Messages that are in the counts, and refused deliveries.
    CREATE TABLE csign.seen (id bytea PRIMARY KEY);
    -- Words and how often they were counted.
    CREATE TABLE csign.numbers (word bytea PRIMARY KEY, value bytea NOT NULL) WITH (fillfactor = 80);
"];

/// One migration at a time in a database: \"csign\" in ASCII.
const LOCK: i64 = 0x63_7369_676e;

fn newest() -> u64 {
    u64::try_from(STEPS.len()).unwrap_or(u64::MAX)
}

/// Refuses a schema that is newer than this program.
pub(super) fn check(version: i64) -> Result<u64, StateError> {
    let found = u64::try_from(version).map_err(|_| StateError::tampered("its version is negative"))?;
    if found > newest() { Err(StateError::Newer { found, known: newest() }) } else { Ok(found) }
}

/// Brings the database's tables to the newest version, in one transaction.
pub(super) async fn migrate(client: &Client) -> Result<(), Trouble> {
    if version(client).await? == newest() {
        return Ok(());
    }
    let run = async |sql: &str| client.batch_execute(sql).await.map_err(|error| trouble("migrating", &error));
    run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    run(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let schemas = client.query("SELECT 1 FROM pg_namespace WHERE nspname = 'csign'", &[]).await;
    if schemas.map_err(|error| trouble("migrating", &error))?.is_empty() {
        run("CREATE SCHEMA csign").await?;
    }
    run("
        CREATE TABLE IF NOT EXISTS csign.format (
            single boolean PRIMARY KEY DEFAULT true CHECK (single),
            version bigint NOT NULL
        );
        INSERT INTO csign.format (version) VALUES (0) ON CONFLICT DO NOTHING")
    .await?;
    // Another workload may have been first.
    let found = version(client).await?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        run(step).await?;
    }
    run(&format!("UPDATE csign.format SET version = {}", newest())).await?;
    run("COMMIT").await
}

/// The database's version; 0 before the first.
async fn version(client: &Client) -> Result<u64, Trouble> {
    let rows = match client.query("SELECT version FROM csign.format", &[]).await {
        Ok(rows) => rows,
        Err(error) if is_absent(&error) => return Ok(0),
        Err(error) => return Err(trouble("opening", &error)),
    };
    let Some(row) = rows.first() else { return Ok(0) };
    Ok(check(row.try_get(0).map_err(|error| trouble("opening", &error))?)?)
}
