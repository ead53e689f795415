//! What a comparison keeps in memory does not depend on the size of the images. The kernel counts for the whole process,
//! so nothing else is in this file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use csign_diff::{Options, open};
use csign_oci::{Descriptor, Digest, Layout, Manifest, manifest};
use sha2::{Digest as _, Sha256};

/// Bytes that the whole process may have taken at most.
const LIMIT: u64 = 64 << 20;
const MIB: usize = 1 << 20;

/// Files of one layer: number of mebibytes each.
const SIZES: [usize; 12] = [40; 12];

#[test]
fn two_images_of_half_a_gigabyte_each_fit_into_64_megabytes() {
    let directory = tempfile::tempdir().unwrap();
    for (compressed, reordered) in [(false, false), (true, true)] {
        let [a, b] = ["a", "b"].map(|name| directory.path().join(name));
        write_image(&a, compressed, false, false);
        write_image(&b, compressed, true, reordered);
        let options = Options::default();
        let open = |path: &Path| open("image", path, &options.limits).unwrap();
        let report = csign_diff::compare(&*open(&a), &*open(&b), &options).unwrap();
        let layer = &report.root.unwrap().children[0].children;
        assert_eq!(layer.len(), 1, "one file differs");
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak << 10 < LIMIT, "{peak} KiB");
        [a, b].iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }
}

/// Never more than a mebibyte of it is in memory.
fn write_image(path: &Path, compressed: bool, changed: bool, reordered: bool) {
    let temporary = path.with_extension("layer");
    let file = BufWriter::new(File::create(&temporary).unwrap());
    let writer: Box<dyn Write> = match compressed {
        true => Box::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast())),
        false => Box::new(file),
    };
    let mut builder = tar::Builder::new(writer);
    let mut order: Vec<usize> = (0..SIZES.len()).collect();
    if reordered {
        order.rotate_left(1);
    }
    for at in order {
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("file{at}")).unwrap();
        header.set_size((SIZES[at] * MIB) as u64);
        header.set_mode(0o644);
        header.set_cksum();
        let last = changed && at == 7;
        builder.append(&header, Content { left: SIZES[at] * MIB, at, last }).unwrap();
    }
    builder.into_inner().unwrap().flush().unwrap();
    let mut hasher = HashWriter(Sha256::new(), 0);
    io::copy(&mut File::open(&temporary).unwrap(), &mut hasher).unwrap();
    let kind = if compressed { manifest::IMAGE_LAYER_GZIP } else { "application/vnd.oci.image.layer.v1.tar" };
    let mut layer = Descriptor::of(kind, b"");
    (layer.digest, layer.size) = (Digest::from_bytes(hasher.0.finalize().into()), hasher.1);
    let layout = Layout::create(path).unwrap();
    let config = layout.add_blob(manifest::IMAGE_CONFIG, b"{}").unwrap();
    let bytes = Manifest::new(config, vec![layer.clone()]).to_bytes().unwrap();
    let image = layout.add_blob(manifest::IMAGE_MANIFEST, &bytes).unwrap();
    let layout = layout.finish(vec![image]).unwrap();
    fs::rename(&temporary, layout.blob_path(&layer.digest)).unwrap();
}

/// A file's content: a pattern that depends on its number; the last byte may be another one.
struct Content {
    left: usize,
    at: usize,
    last: bool,
}

impl io::Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.left);
        buffer[..count].fill(self.at as u8);
        self.left -= count;
        if self.left == 0 && count > 0 && self.last {
            buffer[count - 1] ^= 1;
        }
        Ok(count)
    }
}

struct HashWriter(Sha256, u64);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
