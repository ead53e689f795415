//! From a command line, as clap knows it, to pages.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, Command};

use crate::{
    model::{Entry, Facts, Group, Item, Page},
    text::{self, Blocks},
};

/// The pages of a program: its own, then one for each command and subcommand, depth first.
pub fn pages(mut program: Command, facts: &Facts) -> Vec<Page> {
    program.build();
    let root = Blocks::of(&after_help(&program));
    let version = program.get_version().unwrap_or_default().to_owned();
    let mut pages = Vec::new();
    collect(&mut program, &[], &version, &root, facts, &mut pages);
    let paths: BTreeSet<Vec<String>> = pages.iter().map(|page| page.path.clone()).collect();
    for page in &mut pages {
        page.see_also = see_also(page, &paths);
    }
    pages
}

fn collect(command: &mut Command, above: &[String], version: &str, root: &Blocks, facts: &Facts, out: &mut Vec<Page>) {
    let mut path = above.to_vec();
    path.push(command.get_name().to_owned());
    out.push(page(command, &path, version, root, facts));
    for sub in command.get_subcommands_mut().filter(|sub| is_shown(sub)) {
        collect(sub, &path, version, root, facts, out);
    }
}

/// `help` prints what these pages say.
fn is_shown(command: &Command) -> bool {
    command.get_name() != "help" && !command.is_hide_set()
}

fn page(command: &mut Command, path: &[String], version: &str, root: &Blocks, facts: &Facts) -> Page {
    let usage = command.render_usage().to_string();
    let summary = command.get_about().map(ToString::to_string).unwrap_or_default();
    // The first paragraph of the long text is the summary.
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let mut description: Vec<String> = text::paragraphs(&long).into_iter().skip(1).collect();
    let blocks = Blocks::of(&after_help(command));
    description.extend(blocks.paragraphs);
    let items: Vec<(String, Item)> = command.get_arguments().filter_map(item).collect();
    let mut page = Page {
        path: path.to_vec(),
        summary: summary.trim_end_matches('.').to_owned(),
        version: version.to_owned(),
        usage: usage.trim_start_matches("Usage:").lines().map(|line| line.trim().to_owned()).collect(),
        description,
        commands: commands(command, path, facts),
        options: groups(items),
        examples: blocks.examples,
        exit_statuses: if blocks.exit_statuses.is_empty() { &root.exit_statuses } else { &blocks.exit_statuses }
            .clone(),
        variables: variables(command, path, facts),
        files: files(command, path, facts),
        see_also: Vec::new(),
        documents: Vec::new(),
    };
    let named: BTreeSet<String> = texts(&page).flat_map(text::documents).map(str::to_owned).collect();
    page.documents = named.into_iter().collect();
    page
}

fn after_help(command: &Command) -> String {
    command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string).unwrap_or_default()
}

/// Headings without commands are left out; commands without a heading come last.
fn commands(command: &Command, path: &[String], facts: &Facts) -> Vec<Group<Entry>> {
    let shown: Vec<&Command> = command.get_subcommands().filter(|sub| is_shown(sub)).collect();
    let is_root = path.len() == 1;
    let headings = if is_root { facts.groups } else { &[] };
    let mut groups: Vec<Group<Entry>> = Vec::new();
    for (heading, names) in headings {
        let mut members = Vec::new();
        for sub in names.iter().filter_map(|name| shown.iter().find(|sub| sub.get_name() == *name)) {
            entries(sub, path, is_root, &mut members);
        }
        groups.push(Group { heading: (*heading).to_owned(), members });
    }
    let mut others = Vec::new();
    for sub in shown {
        if !headings.iter().any(|(_, names)| names.contains(&sub.get_name())) {
            entries(sub, path, is_root, &mut others);
        }
    }
    let heading = if groups.is_empty() { String::new() } else { "Other".to_owned() };
    groups.push(Group { heading, members: others });
    groups.retain(|group| !group.members.is_empty());
    groups
}

fn entries(command: &Command, above: &[String], deep: bool, out: &mut Vec<Entry>) {
    let mut path = above.to_vec();
    path.push(command.get_name().to_owned());
    let summary = command.get_about().map(ToString::to_string).unwrap_or_default();
    out.push(Entry { path: path.clone(), summary });
    if deep {
        command.get_subcommands().filter(|sub| is_shown(sub)).for_each(|sub| entries(sub, &path, true, out));
    }
}

