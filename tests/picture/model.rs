//! What a picture's source says: `docs/*.picture.toml`.

use serde::Deserialize;

/// A place in the picture: right of its left edge, below its upper edge, in CSS pixels.
pub(crate) type Point = [f32; 2];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Picture {
    /// What a screen reader says first.
    pub(crate) title: String,
    /// And then.
    pub(crate) description: String,
    pub(crate) size: Point,
    /// Where the list of what the arrows carry begins.
    pub(crate) legend: Point,
    #[serde(default)]
    pub(crate) domain: Vec<Domain>,
    #[serde(rename = "box")]
    pub(crate) boxes: Vec<Box>,
    #[serde(default)]
    pub(crate) arrow: Vec<Arrow>,
}

/// Who decides what happens inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Builder,
    Collaborator,
    Operator,
    Hardware,
    Google,
    Shared,
    Refusal,
}

impl Kind {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Collaborator => "collaborator",
            Self::Operator => "operator",
            Self::Hardware => "hardware",
            Self::Google => "google",
            Self::Shared => "shared",
            Self::Refusal => "refusal",
        }
    }
}

/// A trust domain: one party decides what happens inside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Domain {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) title: String,
    /// Whom it need not trust.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) at: Point,
    pub(crate) size: Point,
}

/// A program, a file, a service or a key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Box {
    pub(crate) id: String,
    /// The domain that it lies in; none: nobody's.
    pub(crate) domain: Option<String>,
    /// Its colours, if it lies in none.
    pub(crate) kind: Option<Kind>,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) lines: Vec<String>,
    pub(crate) at: Point,
    pub(crate) size: Point,
}

/// A line from one box or domain to another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Its corners, the ends included.
    pub(crate) path: Vec<Point>,
    /// What it carries. Numbers are given in this order; an arrow that carries nothing has none.
    pub(crate) carries: Option<String>,
    /// There is an answer on the same way.
    #[serde(default)]
    pub(crate) both: bool,
}

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
}

impl Area {
    pub(crate) fn of(at: Point, size: Point) -> Self {
        Self { left: at[0], top: at[1], right: at[0] + size[0], bottom: at[1] + size[1] }
    }

    /// Around a point.
    pub(crate) fn around(point: Point, radius: f32) -> Self {
        let corner = [point[0] - radius, point[1] - radius];
        Self::of(corner, [2.0 * radius, 2.0 * radius])
    }

    pub(crate) fn holds(self, other: Self) -> bool {
        self.left <= other.left && self.top <= other.top && self.right >= other.right && self.bottom >= other.bottom
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    /// Is it on the edge?
    pub(crate) fn has_on_its_edge(self, [x, y]: Point) -> bool {
        let inside = (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y);
        let is_on = |a: f32, b: f32| (a - b).abs() < 0.1;
        inside && (is_on(x, self.left) || is_on(x, self.right) || is_on(y, self.top) || is_on(y, self.bottom))
    }
}

impl Picture {
    /// Numbers of the arrows that carry something, beside the arrows.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Arrow, &str)> {
        let carrying = self.arrow.iter().filter_map(|arrow| Some((arrow, arrow.carries.as_deref()?)));
        carrying.enumerate().map(|(index, (arrow, carries))| (index + 1, arrow, carries))
    }

    /// The area of a box or domain.
    pub(crate) fn area(&self, id: &str) -> Option<Area> {
        let boxes = self.boxes.iter().map(|one| (&one.id, one.at, one.size));
        let mut all = boxes.chain(self.domain.iter().map(|one| (&one.id, one.at, one.size)));
        all.find(|(name, ..)| *name == id).map(|(_, at, size)| Area::of(at, size))
    }
}

impl Arrow {
    /// Where its number stands: in the middle of the longest part.
    pub(crate) fn badge(&self) -> Point {
        let length = |[a, b]: [Point; 2]| (a[0] - b[0]).abs() + (a[1] - b[1]).abs();
        let longest =
            self.segments().fold([[0.0; 2]; 2], |best, next| if length(next) > length(best) { next } else { best });
        [f32::midpoint(longest[0][0], longest[1][0]), f32::midpoint(longest[0][1], longest[1][1])]
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = [Point; 2]> {
        self.path.windows(2).filter_map(|pair| pair.try_into().ok())
    }
}
