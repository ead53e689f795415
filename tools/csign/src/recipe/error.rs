//! Why a build was refused or failed.

use std::{io, path::PathBuf};

/// Failures of [`super::build`].
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The source directory pins no toolchain, or not exactly one.
    #[error(
        "{} pins no toolchain: {why} (it must say [toolchain] channel = \"X.Y.Z\")", path.display()
    )]
    NotPinned {
        /// The toolchain file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A program could not be started.
    #[error("starting {program} (is it installed and in PATH?)")]
    Start {
        /// Its name.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A program failed; what it said went to standard error or is here.
    #[error("{command} failed ({status}){}{stderr}", if stderr.is_empty() { "" } else { ":\n" })]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// What it said, if that was not shown already.
        stderr: String,
    },
    /// Another compiler than the pinned one.
    #[error("the source pins Rust {want}, {program} is {got} (install it with: rustup toolchain install {want})")]
    OtherToolchain {
        /// The program asked.
        program: &'static str,
        /// The pinned version.
        want: String,
        /// The version found.
        got: String,
    },
    /// The target's standard library is missing and was not or could not be added.
    #[error(
        "Rust {channel} has no target {target}: {why} (add it with: rustup target add --toolchain {channel} {target})"
    )]
    MissingTarget {
        /// The target.
        target: &'static str,
        /// The toolchain.
        channel: String,
        /// Why it was not added.
        why: String,
    },
    /// An environment variable that the build cannot do without.
    #[error("neither CARGO_HOME nor HOME is set (cargo needs one of them)")]
    NoHome,
    /// A cargo configuration that would change the output and cannot be overridden.
    #[error("{} could change the image: {why} (remove it, or set CARGO_HOME to a directory without it)", path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// What in it.
        why: String,
    },
    /// A path that cannot be handed to the compiler.
    #[error("path {} cannot be mapped to a fixed name: it must be UTF-8 without control characters (build elsewhere)", .0.display())]
    OddPath(PathBuf),
    /// The source directory is not the root of its workspace.
    #[error("{} belongs to the workspace at {} (a build must start from the root of its workspace)", source_dir.display(), root.display())]
    NotTheRoot {
        /// The source directory.
        source_dir: PathBuf,
        /// The root that cargo found.
        root: PathBuf,
    },
    /// A tool printed something unexpected.
    #[error("reading what a tool printed: {0}")]
    Output(String),
    /// The package does not have exactly one binary.
    #[error("package {package} made {count} binaries, exactly one is required")]
    NotOneBinary {
        /// The package.
        package: String,
        /// How many.
        count: usize,
    },
    /// The binary needs something that the image does not have.
    #[error("{} cannot run in an image made of nothing: {why}", path.display())]
    NotStatic {
        /// The binary.
        path: PathBuf,
        /// What it needs.
        why: &'static str,
    },
    /// The binary names a path of this machine, so another machine gets another digest.
    #[error(
        "the binary contains the path {path:?} of this machine, so nobody else gets this digest \
         (look for env!(\"CARGO_MANIFEST_DIR\"), env!(\"OUT_DIR\") and build scripts that write absolute paths)"
    )]
    PathLeak {
        /// The path found.
        path: String,
    },
    /// Bazel is to build, and nobody said where the contract is.
    #[error("the recipe bazel needs the contract as a file of the workspace")]
    NoContractFile,
    /// A file that Bazel cannot name.
    #[error("bazel cannot name {}: {why} (put the contract into a package of the workspace)", path.display())]
    NoLabel {
        /// The file.
        path: PathBuf,
        /// What is wrong with its place.
        why: &'static str,
    },
    /// Bazel made another image than the contract asks for.
    #[error("the image that bazel built is not the contract's: {0}")]
    OtherImage(#[from] csign_image::Difference),
    /// The lock file changed during the build.
    #[error("Cargo.lock changed during the build (nothing else may work in the source directory meanwhile)")]
    LockChanged,
    /// Assembling or storing the image failed.
    #[error(transparent)]
    Oci(#[from] csign_oci::OciError),
}

impl RecipeError {
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
