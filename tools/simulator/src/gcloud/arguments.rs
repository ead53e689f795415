//! Arguments of a gcloud command: what its line in the table allows, and what was given.

use std::collections::BTreeMap;

use super::commands::{COMMANDS, Command};

/// Flags that every command has, in the table's notation.
const GLOBAL: &str = "--project= --format= --flatten= --account= --verbosity= --quiet";
/// Ways to abbreviate.
const SHORT: [(&str, &str); 1] = [("-q", "quiet")];

/// How many arguments belong to a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// None.
    Switch,
    /// None, and `--no-FLAG` is its opposite.
    Either,
    /// One.
    Value,
    /// One, which names a file to read.
    File,
}

#[derive(Clone, Copy, Debug)]
struct Flag {
    name: &'static str,
    kind: Kind,
    required: bool,
}

impl Flag {
    /// `--flag` is a switch, `--[no-]flag` one of two, `--flag=` has a value, `--flag=@` a file; `!` at its end: required.
    fn parse(token: &'static str) -> Option<Self> {
        let (token, required) = token.strip_suffix('!').map_or((token, false), |token| (token, true));
        if let Some(name) = token.strip_prefix("--[no-]") {
            return Some(Self { name, kind: Kind::Either, required });
        }
        let name = token.strip_prefix("--")?;
        let (name, kind) = match name.split_once('=') {
            None => (name, Kind::Switch),
            Some((name, "@")) => (name, Kind::File),
            Some((name, _)) => (name, Kind::Value),
        };
        Some(Self { name, kind, required })
    }
}

/// A positional argument: `NAME`, `[NAME]` if it may be missing, `NAME...` for one or more, `@NAME` for a file to read.
#[derive(Clone, Copy, Debug)]
struct Positional {
    name: &'static str,
    optional: bool,
    several: bool,
    file: bool,
}

impl Positional {
    fn parse(token: &'static str) -> Option<Self> {
        let inner = token.strip_prefix('[').and_then(|token| token.strip_suffix(']'));
        let (token, optional) = inner.map_or((token, false), |inner| (inner, true));
        let (token, several) = token.strip_suffix("...").map_or((token, false), |token| (token, true));
        let (name, file) = token.strip_prefix('@').map_or((token, false), |token| (token, true));
        let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        named.then_some(Self { name, optional, several, file })
    }
}

/// A line of the table, taken apart.
#[derive(Debug)]
struct Grammar {
    positional: Vec<Positional>,
    flags: Vec<Flag>,
}

impl Grammar {
    fn of(command: &Command) -> Self {
        let tokens = command.line.split(' ').chain(GLOBAL.split(' '));
        let mut grammar = Self { positional: Vec::new(), flags: Vec::new() };
        for token in tokens {
            grammar.flags.extend(Flag::parse(token));
            grammar.positional.extend(Positional::parse(token));
        }
        grammar
    }

    /// The flag of this name, and whether it was named by its opposite.
    fn flag(&self, name: &str) -> Option<(Flag, bool)> {
        let find = |name: &str| self.flags.iter().find(|flag| flag.name == name).copied();
        let opposite = || name.strip_prefix("no-").and_then(find).filter(|flag| flag.kind == Kind::Either);
        find(name).map(|flag| (flag, false)).or_else(|| opposite().map(|flag| (flag, true)))
    }
}

/// The words of a command, without its arguments.
pub(super) fn words(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split(' ').take_while(|word| !word.starts_with("--") && Positional::parse(word).is_none())
}

/// Why what was typed is no command that the simulator's gcloud has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("(gcloud{}{command}) {message}", if command.is_empty() { "" } else { "." })]
pub struct Refusal {
    command: String,
    message: String,
}

/// What was typed, taken apart.
pub(super) struct Arguments {
    pub(super) command: &'static Command,
    positional: Vec<String>,
    flags: BTreeMap<&'static str, String>,
    switches: BTreeMap<&'static str, bool>,
    /// Names of files that the command reads.
    pub(super) files: Vec<String>,
}

