//! What makes a picture hard to read, found without looking at it.

use crate::{
    model::{Area, Picture, Point},
    text::{BADGE, PADDING},
};

/// Everything that is wrong; empty is good.
pub(crate) fn mistakes(picture: &Picture) -> Vec<String> {
    let mut found = Vec::new();
    let page = Area::of([0.0, 0.0], picture.size);
    texts(picture, page, &mut found);
    boxes(picture, page, &mut found);
    arrows(picture, &mut found);
    badges(picture, &mut found);
    found
}

fn texts(picture: &Picture, page: Area, found: &mut Vec<String>) {
    for one in &picture.boxes {
        let inside = shrunk(Area::of(one.at, one.size));
        for text in one.texts().iter().filter(|text| !inside.holds(text.area())) {
            found.push(format!("{:?} does not fit into {}: {:?} in {inside:?}", text.words, one.id, text.area()));
        }
    }
    for domain in &picture.domain {
        let inside = shrunk(Area::of(domain.at, domain.size));
        for text in domain.texts() {
            if !inside.holds(text.area()) {
                found.push(format!("{:?} does not fit into {}", text.words, domain.id));
            }
            for one in picture.boxes.iter().filter(|one| Area::of(one.at, one.size).overlaps(text.area())) {
                found.push(format!("{:?} is behind {}", text.words, one.id));
            }
            for other in picture.domain.iter().filter(|other| other.id != domain.id) {
                let area = Area::of(other.at, other.size);
                if area.overlaps(text.area()) && !area.holds(Area::of(domain.at, domain.size)) {
                    found.push(format!("{:?} is behind {}", text.words, other.id));
                }
            }
            for arrow in
                picture.arrow.iter().filter(|arrow| arrow.segments().any(|part| part_area(part).overlaps(text.area())))
            {
                found.push(format!("{:?} is below the arrow from {} to {}", text.words, arrow.from, arrow.to));
            }
        }
    }
    let rows = picture.legend_rows();
    for (number, at, text) in &rows {
        if !page.holds(text.area()) {
            found.push(format!("the text of arrow {number} leaves the page"));
        }
        for (other, place, _) in rows.iter().filter(|(other, ..)| other != number) {
            if Area::around(*place, BADGE).overlaps(text.area()) {
                found.push(format!("the text of arrow {number} runs into that of {other}"));
            }
        }
        let areas = picture.boxes.iter().map(|one| (&one.id, one.at, one.size));
        for (id, place, size) in areas.chain(picture.domain.iter().map(|one| (&one.id, one.at, one.size))) {
            if Area::of(place, size).overlaps(text.area()) || Area::of(place, size).overlaps(Area::around(*at, BADGE)) {
                found.push(format!("the text of arrow {number} is behind {id}"));
            }
        }
    }
}

fn shrunk(area: Area) -> Area {
    let edge = PADDING / 2.0;
    Area { left: area.left + edge, top: area.top + edge, right: area.right - edge, bottom: area.bottom - edge }
}

fn boxes(picture: &Picture, page: Area, found: &mut Vec<String>) {
    for (index, one) in picture.boxes.iter().enumerate() {
        let area = Area::of(one.at, one.size);
        if !page.holds(area) {
            found.push(format!("{} leaves the page", one.id));
        }
        for other in picture.boxes.iter().skip(index + 1) {
            if area.overlaps(Area::of(other.at, other.size)) {
                found.push(format!("{} and {} overlap", one.id, other.id));
            }
        }
        match &one.domain {
            Some(domain) if !picture.domain.iter().any(|other| other.id == *domain) => {
                found.push(format!("{} is in {domain}, which there is not", one.id));
            }
            Some(domain) if picture.area(domain).is_none_or(|domain| !domain.holds(area)) => {
                found.push(format!("{} leaves {domain}", one.id));
            }
            Some(_) => {}
            None => {
                let around = picture.domain.iter().filter(|domain| area.overlaps(Area::of(domain.at, domain.size)));
                found.extend(around.map(|domain| format!("{} is in no domain, but overlaps {}", one.id, domain.id)));
            }
        }
    }
    for domain in &picture.domain {
        let area = Area::of(domain.at, domain.size);
        if !page.holds(area) {
            found.push(format!("{} leaves the page", domain.id));
        }
        for other in picture.domain.iter().filter(|other| other.id > domain.id) {
            let second = Area::of(other.at, other.size);
            if area.overlaps(second) && !area.holds(second) && !second.holds(area) {
                found.push(format!("{} and {} overlap", domain.id, other.id));
            }
        }
    }
}

fn arrows(picture: &Picture, found: &mut Vec<String>) {
    for arrow in &picture.arrow {
        let name = format!("the arrow from {} to {}", arrow.from, arrow.to);
        for (id, end) in [(&arrow.from, arrow.path.first()), (&arrow.to, arrow.path.last())] {
            match (picture.area(id), end) {
                (Some(area), Some(end)) if area.has_on_its_edge(*end) => {}
                _ => found.push(format!("{name} does not meet the edge of {id}")),
            }
        }
        for part in arrow.segments() {
            if part[0] != part[1] && part[0][0] != part[1][0] && part[0][1] != part[1][1] {
                found.push(format!("{name} is slanted at {part:?}"));
            }
            for one in &picture.boxes {
                if Area::of(one.at, one.size).overlaps(part_area(part)) && one.id != arrow.from && one.id != arrow.to {
                    found.push(format!("{name} crosses {}", one.id));
                }
            }
        }
    }
}

/// A number covers no box, no text of a domain, no other number and no other arrow.
fn badges(picture: &Picture, found: &mut Vec<String>) {
    for (number, arrow, _) in picture.numbered() {
        let area = Area::around(arrow.badge(), BADGE);
        for one in picture.boxes.iter().filter(|one| Area::of(one.at, one.size).overlaps(area)) {
            found.push(format!("the number {number} covers {}", one.id));
        }
        for text in
            picture.domain.iter().flat_map(crate::model::Domain::texts).filter(|text| text.area().overlaps(area))
        {
            found.push(format!("the number {number} covers {:?}", text.words));
        }
        for (other, second, _) in picture.numbered().filter(|(other, ..)| *other != number) {
            if Area::around(second.badge(), BADGE).overlaps(area) {
                found.push(format!("the numbers {number} and {other} overlap"));
            }
            if second.segments().any(|part| part_area(part).overlaps(area)) {
                found.push(format!("the number {number} covers the arrow {other}"));
            }
        }
    }
}

/// A part of an arrow, as wide as its line.
fn part_area([a, b]: [Point; 2]) -> Area {
    let (left, right) = (a[0].min(b[0]), a[0].max(b[0]));
    let (top, bottom) = (a[1].min(b[1]), a[1].max(b[1]));
    Area { left: left - 0.7, top: top - 0.7, right: right + 0.7, bottom: bottom + 0.7 }
}
