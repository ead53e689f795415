//! The log: one line of JSON per event on one stream, as Cloud Logging reads it, and tables for people on another. No
//! secret has a way into it but by a caller's mistake: it takes codes, names and numbers.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use csign_trust::report::printable;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

type Stream = Arc<Mutex<dyn Write + Send>>;

/// Characters of one value; more are cut off.
const VALUE_LIMIT: usize = 400;
/// The member from which Cloud Logging takes an entry's labels.
const LABELS: &str = "logging.googleapis.com/labels";

/// Where events and tables go. Clones write to the same streams.
#[derive(Clone)]
pub struct Log {
    events: Stream,
    people: Stream,
    labels: Arc<Mutex<Map<String, Value>>>,
}

impl Log {
    /// Events on standard output, tables on standard error.
    pub fn standard() -> Self {
        Self::new(io::stdout(), io::stderr())
    }

    /// Events to `events`, tables to `people`.
    pub fn new(events: impl Write + Send + 'static, people: impl Write + Send + 'static) -> Self {
        Self { events: Arc::new(Mutex::new(events)), people: Arc::new(Mutex::new(people)), labels: Arc::default() }
    }

    /// Every event from now on carries this label, in all clones.
    pub(crate) fn label(&self, name: &str, value: &str) {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        labels.insert(name.to_owned(), printable(value, VALUE_LIMIT).into());
    }

    /// Something that went as it should.
    pub fn info(&self, event: &str, members: &[(&str, Value)]) {
        self.line("INFO", event, members);
    }

    /// Something that a person should look at.
    pub fn error(&self, event: &str, members: &[(&str, Value)]) {
        self.line("ERROR", event, members);
    }

    /// Text for people.
    pub fn say(&self, text: &str) {
        write(&self.people, text);
    }

    /// `severity`, `message`, `timestamp` and the labels are Cloud Logging's; `event` repeats the message for readers of
    /// other logs. A member that a caller calls `message` is a message's id.
    fn line(&self, severity: &str, event: &str, members: &[(&str, Value)]) {
        let mut line = Map::new();
        line.insert("severity".to_owned(), severity.into());
        if let Ok(now) = OffsetDateTime::now_utc().format(&Rfc3339) {
            line.insert("timestamp".to_owned(), now.into());
        }
        line.insert("message".to_owned(), event.into());
        line.insert("event".to_owned(), event.into());
        for (name, value) in members {
            let value = match value {
                Value::String(text) => printable(text, VALUE_LIMIT).into(),
                other => other.clone(),
            };
            let name = if *name == "message" { "message_id" } else { name };
            line.insert(name.to_owned(), value);
        }
        let labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !labels.is_empty() {
            line.insert(LABELS.to_owned(), labels.into());
        }
        write(&self.events, &format!("{}\n", Value::Object(line)));
    }
}

/// A log that cannot be written stops nothing: results are in the state.
fn write(stream: &Stream, text: &str) {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