impl Arguments {
    /// Takes a command apart.
    ///
    /// # Errors
    /// An unknown command or flag, or a wrong number of arguments. Nothing is passed over.
    pub(super) fn parse(typed: &[String]) -> Result<Self, Refusal> {
        let mut words: Vec<&str> = Vec::new();
        let mut found: Option<(&'static Command, Grammar)> = None;
        let anywhere = Grammar { positional: Vec::new(), flags: GLOBAL.split(' ').filter_map(Flag::parse).collect() };
        let (mut positional, mut flags, mut switches) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut files = Vec::new();
        let mut rest = typed.iter();
        let refuse = |words: &[&str], message: String| Refusal { command: words.join("."), message };
        while let Some(token) = rest.next() {
            let long = SHORT.iter().find(|(short, _)| short == token).map(|(_, long)| *long);
            if let Some(given) = long.or_else(|| token.strip_prefix("--")) {
                let (name, value) = given.split_once('=').map_or((given, None), |(name, value)| (name, Some(value)));
                let grammar = found.as_ref().map_or(&anywhere, |(_, grammar)| grammar);
                let Some((flag, opposite)) = grammar.flag(name) else {
                    let message = format!("unrecognized arguments: --{name} (the simulator's gcloud does not have it)");
                    return Err(refuse(&words, message));
                };
                if matches!(flag.kind, Kind::Switch | Kind::Either) {
                    let on = match value.map(str::to_ascii_lowercase).as_deref() {
                        None => !opposite,
                        Some("true") if flag.kind == Kind::Either && !opposite => true,
                        Some("false") if flag.kind == Kind::Either && !opposite => false,
                        Some(_) => return Err(refuse(&words, format!("argument --{name}: ignored explicit argument"))),
                    };
                    switches.insert(flag.name, on);
                    continue;
                }
                let value = value.map(str::to_owned).or_else(|| rest.next().cloned());
                let Some(value) = value else {
                    return Err(refuse(&words, format!("argument --{name}: expected one argument")));
                };
                if flag.kind == Kind::File {
                    files.push(value.clone());
                }
                if flags.insert(flag.name, value).is_some() {
                    return Err(refuse(&words, format!("argument --{name}: given more than once")));
                }
            } else if token.starts_with('-') && token.len() > 1 {
                return Err(refuse(&words, format!("unrecognized arguments: {token}")));
            } else if let Some((_, grammar)) = &found {
                let place = grammar.positional.get(positional.len()).or(grammar.positional.last());
                let Some(place) = place.filter(|place| place.several || positional.len() < grammar.positional.len())
                else {
                    return Err(refuse(&words, format!("unrecognized arguments: {token}")));
                };
                if place.file {
                    files.push(token.clone());
                }
                positional.push(token.clone());
            } else {
                words.push(token);
                found = Command::find(&words).map(|command| (command, Grammar::of(command)));
                if found.is_none() && !Command::begins(&words) {
                    let word = words.pop().unwrap_or_default();
                    let message = format!("Invalid choice: '{word}' (the simulator's gcloud does not have it).");
                    return Err(refuse(&words, message));
                }
            }
        }
        let Some((command, grammar)) = found else {
            return Err(refuse(&words, "Command name argument expected.".to_owned()));
        };
        let missing: Vec<String> = grammar
            .positional
            .iter()
            .skip(positional.len())
            .filter(|place| !place.optional)
            .map(|place| place.name.to_owned())
            .chain(
                grammar
                    .flags
                    .iter()
                    .filter(|flag| flag.required && !flags.contains_key(flag.name) && !switches.contains_key(flag.name))
                    .map(|flag| format!("--{}", flag.name)),
            )
            .collect();
        if !missing.is_empty() {
            return Err(refuse(&words, format!("argument {}: Must be specified.", missing.join(" "))));
        }
        Ok(Self { command, positional, flags, switches, files })
    }

    /// The n-th positional argument; empty if it was left out.
    pub(super) fn positional(&self, index: usize) -> &str {
        self.positional.get(index).map_or("", String::as_str)
    }

    /// The positional arguments from the n-th on.
    pub(super) fn rest(&self, index: usize) -> &[String] {
        self.positional.get(index..).unwrap_or_default()
    }

    /// The value of a flag.
    pub(super) fn get(&self, flag: &str) -> Option<&str> {
        self.flags.get(flag).map(String::as_str)
    }

    /// The value of a flag, or nothing of it.
    pub(super) fn text(&self, flag: &str) -> &str {
        self.get(flag).unwrap_or_default()
    }

    /// Whether a switch was set or its opposite.
    pub(super) fn switch(&self, flag: &str) -> Option<bool> {
        self.switches.get(flag).copied()
    }

    /// A flag's list: separated by commas, or by what `^X^` before it says.
    pub(super) fn list(&self, flag: &str) -> Option<Vec<String>> {
        let (separator, text) = separated(self.get(flag)?);
        Some(text.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// A flag's map of `KEY=VALUE`, separated as a list.
    pub(super) fn map(&self, flag: &str) -> Option<Result<BTreeMap<String, String>, String>> {
        let list = self.list(flag)?;
        let pairs = list.iter().map(|pair| {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| format!("argument --{flag}: Bad syntax: [{pair}]"))?;
            Ok((key.to_owned(), value.to_owned()))
        });
        Some(pairs.collect())
    }
}

/// The separator of a list, and the list.
fn separated(text: &str) -> (&str, &str) {
    let other = text.strip_prefix('^').and_then(|rest| rest.split_once('^')).filter(|(mark, _)| !mark.is_empty());
    other.unwrap_or((",", text))
}

impl Command {
    fn find(typed: &[&str]) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| words(command.line).eq(typed.iter().copied()))
    }

