//! The crates that the program is made of, as cargo resolves them for the recipe's target: what `cargo tree` shows
//! without build scripts, procedural macros and tests, which run on the builder and are not in the image.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use csign_contract::Recipe;
use csign_sbom::{LinkedCrate, lock::Spelling};

use super::{Plan, environment::Host, error::RecipeError, plan, toolchain, workspace};

/// Which program.
#[derive(Clone, Debug)]
pub struct ProgramRequest {
    /// The workspace's root.
    pub source: PathBuf,
    /// The package whose binary is the program.
    pub package: String,
    /// How it is built.
    pub recipe: Recipe,
    /// May cargo use the network to fetch what is missing?
    pub network: bool,
    /// Does cargo's progress go to standard error?
    pub progress: bool,
    /// The caller's environment, of which little is passed on.
    pub environment: BTreeMap<OsString, OsString>,
}

/// The program's parts.
#[derive(Clone, Debug)]
pub struct Program {
    /// The target triple.
    pub target: &'static str,
    /// The pinned version of Rust.
    pub toolchain: String,
    /// Its crates; the first is the program's own package.
    pub crates: Vec<LinkedCrate>,
}

/// Asks cargo what [`super::build`] would compile into the program.
///
/// # Errors
/// No pinned toolchain, no usable lock file, crates that are not here and must not be fetched.
pub fn program(request: &ProgramRequest) -> Result<Program, RecipeError> {
    let plan = plan(request.recipe);
    let source =
        fs::canonicalize(&request.source).map_err(RecipeError::io("finding source directory", &request.source))?;
    let channel = toolchain::pinned_channel(&source)?;
    let host = Host::new(&request.environment, &channel)?;
    let known = workspace::Workspace::load(&host, &source, &plan, request.network, request.progress)?;
    let tree = tree(&host, &source, &plan, request)?;
    let crates = read(&tree, &known.packages)?;
    if crates.first().is_none_or(|root| root.name != request.package) {
        return Err(RecipeError::Output(format!("cargo tree does not start with {}", request.package)));
    }
    Ok(Program { target: plan.target, toolchain: channel, crates })
}

fn tree(host: &Host, source: &Path, plan: &Plan, request: &ProgramRequest) -> Result<String, RecipeError> {
    let mut cargo = host.command("cargo");
    cargo.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "depth", "--charset", "ascii"]);
    cargo.args(["--format", " {p}", "--package", &request.package, "--target", plan.target, "--color", "never"]);
    // Dependencies may depend on what the compiler is told.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", plan.flags.join("\x1f"));
    cargo.arg("--manifest-path").arg(source.join("Cargo.toml"));
    if !request.network {
        cargo.arg("--offline");
    }
    let printed = workspace::answer(&mut cargo, "cargo tree", request.progress)?;
    String::from_utf8(printed).map_err(|_| RecipeError::Output("cargo tree printed no UTF-8".to_owned()))
}

/// Reads lines of `DEPTH NAME vVERSION[ (SOURCE)][ (*)]`; the mark at the end says that the crate's dependencies stand
/// where it came first.
fn read(tree: &str, known: &[workspace::Package]) -> Result<Vec<LinkedCrate>, RecipeError> {
    let odd = |line: &str| RecipeError::Output(format!("cargo tree: {line:?} is not understood"));
    let mut crates: Vec<LinkedCrate> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut path: Vec<usize> = Vec::new();
    for line in tree.lines() {
        let (depth, text) = line.split_once(' ').ok_or_else(|| odd(line))?;
        let depth: usize = depth.parse().map_err(|_| odd(line))?;
        if depth > path.len() || (depth == 0 && !crates.is_empty()) {
            return Err(odd(line));
        }
        path.truncate(depth);
        let text = text.trim_end_matches(" (*)");
        let at = match places.get(text) {
            Some(at) => *at,
            None => {
                crates.push(lookup(text, known)?);
                *places.entry(text).or_insert(crates.len() - 1)
            }
        };
        if let Some(parent) = path.last().and_then(|parent| crates.get_mut(*parent)) {
            parent.dependencies.push(at);
        }
        path.push(at);
    }
    Ok(crates)
}

/// The one package of this name and version that cargo knows.
fn lookup(text: &str, known: &[workspace::Package]) -> Result<LinkedCrate, RecipeError> {
    let mut words = text.splitn(3, ' ');
    let name = words.next().unwrap_or_default();
    let version = words.next().and_then(|word| word.strip_prefix('v')).unwrap_or_default();
    let mut found = known.iter().filter(|package| package.name == name && package.version == version);
    match (found.next(), found.next()) {
        (Some(package), None) => Ok(LinkedCrate {
            name: package.name.clone(),
            version: package.version.clone(),
            source: package.source.clone().map(Spelling::new),
            license: package.license.clone(),
            dependencies: Vec::new(),
        }),
        (None, _) => Err(RecipeError::Output(format!("cargo tree names {name} {version}, cargo metadata does not"))),
        (Some(_), Some(_)) => Err(RecipeError::Output(format!("{name} {version} comes from two sources at once"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> Vec<workspace::Package> {
        let package = |name: &&str| {
            let fields = serde_json::json!({"name": name, "version": "1.0.0", "id": name, "source": null,
                "license": "MIT", "manifest_path": "/w/Cargo.toml"});
            serde_json::from_value(fields).unwrap()
        };
        names.iter().map(package).collect()
    }

    #[test]
    fn a_tree_is_read_with_all_its_edges() {
        let tree = "0 app v1.0.0 (/w)\n1 a v1.0.0\n2 c v1.0.0\n1 b v1.0.0\n2 a v1.0.0 (*)\n2 c v1.0.0\n";
        let crates = read(tree, &known(&["app", "a", "b", "c"])).unwrap();
        let edges: Vec<(&str, &[usize])> =
            crates.iter().map(|c| (c.name.as_str(), c.dependencies.as_slice())).collect();
        assert_eq!(edges, [("app", &[1, 3][..]), ("a", &[2]), ("c", &[]), ("b", &[1, 2])]);
    }

    #[test]
    fn a_tree_that_is_not_understood_is_refused() {
        for bad in [
            "1 app v1.0.0",
            "0 app v1.0.0\n2 a v1.0.0",
            "0 app v1.0.0\n0 a v1.0.0",
            "0 app v1.0.0\n\n[build-dependencies]",
            "0 app v1.0.0\n1 unknown v1.0.0",
            "0 app v2.0.0",
            "app v1.0.0",
        ] {
            assert!(read(bad, &known(&["app", "a"])).is_err(), "{bad:?} was accepted");
        }
        assert!(read("0 app v1.0.0\n1 a v1.0.0", &known(&["app", "a", "a"])).is_err(), "one name from two sources");
    }
}
