//! The rules, by what they look at. Each file holds its rules' texts and their checks.

pub(crate) mod admission;
pub(crate) mod aws;
pub(crate) mod binding;
pub(crate) mod condition;
pub(crate) mod contract;
pub(crate) mod image;
pub(crate) mod instance;
pub(crate) mod overrides;
pub(crate) mod perimeter;
pub(crate) mod provider;
pub(crate) mod pubsub;
pub(crate) mod rego;
pub(crate) mod request;
pub(crate) mod vault;

use crate::rule::Rule;

/// Every rule.
pub(crate) static ALL: &[&[&Rule]] = &[
    contract::RULES,
    image::RULES,
    admission::RULES,
    condition::RULES,
    provider::RULES,
    binding::RULES,
    instance::RULES,
    perimeter::RULES,
    pubsub::RULES,
    vault::RULES,
    aws::RULES,
    request::RULES,
    rego::RULES,
];
