//! The log: one line of JSON per event on one stream, tables for people on another. No secret has a way into it but by
//! a caller's mistake: it takes codes, names and numbers.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use csign_trust::report::printable;
use serde_json::{Map, Value};

type Stream = Arc<Mutex<dyn Write + Send>>;

/// Characters of one value; more are cut off.
const VALUE_LIMIT: usize = 400;

/// Where events and tables go. Clones write to the same streams.
#[derive(Clone)]
pub struct Log {
    events: Stream,
    people: Stream,
}

impl Log {
    /// Events on standard output, tables on standard error.
    pub fn standard() -> Self {
        Self::new(io::stdout(), io::stderr())
    }

    /// Events to `events`, tables to `people`.
    pub fn new(events: impl Write + Send + 'static, people: impl Write + Send + 'static) -> Self {
        Self { events: Arc::new(Mutex::new(events)), people: Arc::new(Mutex::new(people)) }
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

    fn line(&self, severity: &str, event: &str, members: &[(&str, Value)]) {
        let mut line = Map::new();
        line.insert("severity".to_owned(), severity.into());
        line.insert("event".to_owned(), event.into());
        for (name, value) in members {
            let value = match value {
                Value::String(text) => printable(text, VALUE_LIMIT).into(),
                other => other.clone(),
            };
            line.insert((*name).to_owned(), value);
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
