//! The same things in another order.

use super::{claim::Claim, locale, tree::Tree};
use crate::report::{CauseKind, Change};

pub(super) fn reordered(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Order);
    let mut in_binary = false;
    for (index, leaf) in tree.leaves.iter().enumerate() {
        let Change::Order { a, b } = leaf.change else { continue };
        if locale::sorts_differently(a, b) {
            continue;
        }
        in_binary |= leaf.node.kind == crate::report::Kind::Section;
        claim.part(tree, index, 1000, Some(shown(a)), Some(shown(b)));
        // Whatever was looked at more closely at the same place is the same order.
        for (other, sibling) in tree.leaves.iter().enumerate().filter(|(_, other)| std::ptr::eq(other.node, leaf.node))
        {
            if matches!(sibling.change, Change::Lines { .. } | Change::Bytes { .. }) {
                claim.part(tree, other, 1000, Some(shown(a)), Some(shown(b)));
            }
        }
    }
    claim.explains_texts(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} holds the same in another order: {a} and {b}", claim.place());
    let advice = if in_binary {
        "generate code from sorted data: a HashMap's order is another one in every run (BTreeMap's is not)"
    } else {
        "sort what is listed: directories have no order of their own (tar --sort=name, LC_ALL=C sort)"
    };
    claim.says(summary, advice)
}

fn shown(names: &[String]) -> String {
    let mut text = names.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 4 {
        text.push_str(", …");
    }
    text
}
