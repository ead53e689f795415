//! `csign diff` on images that differ for a known reason: it names that reason first, with its evidence; and without the
//! plant the recipe gives the same image again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{path::Path, sync::Mutex, thread};

use csign_diff::{Options, Report, Style, compare, open, text};
use csign_tests::planted::{Plant, plants};

fn difference(a: &Path, b: &Path) -> Report {
    let options = Options::default();
    let source = |path: &Path| open(path.to_str().unwrap(), path, &options.limits).unwrap();
    compare(source(a).as_ref(), source(b).as_ref(), &options).unwrap()
}

fn shown(report: &Report) -> String {
    text(report, &Style { color: false, lines: 200 })
}

/// Everything that is said about a report's first cause.
fn first(report: &Report) -> (String, String) {
    let Some(cause) = report.causes.first() else { return ("none".to_owned(), String::new()) };
    let kind = serde_json::to_value(cause.kind).unwrap().as_str().unwrap().to_owned();
    let evidence =
        cause.evidence.iter().map(|evidence| format!("{} {:?} {:?}\n", evidence.at.join(" "), evidence.a, evidence.b));
    (kind, format!("{}\n{}", cause.summary, evidence.collect::<String>()))
}

/// A row of the table, and what is wrong.
fn examine(plant: &Plant) -> (String, Option<String>) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, planted| plant.write(&directory.path().join(name), planted);
    let (without, again, with) = (write("a", false), write("control", false), write("b", true));
    let control = difference(&without, &again);
    let report = difference(&without, &with);
    let (kind, said) = first(&report);
    let missing: Vec<_> = plant.evidence.iter().filter(|part| !said.contains(*part)).collect();
    let summary = said.lines().next().unwrap_or_default().to_owned();
    let wrong = if !control.identical {
        Some(format!("without the plant the image is another one each time: {:?}", first(&control)))
    } else if kind != plant.cause {
        Some(format!("the first cause is {kind}, not {}: {said}\n{}", plant.cause, shown(&report)))
    } else if !missing.is_empty() {
        Some(format!("the evidence lacks {missing:?}: {said}\n{}", shown(&report)))
    } else {
        None
    };
    let row = format!("{:<24}{:<20}{:<4}{summary}", plant.name, kind, if wrong.is_none() { "ok" } else { "NO" });
    (row, wrong)
}

#[test]
fn the_planted_cause_is_named_first_with_its_evidence() {
    let wanted = std::env::var("PLANT").ok();
    let all: Vec<&Plant> = plants().filter(|plant| wanted.as_deref().is_none_or(|name| name == plant.name)).collect();
    assert!(wanted.is_some() || all.len() >= 20);
    let next = Mutex::new(all.iter().enumerate());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((index, plant)) = next.lock().unwrap().next() else { return };
                    let row = match plant.is_possible() {
                        Ok(()) => examine(plant),
                        Err(program) => (format!("{:<24}skipped: there is no {program}", plant.name), None),
                    };
                    rows.lock().unwrap().push((index, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(index, _)| *index);
    assert_eq!(rows.len(), all.len());
    let skipped = rows.iter().filter(|(_, (row, _))| row.contains("skipped")).count();
    let required = std::env::var_os("CI_PEERS").is_some_and(|value| value == "required");
    assert!(!required || wanted.is_some() || rows.len() - skipped >= 20, "{skipped} plants could not be made here");
    rows.iter().for_each(|(_, (row, _))| println!("{row}"));
    let wrong: Vec<&String> = rows.iter().filter_map(|(_, (_, wrong))| wrong.as_ref()).collect();
    wrong.iter().for_each(|wrong| println!("\n{wrong}"));
    assert!(wrong.is_empty(), "{} of {} are wrong", wrong.len(), all.len());
}
