//! From what differs to why: each rule looks at the whole tree for one kind of evidence, and says what it explains.
//!
//! A rule needs evidence on both sides, never a guess alone. Causes are ranked by how much of the difference they explain;
//! among equals, by what makes other things differ: a compiler changes all that it compiles, a time only itself.

mod binaries;
mod claim;
mod configuration;
mod files;
mod flags;
mod locale;
mod order;
mod pairs;
mod people;
mod places;
mod random;
mod rest;
mod times;
mod tools;
mod tree;
mod versions;

use crate::report::{Cause, CauseKind, Node};

use self::{claim::Claim, tree::Tree};

/// Evidence that is listed of one cause.
const EVIDENCE: usize = 6;
/// Causes that are listed.
const CAUSES: usize = 8;

/// A rule finds at most one cause; what it looks for is in its name.
type Rule = fn(&Tree<'_>) -> Option<Claim>;

const RULES: &[Rule] = &[
    configuration::contract,
    configuration::settings,
    configuration::serialization,
    tools::toolchain,
    tools::linker,
    tools::build_id,
    versions::dependency,
    flags::debug_information,
    flags::stripping,
    flags::options,
    flags::optimization,
    files::set,
    files::permissions,
    files::owners,
    files::times,
    files::compression,
    order::reordered,
    locale::language,
    places::path,
    people::name,
    random::value,
    times::embedded,
];

/// Likely causes of what differs in the tree under `root`, most likely first. There is always one if anything differs.
pub fn causes(root: &Node) -> Vec<Cause> {
    let tree = Tree::of(root);
    let mut claims: Vec<Claim> = RULES.iter().filter_map(|rule| rule(&tree)).collect();
    claims.extend(rest::damage(&tree, &claims));
    claims.extend(rest::sources(&tree, &claims));
    // The sort is stable: equal causes stay in the order of the rules.
    claims.sort_by_key(|claim| (std::cmp::Reverse(claim.coverage(&tree)), precedence(claim.kind)));
    claims.into_iter().take(CAUSES).map(Claim::into_cause).collect()
}

/// All kinds: what makes other things differ comes first.
const PRECEDENCE: [CauseKind; 18] = [
    CauseKind::Contract,
    CauseKind::Toolchain,
    CauseKind::DependencyVersion,
    CauseKind::Linker,
    CauseKind::CompilerFlags,
    CauseKind::Configuration,
    CauseKind::FileSet,
    CauseKind::Permissions,
    CauseKind::EmbeddedPath,
    CauseKind::Randomness,
    CauseKind::UserOrHost,
    CauseKind::Locale,
    CauseKind::Timestamp,
    CauseKind::Order,
    CauseKind::Compression,
    CauseKind::Serialization,
    CauseKind::Corruption,
    CauseKind::Sources,
];

fn precedence(kind: CauseKind) -> usize {
    PRECEDENCE.iter().position(|known| *known == kind).unwrap_or(PRECEDENCE.len())
}

#[cfg(test)]
mod tests;