    fn begins(typed: &[&str]) -> bool {
        COMMANDS.iter().any(|command| words(command.line).take(typed.len()).eq(typed.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &str) -> Result<Arguments, String> {
        let typed: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        Arguments::parse(&typed).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn flags_are_taken_in_both_forms_and_in_any_place() {
        for typed in [
            "kms keys describe k --keyring=r --location=global --project=p --format=json",
            "--project p kms keys --format json describe --keyring r k --location global",
        ] {
            let arguments = parse(typed).expect(typed);
            assert_eq!(words(arguments.command.line).collect::<Vec<_>>(), ["kms", "keys", "describe"]);
            assert_eq!(
                (arguments.positional(0), arguments.text("keyring"), arguments.text("project")),
                ("k", "r", "p")
            );
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_refused_and_named() {
        for (typed, named) in [
            ("kms keys frobnicate k", "frobnicate"),
            ("sql instances list", "sql"),
            ("kms keys describe k --keyring=r --location=l --wat=1", "--wat"),
            ("kms keys describe k --keyring=r", "--location"),
            ("kms keys describe --keyring=r --location=l", "KEY"),
            ("kms keys describe k k2 --keyring=r --location=l", "k2"),
            ("kms keys describe k --keyring=r --location=l --keyring=s", "--keyring"),
            ("kms keys describe k --location=l --keyring", "--keyring"),
            ("kms keys", "Command name"),
            ("kms keys describe -x k --keyring=r --location=l", "-x"),
            ("projects describe p --quiet=yes", "--quiet"),
        ] {
            let refusal = parse(typed).err().expect(typed);
            assert!(refusal.contains(named), "{typed}: {refusal}");
        }
    }

    #[test]
    fn no_command_begins_with_another_one_and_every_token_of_the_table_has_a_meaning() {
        for command in COMMANDS {
            let own: Vec<&str> = words(command.line).collect();
            for other in COMMANDS.iter().filter(|other| other.line != command.line) {
                assert!(!words(other.line).take(own.len()).eq(own.iter().copied()), "{} {}", command.line, other.line);
            }
            for token in command.line.split(' ').skip(own.len()) {
                assert!(Flag::parse(token).is_some() || Positional::parse(token).is_some(), "{token}");
            }
        }
    }

    #[test]
    fn a_list_says_itself_what_separates_it() {
        assert_eq!(separated("a,b"), (",", "a,b"));
        assert_eq!(separated("^~^a=1,2~b"), ("~", "a=1,2~b"));
        assert_eq!(separated("^^a"), (",", "^^a"));
    }
}
