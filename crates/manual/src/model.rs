//! What a page says, before it is printed.

/// What a command line does not say about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Headings and the commands below them, in the order of printing; commands that are named nowhere come last.
    pub groups: &'static [(&'static str, &'static [&'static str])],
    /// The environment variables that the program reads.
    pub variables: &'static [Variable],
    /// Files that the program reads or writes, or that its users exchange: path and meaning. On the program's own page.
    pub files: &'static [(&'static str, &'static str)],
}

/// An environment variable, or several of one meaning.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Names, separated by `, `.
    pub names: &'static str,
    /// What it is for, with unit and default.
    pub meaning: &'static str,
    /// Lists of the commands that read it (`sign`, `attach sbom`); an outer command stands for the inner ones. Where none
    /// is named, the program's own page alone has it.
    pub commands: &'static [&'static [&'static str]],
}

/// One page: one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Program and subcommands: `["csign", "attach", "sbom"]`.
    pub path: Vec<String>,
    /// One line without a full stop.
    pub summary: String,
    /// Version of the program.
    pub version: String,
    /// Forms of the command line.
    pub usage: Vec<String>,
    /// Paragraphs.
    pub description: Vec<String>,
    /// Subcommands, in groups; a program's own page lists those of its commands too.
    pub commands: Vec<Group<Entry>>,
    /// Arguments, options of the command, then those of every command.
    pub options: Vec<Group<Item>>,
    /// Lines for a shell.
    pub examples: Vec<String>,
    /// Status and meaning.
    pub exit_statuses: Vec<(String, String)>,
    /// Names and meaning.
    pub variables: Vec<(String, String)>,
    /// Paths and meaning.
    pub files: Vec<(String, String)>,
    /// Commands of other pages, by their paths.
    pub see_also: Vec<Vec<String>>,
    /// Documents of the repository: `docs/lint.md`.
    pub documents: Vec<String>,
}

/// Things below one heading; an empty heading is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<T> {
    /// The heading.
    pub heading: String,
    /// What stands below.
    pub members: Vec<T>,
}

/// A subcommand in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Program and subcommands.
    pub path: Vec<String>,
    /// One line without a full stop.
    pub summary: String,
}

/// An argument or option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As it is written: `-o, --out <DIR>`.
    pub form: String,
    /// Paragraphs of its help.
    pub help: Vec<String>,
    /// Values that it takes, with what they mean if that is said.
    pub values: Vec<(String, Option<String>)>,
    /// Other ways to write it.
    pub aliases: Vec<String>,
    /// Value if it is not given.
    pub default: Option<String>,
    /// Variable that gives its value otherwise.
    pub variable: Option<String>,
    /// It must be given.
    pub required: bool,
    /// It can be given more than once, which the help does not say.
    pub repeats: bool,
}

impl Page {
    /// The name of its file, without an ending: `csign-attach-sbom`.
    pub fn name(&self) -> String {
        self.path.join("-")
    }

    /// As the command is written: `csign attach sbom`.
    pub fn command(&self) -> String {
        self.path.join(" ")
    }

    /// The sections that are lists of terms and meanings, with their headings, without the empty ones.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&'static str, &[(String, String)])> {
        [("Exit status", &self.exit_statuses), ("Environment", &self.variables), ("Files", &self.files)]
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(heading, list)| (heading, list.as_slice()))
    }
}

impl Item {
    /// What is to be known beside the help, the name of the fact and its values.
    pub(crate) fn facts(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut facts = Vec::new();
        if let Some(default) = &self.default {
            facts.push(("Default", vec![default.clone()]));
        }
        if let Some(variable) = &self.variable {
            facts.push(("Environment", vec![variable.clone()]));
        }
        if !self.aliases.is_empty() {
            facts.push(("Also", self.aliases.clone()));
        }
        facts
    }
}
