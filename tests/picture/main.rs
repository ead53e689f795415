//! The pictures in `docs` are made from `docs/*.picture.toml`, and can be read: nothing overlaps, every text fits.
//! `UPDATE_PICTURE=1 cargo test --workspace --test picture` draws them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]
#![allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "places in a picture are small whole numbers")]

mod check;
mod draw;
mod model;
mod text;

use std::{fs, path::PathBuf};

use csign_tests::peer::repository;

use crate::model::Picture;

fn pictures() -> Vec<(PathBuf, Picture)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".picture.toml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| (path.clone(), parse(&fs::read_to_string(path).unwrap()))).collect()
}

fn parse(text: &str) -> Picture {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_pictures_are_what_their_sources_say() {
    for (path, picture) in pictures() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let svg = draw::svg(&picture, &format!("docs/{name}"));
        let drawn = path.with_file_name(name.replace(".picture.toml", ".svg"));
        if std::env::var_os("UPDATE_PICTURE").is_some() {
            fs::write(&drawn, &svg).unwrap();
        }
        // XML allows no two hyphens inside a comment.
        assert!(!svg.split("<!--").skip(1).filter_map(|rest| rest.split("-->").next()).any(|text| text.contains("--")));
        let have = fs::read_to_string(&drawn).unwrap_or_default();
        assert!(have == svg, "{}: UPDATE_PICTURE=1 cargo test --workspace --test picture", drawn.display());
    }
}

#[test]
fn every_text_fits_and_nothing_overlaps() {
    for (path, picture) in pictures() {
        let mistakes = check::mistakes(&picture);
        assert!(mistakes.is_empty(), "{}:\n{}", path.display(), mistakes.join("\n"));
        assert!(picture.size[0] <= 1200.0, "wider than a page shows it");
    }
}

#[test]
fn every_command_in_a_picture_has_a_page() {
    for (path, picture) in pictures() {
        let texts = picture.boxes.iter().flat_map(|one| one.lines.iter().chain([&one.title]));
        for text in texts {
            let Some(names) = text.split("csign ").nth(1) else { continue };
            for name in names.split(", ") {
                let page = repository().join(format!("docs/commands/csign-{name}.md"));
                assert!(page.is_file(), "{}: {text:?} names csign {name}", path.display());
            }
        }
    }
}

const GOOD: &str = r#"
title = "t"
description = "d"
size = [600, 300]
legend = [20, 250]
[[domain]]
id = "d"
kind = "builder"
title = "Domain"
at = [20, 20]
size = [200, 200]
[[box]]
id = "a"
domain = "d"
title = "A box"
at = [40, 60]
size = [150, 50]
[[box]]
id = "b"
kind = "shared"
title = "Another"
at = [400, 60]
size = [150, 50]
[[arrow]]
from = "a"
to = "b"
path = [[190, 80], [400, 80]]
carries = "something"
"#;

#[test]
fn a_picture_that_cannot_be_read_is_refused() {
    assert!(check::mistakes(&parse(GOOD)).is_empty(), "{:?}", check::mistakes(&parse(GOOD)));
    let planted = [
        ("A box", "A box with more words than it can hold", "does not fit into a"),
        ("\"Domain\"", "\"A domain with a name that is too long\"", "does not fit into d"),
        ("at = [400, 60]", "at = [150, 60]", "a and b overlap"),
        ("at = [400, 60]", "at = [500, 60]", "b leaves the page"),
        ("at = [40, 60]", "at = [90, 60]", "a leaves d"),
        ("at = [40, 60]", "at = [40, 30]", "is behind a"),
        ("[[190, 80], [400, 80]]", "[[190, 80], [390, 80]]", "does not meet the edge of b"),
        ("[[190, 80], [400, 80]]", "[[190, 80], [400, 90]]", "is slanted"),
        ("[[190, 80], [400, 80]]", "[[60, 60], [60, 10], [475, 10], [475, 60]]", "is below the arrow"),
        ("legend = [20, 250]", "legend = [20, 200]", "is behind d"),
        ("to = \"b\"", "to = \"nowhere\"", "does not meet the edge of nowhere"),
        (
            "\"something\"",
            "\"something that takes so many words to say that it cannot possibly fit into half a page, and leaves it\"",
            "leaves the page",
        ),
    ];
    for (from, to, mistake) in planted {
        assert!(GOOD.contains(from), "{from}");
        let found = check::mistakes(&parse(&GOOD.replacen(from, to, 1)));
        assert!(found.iter().any(|found| found.contains(mistake)), "{to}: {found:?}");
    }
}
