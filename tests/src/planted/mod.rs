//! Pairs of images that differ for one known reason, each made by really doing what is planted: another compiler flag,
//! another umask, a byte flipped. Without the plant a recipe gives the same image every time.
//!
//! `csign diff` has to name the reason (tests/planted.rs), and the benchmark gives the same pairs to other programs.

mod archives;
mod builds;
mod documents;
mod files;
mod image;
mod workshop;

use std::path::{Path, PathBuf};

pub use self::{image::Image, workshop::Workshop};

/// One reason.
pub struct Plant {
    /// What is planted, as a name for files.
    pub name: &'static str,
    /// The cause that is to be named first, as the JSON report writes it.
    pub cause: &'static str,
    /// What the evidence or the summary must contain, all of them.
    pub evidence: &'static [&'static str],
    /// Programs that are needed.
    pub programs: &'static [&'static str],
    /// Makes the image, with the plant or without.
    pub make: fn(&Workshop, bool) -> Image,
}

/// All of them.
pub fn plants() -> impl Iterator<Item = &'static Plant> {
    [files::PLANTS, documents::PLANTS, archives::PLANTS, builds::PLANTS].into_iter().flatten()
}

impl Plant {
    /// Is everything there that it needs? Says what is missing.
    ///
    /// # Errors
    /// The program that is missing.
    pub fn is_possible(&self) -> Result<(), &'static str> {
        self.programs.iter().find(|program| !workshop::is_there(program)).map_or(Ok(()), |missing| Err(missing))
    }

    /// Writes the image as a layout to `directory`.
    ///
    /// # Panics
    /// When a program fails.
    pub fn write(&self, directory: &Path, planted: bool) -> PathBuf {
        let workshop = Workshop::new();
        (self.make)(&workshop, planted).write(directory);
        directory.to_owned()
    }
}

/// Writes all pairs that can be made here: `DIRECTORY/NAME/a` without the plant, `DIRECTORY/NAME/b` with it. Returns the names.
///
/// # Panics
/// When a program fails.
pub fn write_all(directory: &Path) -> Vec<&'static str> {
    let possible = plants().filter(|plant| plant.is_possible().is_ok());
    possible
        .map(|plant| {
            plant.write(&directory.join(plant.name).join("a"), false);
            plant.write(&directory.join(plant.name).join("b"), true);
            plant.name
        })
        .collect()
}
