//! The token that a condition has in mind: the claims that it asks for, as far as a real token can have them.

use csign_cel::{
    Ask, Test, Value as Cel,
    federation::{Provider, Target},
};
use serde_json::{Value, json};

use crate::claims::{self, Holds, claim};

const SIGNERS: &str = "submods.container.image_signatures[].key_id";

/// What was set, and by whom: a claim is set once, so that alternatives do not contradict each other.
#[derive(Debug, Default)]
pub(crate) struct Filler {
    /// Claims that keep their value.
    fixed: Vec<String>,
    /// Asks that no value could be found for.
    pub(crate) undecided: bool,
}

impl Filler {
    /// Keeps these claims as they are.
    pub(crate) fn keeping(fixed: &[&str]) -> Self {
        Self { fixed: fixed.iter().map(|path| (*path).to_owned()).collect(), undecided: false }
    }

    /// Sets what the provider's condition asks for.
    pub(crate) fn provider(&mut self, provider: &Provider, token: &mut Value) {
        let Some(condition) = provider.condition() else { return };
        let asks = condition.asks();
        if asks.paths.iter().any(|path| path.contains("image_signatures")) {
            // However they are compared: a condition that counts signers has its keys in a list of its own.
            for text in &asks.texts {
                self.signers(text, token);
            }
        }
        for ask in asks.asks.iter().filter(|ask| !ask.negated) {
            if let Some(path) = resolve(provider, &ask.path) {
                self.ask(&path, ask, token);
            }
        }
    }

    /// Sets what a member of a binding asks for: the rest of `principalSet://…/POOL/`.
    pub(crate) fn member(&mut self, provider: &Provider, rest: &str, token: &mut Value) {
        let (attribute, value) = match rest.split_once('/') {
            Some(("subject", value)) => ("google.subject".to_owned(), value),
            Some((attribute, value)) => (attribute.to_owned(), value),
            None => return,
        };
        if let Some(path) = resolve(provider, &attribute) {
            self.text(&path, value, token);
        } else if attribute != "google.subject" || !self.subject(value, token) {
            self.undecided = true;
        }
    }

    /// `gcpcs::DIGEST::PROJECT::INSTANCE`, the subject that Google's guides map.
    fn subject(&mut self, value: &str, token: &mut Value) -> bool {
        let ["gcpcs", digest, number, instance] = value.split("::").collect::<Vec<_>>()[..] else { return false };
        self.text("submods.container.image_digest", digest, token);
        self.text("submods.gce.project_number", number, token);
        self.text("submods.gce.instance_id", instance, token);
        true
    }

    fn ask(&mut self, path: &str, ask: &Ask, token: &mut Value) {
        if ask.through.is_some() {
            self.undecided |= matches!(ask.test, Test::Equals(_) | Test::OneOf(_) | Test::Text { .. });
            return;
        }
        match &ask.test {
            Test::Equals(value) | Test::Holds(value) => self.value(path, value, token),
            // Elements of a list can all be there.
            Test::OneOf(values) if path.contains("[]") => {
                values.iter().for_each(|value| self.value(path, value, token))
            }
            Test::OneOf(values) => values.iter().take(1).for_each(|value| self.value(path, value, token)),
            Test::Text { function, argument } => match function.as_str() {
                "startsWith" if path == "submods.container.image_reference" => {
                    let digest = claims::get(token, "submods.container.image_digest").and_then(Value::as_str);
                    let digest = digest.unwrap_or_default().to_owned();
                    let repository = argument.split_once('@').map_or(argument.as_str(), |(repository, _)| repository);
                    let whole = format!("{repository}@{digest}");
                    let text = if whole.starts_with(argument) { &whole } else { argument };
                    self.text(path, text, token);
                }
                "startsWith" | "endsWith" | "contains" => self.text(path, argument, token),
                _ => {
                    self.undecided = true;
                    if let Some(text) = plain(argument) {
                        self.text(path, &text, token);
                    }
                }
            },
            Test::Differs(_) | Test::Ordered(_) | Test::All | Test::Exists => {}
        }
    }