/// The heading that it belongs below, and itself.
fn item(arg: &Arg) -> Option<(String, Item)> {
    if arg.is_hide_set() {
        return None;
    }
    let everywhere = arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
    let heading = match arg.get_help_heading() {
        Some(heading) => heading,
        None if everywhere => "Options of every command",
        None if arg.is_positional() => "Arguments",
        None => "Options",
    };
    let form = match arg.get_short() {
        Some(short) if arg.get_long().is_some() => format!("-{short}, {arg}"),
        _ => arg.to_string(),
    };
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let takes_value = arg.get_action().takes_values();
    let values = arg.get_possible_values();
    let values = values.iter().filter(|value| takes_value && !value.is_hide_set());
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let aliases = arg.get_visible_short_aliases().unwrap_or_default().into_iter().map(|alias| format!("-{alias}"));
    let long_aliases = arg.get_visible_aliases().unwrap_or_default().into_iter().map(|alias| format!("--{alias}"));
    let item = Item {
        form,
        help: text::paragraphs(&help),
        values: values.map(|value| (value.get_name().to_owned(), value.get_help().map(ToString::to_string))).collect(),
        aliases: aliases.chain(long_aliases).collect(),
        default: (takes_value && !arg.is_hide_default_value_set())
            .then(|| defaults.collect::<Vec<_>>().join(" "))
            .filter(|default| !default.is_empty()),
        variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()),
        required: arg.is_required_set(),
        repeats: takes_value
            && matches!(arg.get_action(), ArgAction::Append)
            && !arg.is_positional()
            && !says_how_often(&help),
    };
    Some((heading.to_owned(), item))
}

/// Does the help say itself that an option may come more than once?
fn says_how_often(help: &str) -> bool {
    ["be repeated", "once for each", "once or twice", "six times"].iter().any(|words| help.contains(words))
}

/// Arguments first, those of every command last, the command's own headings between them as they come.
fn groups(items: Vec<(String, Item)>) -> Vec<Group<Item>> {
    let mut groups: Vec<Group<Item>> = Vec::new();
    for (heading, item) in items {
        match groups.iter_mut().find(|group| group.heading == heading) {
            Some(group) => group.members.push(item),
            None => groups.push(Group { heading, members: vec![item] }),
        }
    }
    groups.sort_by_key(|group| match group.heading.as_str() {
        "Arguments" => 0,
        "Options" => 1,
        "Options of every command" => 3,
        _ => 2,
    });
    groups
}

/// The program's own variables that this command reads, and those that stand for options.
fn variables(command: &Command, path: &[String], facts: &Facts) -> Vec<(String, String)> {
    let inner = path.get(1..).unwrap_or_default().join(" ");
    let reads = |name: &str| inner == name || inner.starts_with(&format!("{name} "));
    let mut all: Vec<(String, String)> = facts
        .variables
        .iter()
        .filter(|variable| path.len() == 1 || variable.commands.iter().copied().flatten().any(|name| reads(name)))
        .map(|variable| (variable.names.to_owned(), variable.meaning.to_owned()))
        .collect();
    for arg in command.get_arguments() {
        if let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) {
            all.push((name.to_string_lossy().into_owned(), format!("stands for `--{long}`")));
        }
    }
    all
}

/// Files with a name of their own: those of the program on its own page, and what options take where nothing is given.
fn files(command: &Command, path: &[String], facts: &Facts) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    if path.len() == 1 {
        all.extend(facts.files.iter().map(|(path, meaning)| ((*path).to_owned(), (*meaning).to_owned())));
    }
    for arg in command.get_arguments() {
        let names = arg.get_value_names().unwrap_or_default();
        let is_file = names.iter().any(|name| name.split('|').any(|kind| ["FILE", "DIR"].contains(&kind)));
        let default = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        if let Some(default) = default.filter(|default| is_file && default != "-" && default != ".") {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let meaning = match arg.get_long() {
                Some(long) => format!("{} (`--{long}` names another)", help.trim_end_matches('.')),
                None => help,
            };
            all.push((default, meaning));
        }
    }
    all
}

/// Everything that is prose or an example on a page.
fn texts(page: &Page) -> impl Iterator<Item = &str> {
    let items = page.options.iter().flat_map(|group| &group.members).flat_map(|item| &item.help);
    let files = page.files.iter().chain(&page.variables).map(|(_, meaning)| meaning);
    page.description.iter().chain(items).chain(&page.examples).chain(files).map(String::as_str)
}

/// The command above, then those that the texts name. Inner commands stand in a list already.
fn see_also(page: &Page, paths: &BTreeSet<Vec<String>>) -> Vec<Vec<String>> {
    let mut found = BTreeSet::new();
    let program = page.path.first().map(String::as_str).unwrap_or_default();
    for text in texts(page) {
        let words: Vec<&str> =
            text.split_whitespace().map(|word| word.trim_matches(|c| "`().,;:'\"".contains(c))).collect();
        for start in (0..words.len()).filter(|at| words.get(*at) == Some(&program)) {
            let named = (2..=words.len() - start)
                .take(3)
                .filter_map(|length| words.get(start..start + length))
                .map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
                .take_while(|path| paths.contains(path))
                .last();
            found.extend(named);
        }
    }
    found.retain(|path| *path != page.path && !path.starts_with(&page.path));
    let above = page.path.split_last().map(|(_, above)| above.to_vec()).filter(|above| !above.is_empty());
    found.retain(|path| Some(path) != above.as_ref());
    if page.path.len() == 1 {
        return Vec::new();
    }
    above.into_iter().chain(found).collect()
}
