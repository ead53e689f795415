//! What a comparison finds: a tree of what differs, and the likely causes, most likely first.

use serde::Serialize;

/// One of the two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first one named: what is expected.
    A,
    /// The second one named: what was found.
    B,
}

/// The whole answer. Equal images have no tree and no causes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How A and B were named, and their digests.
    pub a: Subject,
    /// See `a`.
    pub b: Subject,
    /// Have both the same digest?
    pub identical: bool,
    /// Likely causes, most likely first.
    pub causes: Vec<Cause>,
    /// What differs; absent if the digests are the same.
    pub root: Option<Node>,
    /// Why parts of the images could not be compared although their digests are right; usually empty.
    pub incomplete: Vec<String>,
}

/// One image as it was named and as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// As the caller named it.
    pub name: String,
    /// Digest of its manifest or index, `sha256:…`; of a `docker save` archive, which has none, that of its configuration.
    pub digest: String,
}

/// Something that differs, or holds something that does. Only what differs is in the tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its name within its parent: `manifest`, `layers[1]`, `/workload`, `.text`, a symbol, an archive's member.
    pub name: String,
    /// Differences of this thing itself.
    pub changes: Vec<Change>,
    /// Differences within it, in the order of A (what only B has: where B has it).
    pub children: Vec<Node>,
    /// How many more children differ than are listed here.
    pub omitted: u64,
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The image: the root of the tree, or one platform of an index.
    Image,
    /// The index of several platforms (attributes: JSON pointers).
    Index,
    /// Its manifest (attributes: JSON pointers).
    Manifest,
    /// Its configuration (attributes: JSON pointers, labels one by one).
    Config,
    /// A layer (attributes: digest, diff id, media type, size, compression's parameters).
    Layer,
    /// An entry of a layer (attributes: type, mode, uid, gid, owner names, mtime, size, link, extended attributes).
    Entry,
    /// A member of an archive inside a file.
    Member,
    /// A header of a binary: an ELF header, program headers, notes.
    Header,
    /// A section of an ELF file.
    Section,
    /// A symbol of an ELF file.
    Symbol,
    /// Structured text in a file (JSON: attributes are JSON pointers).
    Document,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Only one side has it.
    Only {
        /// Which.
        side: Side,
    },
    /// A named property has two values, or one side lacks it.
    Attribute {
        /// Its name, in the words of the format's specification.
        name: String,
        /// On side A.
        a: Option<Value>,
        /// On side B.
        b: Option<Value>,
    },
    /// The same things in another order.
    Order {
        /// Names as A has them, as far as they are moved; bounded.
        a: Vec<String>,
        /// Names as B has them; bounded.
        b: Vec<String>,
    },
    /// Bytes that differ.
    Bytes {
        /// Where the first difference is, from the beginning of this thing.
        offset: u64,
        /// How many bytes differ, of the common length.
        differing: u64,
        /// Bytes of A around `offset`, lowercase hex, bounded.
        a: String,
        /// The same bytes of B.
        b: String,
        /// Offset of the first byte of `a` and `b`.
        from: u64,
    },
    /// Lines that differ.
    Lines {
        /// With three lines of context, bounded.
        hunks: Vec<Hunk>,
        /// How many more hunks there are.
        omitted: u64,
    },
    /// The content is the same after decompression: only its compression differs.
    CompressionOnly,
    /// It could not be looked into: why. The bytes are compared all the same.
    Unread {
        /// The reason.
        why: String,
    },
}

/// A property's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number: a size in bytes, a time in seconds since 1970, a mode, a uid.
    Number(i64),
    /// Anything else, as text; bounded.
    Text(String),
}

/// A group of lines that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hunk {
    /// Number of its first line in A, from 1.
    pub a_line: u64,
    /// Number of its first line in B.
    pub b_line: u64,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Which side has it; absent: both.
    pub side: Option<Side>,
    /// Without its line end; bounded; what is not UTF-8 is escaped as `\xNN`.
    pub text: String,
}

/// A likely cause with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Which.
    pub kind: CauseKind,
    /// One sentence with the particulars: `the build script of … reads the clock`.
    pub summary: String,
    /// What to do about it, one sentence.
    pub advice: String,
    /// What it was concluded from; never empty.
    pub evidence: Vec<Evidence>,
}

/// Why builds differ. The order here is no ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// A time of the build: a file's time, a `created` member, a date inside a file.
    Timestamp,
    /// A directory of the builder's machine inside a file.
    EmbeddedPath,
    /// A user's or host's name inside a file, or an owner of a file.
    UserOrHost,
    /// Another compiler or another version of it.
    Toolchain,
    /// Another linker, another version, or a build id.
    Linker,
    /// Another version of a dependency.
    DependencyVersion,
    /// Other compiler flags: optimization, debug information, target features, stripping.
    CompilerFlags,
    /// The same things in another order: entries of a layer, members of an archive, lines, symbols.
    Order,
    /// A file's permission bits (often umask).
    Permissions,
    /// A language or character set of the builder's machine.
    Locale,
    /// The contract inside the image is another one.
    Contract,
    /// The content is the same, its compression is not.
    Compression,
    /// Labels, entry point, user, environment or other configuration differ.
    Configuration,
    /// Files were added or removed.
    FileSet,
    /// A random value: a hash seed, a UUID, a temporary name.
    Randomness,
    /// Another program, or other sources.
    Sources,
    /// Few bytes differ without any structure: damage, or tampering.
    Corruption,
    /// The manifest or index is written differently, its content is the same.
    Serialization,
}

/// What a cause was concluded from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Names from the root to the node: `["layers[1]", "/workload", ".comment"]`.
    pub at: Vec<String>,
    /// What side A has there; bounded.
    pub a: Option<String>,
    /// What side B has there; bounded.
    pub b: Option<String>,
}
