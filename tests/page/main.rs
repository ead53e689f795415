//! The simulator's page in headless Chromium: used with the keyboard alone, filtered, live, attacked, and looked at.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod scene;

use std::path::PathBuf;

use csign_tests::{
    peer::{peer, repository},
    process::Bench,
};

use crate::scene::Scene;

/// Runs one check of `drive.js` against a scene; skips, visibly, without the browser.
fn check(name: &str) {
    let (Some(node), Some(chromium)) = (peer("node-peers"), peer("chromium")) else { return };
    let bench = Bench::new();
    let scene = Scene::start();
    if name == "many" {
        scene.many(12_000);
    }
    let pictures = std::env::var_os("PAGE_PICTURES").map_or_else(|| bench.dir().to_owned(), PathBuf::from);
    let mut command = bench.command(node);
    command.arg(repository().join("tests/page/drive.js")).arg(chromium);
    command.arg(scene.address()).arg(name).arg(pictures);
    let finished = csign_tests::process::Finished::of(&mut command);
    assert!(finished.code == Some(0) && finished.stdout.contains("passed"), "{finished}");
}

#[test]
fn the_page_is_used_with_the_keyboard_alone() {
    check("keyboard");
}

#[test]
fn filters_narrow_the_table_and_survive_a_reload() {
    check("filters");
}

#[test]
fn a_decision_appears_and_is_announced_while_the_page_is_open() {
    check("live");
}

#[test]
fn hostile_text_in_the_log_does_not_become_markup() {
    check("hostile");
}

#[test]
fn twelve_thousand_decisions_leave_the_page_usable() {
    check("many");
}

/// With `PAGE_PICTURES=DIRECTORY` the pictures are left there.
#[test]
fn the_page_shows_its_story_with_enough_contrast_light_and_dark() {
    check("screenshot");
}
