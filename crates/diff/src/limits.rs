//! Bounds on what two images, which anybody may have made, may cost the one who compares them.

/// Every bound, each with the attack that it stops.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a manifest, an index or a configuration: JSON that fills memory.
    pub document: u64,
    /// Manifests in one index, nested ones included: an index of millions.
    pub platforms: usize,
    /// Layers of one image: aligning them takes time that grows with the product of both numbers.
    pub layers: usize,
    /// Bytes of one layer after decompression: decompression bombs.
    pub unpacked: u64,
    /// Bytes of a zstd frame's window, which is memory that the frame itself asks for.
    pub zstd_window: u64,
    /// Entries of one layer, or files in one archive: endless lists of empty files.
    pub entries: u64,
    /// Bytes of one extended header or long name of an archive: a name that fills memory.
    pub header: u64,
    /// Bytes of temporary files that one layer may take on each side: a full disk.
    pub spool: u64,
    /// Children that are listed of one node, attributes included; more are counted: a report that fills memory.
    pub children: usize,
    /// Files of one image that are looked into; more are only said to differ: hours of looking.
    pub files: usize,
    /// Differences within files of one image; when there are as many, no more files are looked into: a report that fills
    /// memory.
    pub nodes: usize,
}

impl Default for Limits {
    /// 4 MiB documents, 256 platforms, 512 layers of 64 GiB and 2 million entries, 1 MiB headers, a 32 MiB window (what
    /// encoders of container tools ask for at their highest level), 64 GiB of temporary files, 1000 children, 2000 files with 30 000
    /// differences in them.
    fn default() -> Self {
        Self {
            document: 4 << 20,
            platforms: 256,
            layers: 512,
            unpacked: 64 << 30,
            zstd_window: 32 << 20,
            entries: 2_000_000,
            header: 1 << 20,
            spool: 64 << 30,
            children: 1000,
            files: 2000,
            nodes: 30_000,
        }
    }
}
