//! The pages in a directory of the repository: their list, and whether they are what the programs say.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::model::Page;

/// The list of all pages. It belongs to no program; neither does what is written by hand.
const README: &str = "README.md";

const HEAD: &str = "\
# Commands

Generated from what the programs say about themselves; tests keep every page true, and
`UPDATE_REFERENCE=1 cargo test --workspace --test reference --bin simulator reference`
writes them.
";

const TAIL: &str = "\
## workload

- [workload](workload.md): The program in the image. It takes no arguments: everything that decides is in the contract

## On your machine

`csign COMMAND --help` prints a page. So does `man csign-verify`, once the man pages are installed:

```sh
csign man --out ~/.local/share/man/man1
simulator man --out ~/.local/share/man/man1
```

For all users of a machine that is `/usr/local/share/man/man1`. With `SOURCE_DATE_EPOCH` the pages carry a date; the
same program writes the same bytes everywhere. Completions of the shell (bash, elvish, fish, powershell, zsh):

```sh
csign completions bash > /etc/bash_completion.d/csign
```
";

/// A file that is not what the program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is missing, or says something else.
    Changed(String),
    /// No command has this page any more.
    Stale(String),
}

/// Compares `directory` with the pages of one program, and the list with the pages that are there.
///
/// # Errors
///
/// If a file cannot be read.
pub fn compare(directory: &Path, pages: &[Page]) -> io::Result<Vec<Difference>> {
    let mut want: BTreeMap<String, String> =
        pages.iter().map(|page| (format!("{}.md", page.name()), page.markdown())).collect();
    want.insert(README.to_owned(), index(directory)?);
    let program = pages.first().map(Page::name).unwrap_or_default();
    let mut differences = Vec::new();
    for (name, text) in &want {
        if fs::read_to_string(directory.join(name)).ok().as_ref() != Some(text) {
            differences.push(Difference::Changed(name.clone()));
        }
    }
    for name in names(directory)?.into_iter().filter(|name| belongs(name, &program) && !want.contains_key(name)) {
        differences.push(Difference::Stale(name));
    }
    Ok(differences)
}

/// Writes the pages of one program, removes those that no command has any more, and writes the list.
///
/// # Errors
///
/// If a file cannot be written.
pub fn update(directory: &Path, pages: &[Page]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for difference in compare(directory, pages)? {
        if let Difference::Stale(name) = difference {
            fs::remove_file(directory.join(name))?;
        }
    }
    for page in pages {
        fs::write(directory.join(format!("{}.md", page.name())), page.markdown())?;
    }
    fs::write(directory.join(README), index(directory)?)
}

/// Is this the page of a command of `program`?
fn belongs(name: &str, program: &str) -> bool {
    let stem = name.strip_suffix(".md").unwrap_or(name);
    stem == program || stem.starts_with(&format!("{program}-"))
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

/// The list: what each program's own page says of its commands. A program cannot see another's commands, only its page.
fn index(directory: &Path) -> io::Result<String> {
    let mut out = HEAD.to_owned();
    for name in names(directory)? {
        let Some(program) = name.strip_suffix(".md").filter(|stem| !stem.contains('-')) else { continue };
        let text = fs::read_to_string(directory.join(&name))?;
        let list = text.split("\n## ").find_map(|section| section.strip_prefix("Commands\n"));
        if let Some(list) = list {
            let summary = text.lines().nth(2).unwrap_or_default();
            out.push_str(&format!("\n## {program}\n\n[{program}]({name}): {summary}\n{}\n", list.trim_end()));
        }
    }
    out.push('\n');
    out.push_str(TAIL);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::{Arg, Command};

    use super::*;
    use crate::{Facts, pages};

    fn program() -> Vec<Page> {
        let sub = Command::new("sub")
            .about("Do it")
            .after_help("Example:\n  tool sub")
            .arg(Arg::new("x").long("x").help("An x"));
        pages(Command::new("tool").version("1").about("A tool").subcommand(sub), &Facts::default())
    }

    #[test]
    fn a_page_that_is_missing_changed_or_stale_is_told_and_other_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (at, pages) = (|name: &str| directory.path().join(name), program());
        let changed = |name: &str| Difference::Changed(name.to_owned());
        assert_eq!(compare(directory.path(), &pages).unwrap(), ["README.md", "tool-sub.md", "tool.md"].map(changed));
        for name in ["tool-gone.md", "tools.md", "hand.md"] {
            fs::write(at(name), "by hand\n").unwrap();
        }
        assert!(compare(directory.path(), &pages).unwrap().contains(&Difference::Stale("tool-gone.md".to_owned())));
        update(directory.path(), &pages).unwrap();
        assert!(compare(directory.path(), &pages).unwrap().is_empty());
        assert!(!at("tool-gone.md").exists() && at("tools.md").exists() && at("hand.md").exists());
        assert!(fs::read_to_string(at("README.md")).unwrap().contains("- [tool sub](tool-sub.md): Do it\n"));
        fs::write(at("tool-sub.md"), "something else").unwrap();
        assert_eq!(compare(directory.path(), &pages).unwrap(), [changed("tool-sub.md")]);
    }
}
