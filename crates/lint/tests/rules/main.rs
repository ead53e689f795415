//! Every rule finds the mistake that is planted for it and is silent where there is none.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod good;
mod planted;
mod published;
mod together;

use std::{collections::BTreeSet, fs, path::Path};

use csign_contract::Contract;
use csign_lint::{Document, Finding, lint, reference, rule, rules};

/// What is linted together, perhaps under a contract.
pub(crate) struct Case {
    pub(crate) documents: Vec<(&'static str, String)>,
    pub(crate) contract: Option<String>,
}

impl Case {
    pub(crate) fn of(name: &'static str, text: impl ToString) -> Self {
        Self { documents: vec![(name, text.to_string())], contract: None }
    }

    pub(crate) fn and(mut self, name: &'static str, text: impl ToString) -> Self {
        self.documents.push((name, text.to_string()));
        self
    }

    pub(crate) fn under(mut self, contract: impl Into<String>) -> Self {
        self.contract = Some(contract.into());
        self
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let contract = self.contract.as_ref().map(|text| Contract::from_toml(text).expect("a contract"));
        let documents: Vec<Document> = self
            .documents
            .iter()
            .map(|(name, text)| {
                Document::read(name, text.as_bytes(), None).unwrap_or_else(|error| panic!("{error}: {text}"))
            })
            .collect();
        lint(&documents, contract.as_ref())
    }

    pub(crate) fn rules(&self) -> BTreeSet<&'static str> {
        self.findings().into_iter().map(|finding| finding.rule).collect()
    }
}

#[test]
fn every_rule_finds_its_planted_mistake_and_is_silent_on_the_clean_example() {
    let pairs = planted::pairs();
    for planted::Pair { id, planted, clean } in &pairs {
        assert!(rule(id).is_some(), "{id} is no rule");
        assert!(planted.rules().contains(id), "{id} was not found: {:#?}", planted.findings());
        let found = clean.findings();
        assert!(found.is_empty(), "the clean example of {id} has findings: {found:#?}");
    }
    let tested: BTreeSet<&str> = pairs.iter().map(|pair| pair.id).collect();
    let untested: Vec<&str> = rules().map(|rule| rule.id).filter(|id| !tested.contains(id)).collect();
    assert!(untested.is_empty(), "without a planted mistake: {untested:?}");
}

#[test]
fn ids_are_unique_words_and_every_text_is_there() {
    let mut seen = BTreeSet::new();
    for rule in rules() {
        assert!(seen.insert(rule.id), "{} is there twice", rule.id);
        assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.id);
        assert!(rule.explanation.ends_with('.') && rule.fix.ends_with('.'), "{}", rule.id);
        assert!(!rule.title.ends_with('.'), "{}", rule.id);
    }
}

#[test]
fn the_reference_is_what_the_rules_say() {
    let want = reference();
    for rule in rules() {
        assert!(want.contains(&format!("\n## {}\n", rule.id)), "{} has no section", rule.id);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lint.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &want).expect("write the reference");
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    assert!(have == want, "docs/lint.md is out of date: UPDATE_REFERENCE=1 cargo test -p csign-lint --test rules");
}

#[test]
fn findings_are_the_same_however_often_they_are_looked_for() {
    let case = Case::of("p.json", good::with_condition("true")).and("i.json", good::instance_with("tee-x", "y"));
    let first = case.findings();
    assert!(first.len() > 3);
    assert_eq!(first, case.findings());
}

#[test]
fn a_finding_names_the_line_of_its_place() {
    let text = serde_json::to_string_pretty(&good::with_condition("true")).expect("JSON");
    let line = text.lines().position(|line| line.contains("attributeCondition")).expect("is there") + 1;
    let found = Case::of("p.json", text).findings();
    let debug = found.iter().find(|finding| finding.rule == "admits-debug").expect("found");
    assert_eq!((debug.line, debug.pointer.as_str()), (u32::try_from(line).ok(), "/attributeCondition"));
}

#[test]
fn what_is_foreign_in_a_message_is_bounded_and_moves_no_cursor() {
    let member = format!("user:\u{1b}[2J\u{202e}{}", "x".repeat(5000));
    let found = Case::of("p.json", good::policy_for(&[&member])).findings();
    let message = &found.first().expect("found").message;
    assert!(message.chars().count() <= 1001 && message.chars().all(|c| !c.is_control() && c != '\u{202e}'));
}
