//! Mistakes in contracts, images, conditions, bindings and exports: each a rule with an explanation and a fix.
