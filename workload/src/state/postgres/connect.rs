//! Connections to the database, and what its errors mean.

use std::{error::Error as _, io, net::Ipv4Addr, time::Duration};

use csign_contract::{Certificate, DatabaseUrl};
use csign_trust::report::printable;
use tokio::{net::TcpStream, time::timeout};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{ChannelBinding, SslMode},
    error::SqlState,
};
use zeroize::Zeroizing;

use super::tls::Tls;
use crate::{kms::causes, state::error::StateError};

/// For connecting, TLS and the password.
const CONNECT: Duration = Duration::from_secs(10);

/// What every session starts with. A commit that was answered is on the server's disk; a workload that hangs, or a
/// network that swallows everything, holds no lock for ever. Rows are found by their names: a plan that was made while
/// the tables were small must not read them whole when they are large.
const SESSION: &str = "
    SET statement_timeout = '10s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '15s';
    SET client_min_messages = error;
    SET enable_seqscan = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// A server, and how to come in.
pub(super) struct Server {
    config: Config,
    host: String,
    port: u16,
    tls: Option<Tls>,
}

/// What an error means for the work that was under way.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may work in a moment, over a new connection. Whether a commit was made is unknown.
    Passing(StateError),
    /// Something in this very work cannot be stored.
    Refused(StateError),
    /// It will not work in a moment.
    Lasting(StateError),
}

impl From<StateError> for Trouble {
    fn from(error: StateError) -> Self {
        Self::Lasting(error)
    }
}

impl Server {
    pub(super) fn new(
        url: &DatabaseUrl,
        ca: Option<&Certificate>,
        password: Option<Zeroizing<String>>,
    ) -> Result<Self, StateError> {
        let tls = ca.map(|ca| Tls::new(&url.host, ca)).transpose()?;
        if tls.is_none() && !url.is_loopback() {
            return Err(StateError::Contract("ca is missing, and the database is on another machine".to_owned()));
        }
        let mut config = Config::new();
        config.user(&url.user).dbname(&url.database).application_name("csign");
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if let Some(password) = &password {
            config.password(password.as_bytes());
            if tls.is_some() {
                config.channel_binding(ChannelBinding::Require);
            }
        }
        // What a name resolves to is not this program's to decide; this one must stay on the machine.
        let host = if url.host == "localhost" { Ipv4Addr::LOCALHOST.to_string() } else { url.host.clone() };
        Ok(Self { config, host, port: url.port, tls })
    }

    /// A new session.
    pub(super) async fn connect(&self) -> Result<Client, Trouble> {
        timeout(CONNECT, self.open()).await.unwrap_or_else(|_| {
            let why = format!("no answer within {} seconds", CONNECT.as_secs());
            Err(Trouble::Passing(StateError::Unavailable { doing: "connecting to", why }))
        })
    }

    async fn open(&self) -> Result<Client, Trouble> {
        let unreachable = |error: io::Error| {
            Trouble::Passing(StateError::Unavailable { doing: "connecting to", why: error.to_string() })
        };
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let connecting = |error| trouble("connecting to", &error);
        // The connection runs until the client is dropped; its errors reach the client's callers.
        let client = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect_raw(stream, tls.clone()).await.map_err(connecting)?;
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = self.config.connect_raw(stream, NoTls).await.map_err(connecting)?;
                tokio::spawn(connection);
                client
            }
        };
        client.batch_execute(SESSION).await.map_err(connecting)?;
        Ok(client)
    }
}

/// What an error of the database means. Of the server's words only the message is kept: its details may hold values.
pub(super) fn trouble(doing: &'static str, error: &tokio_postgres::Error) -> Trouble {
    let Some(server) = error.as_db_error() else {
        let why = StateError::Unavailable { doing, why: causes(error) };
        return if error.is_closed() || is_about_the_network(error) {
            Trouble::Passing(why)
        } else {
            Trouble::Lasting(why)
        };
    };
    let code = server.code();
    let why = StateError::Unavailable { doing, why: format!("{} ({})", printable(server.message(), 300), code.code()) };
    match code.code().get(..2) {
        // Data and constraints; a program that has grown too large.
        Some("22" | "54") => Trouble::Refused(why),
        // Passwords, missing tables, missing permissions: somebody must do something first.
        Some("28" | "3D" | "3F" | "42") => Trouble::Lasting(why),
        _ if *code == SqlState::UNIQUE_VIOLATION => Trouble::Passing(why),
        Some("23") => Trouble::Refused(why),
        _ => Trouble::Passing(why),
    }
}

/// A network that fails may work in a moment. A certificate that is refused, or a server that has no TLS, will not.
fn is_about_the_network(error: &tokio_postgres::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() != io::ErrorKind::InvalidData;
        }
        cause = error.source();
    }
    false
}

/// Is it about a table or schema that is not there?
pub(super) fn is_absent(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME)
}
