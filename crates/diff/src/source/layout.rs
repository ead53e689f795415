//! An OCI layout directory.

use std::{
    fs::{self, File},
    path::Path,
};

use csign_oci::{Descriptor, Layout};

use super::{Blob, Root, Source};
use crate::error::DiffError;

/// An image in a layout directory (OCI image specification 1.1, image-layout.md).
#[derive(Debug)]
pub struct LayoutSource {
    name: String,
    layout: Layout,
}

impl LayoutSource {
    /// Opens the layout at `path`.
    ///
    /// # Errors
    /// It is none.
    pub fn open(name: &str, path: &Path) -> Result<Self, DiffError> {
        let layout = Layout::open(path).map_err(|source| DiffError::Oci { name: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), layout })
    }
}

impl Source for LayoutSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn root(&self) -> Result<Root, DiffError> {
        let failed = |source| DiffError::Oci { name: self.name.clone(), source };
        let descriptor = self.layout.image_descriptor().map_err(failed)?;
        let bytes = self.document(&descriptor)?;
        Ok(Root { descriptor, bytes, made_up: false })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, DiffError> {
        self.layout.document(descriptor).map_err(|source| DiffError::Oci { name: self.name.clone(), source })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, DiffError> {
        let path = self.layout.blob_path(&descriptor.digest);
        // A pipe of that name would be waited for.
        if !fs::metadata(&path).map_err(DiffError::reading(&path))?.is_file() {
            let why = format!("{} is no file", path.display());
            return Err(DiffError::NotAnImage { name: self.name.clone(), why });
        }
        Blob::whole(File::open(&path).map_err(DiffError::reading(&path))?)
    }
}