    fn value(&mut self, path: &str, value: &Cel, token: &mut Value) {
        if let Some(text) = value.as_str() {
            self.text(path, text, token);
        }
    }

    /// Sets a claim to a text, or lets a list have it. What no token can say stays as it is.
    pub(crate) fn text(&mut self, path: &str, text: &str, token: &mut Value) {
        const ALGORITHM: &str = "submods.container.image_signatures[].signature_algorithm";
        // What the token says about the platform is what the right token says, whatever is asked.
        const PLATFORM: [&str; 4] = ["dbgstat", "swname", "submods.confidential_space.support_attributes", "swversion"];
        let (list, element) = match path.strip_suffix("[]") {
            Some(list) => (list, true),
            None => (path, false),
        };
        if self.fixed.iter().any(|fixed| fixed == list) || PLATFORM.contains(&list) {
            return;
        }
        if path == SIGNERS {
            self.signers(text, token);
            return;
        }
        if path == ALGORITHM {
            if claim(path).is_some_and(|holds| matches!(holds, Holds::Text(known) if known.contains(&text))) {
                claims::add_algorithm(token, text);
            }
            return;
        }
        match claim(list) {
            Some(Holds::Texts(values)) if values.is_empty() || values.contains(&text) => {
                let mut texts = claims::get(token, list).and_then(Value::as_array).cloned().unwrap_or_default();
                if !texts.iter().any(|found| found == text) {
                    texts.push(json!(text));
                }
                claims::set(token, list, texts.into());
            }
            Some(Holds::Text(values)) if !element && (values.is_empty() || values.contains(&text)) => {
                claims::set(token, path, json!(text));
                self.fixed.push(path.to_owned());
                self.image(path, text, token);
            }
            Some(Holds::Any) if !element && !path.contains('[') => {
                claims::set(token, path, json!(text));
                self.fixed.push(path.to_owned());
            }
            _ => {}
        }
    }

    /// Lets the keys whose ids stand in a text have signed, unless a contract says who did.
    pub(crate) fn signers(&mut self, text: &str, token: &mut Value) {
        if !self.fixed.iter().any(|fixed| fixed == SIGNERS) {
            claims::key_ids(text).into_iter().for_each(|id| claims::add_signer(token, id));
        }
    }

    /// Reference and digest of an image belong together.
    fn image(&mut self, path: &str, text: &str, token: &mut Value) {
        const DIGEST: &str = "submods.container.image_digest";
        const REFERENCE: &str = "submods.container.image_reference";
        match path {
            REFERENCE => {
                if let Some((_, digest)) = text.split_once('@') {
                    claims::set(token, DIGEST, json!(digest));
                }
            }
            DIGEST if !self.fixed.iter().any(|fixed| fixed == REFERENCE) => {
                let reference = claims::get(token, REFERENCE).and_then(Value::as_str).unwrap_or_default();
                let repository = reference.split_once('@').map_or(reference, |(repository, _)| repository);
                let reference = format!("{repository}@{text}");
                claims::set(token, REFERENCE, json!(reference));
            }
            _ => {}
        }
    }
}

/// The claim that an input of a condition is, without `assertion.`: attributes are followed to what they are mapped from.
pub(crate) fn resolve(provider: &Provider, input: &str) -> Option<String> {
    if let Some(path) = input.strip_prefix("assertion.") {
        return Some(path.to_owned());
    }
    let target = match input.strip_prefix("attribute.") {
        Some(name) => Target::Attribute(name.to_owned()),
        None if input == "google.subject" => Target::Subject,
        None => return None,
    };
    let (_, expression) = provider.mapping().iter().find(|(found, _)| *found == target)?;
    match expression.asks().paths.as_slice() {
        [path] if expression.source().trim() == path => path.strip_prefix("assertion.").map(str::to_owned),
        _ => None,
    }
}

/// A text that a simple regular expression matches.
fn plain(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let text = pattern.replace(".*", "x").replace(".+", "x").replace("\\.", ".");
    (!text.contains(['\\', '[', '(', '*', '+', '?', '|', '{', '^', '$'])).then_some(text)
}
