//! Compares two images from the outside in: index → manifest → configuration → layers.

mod align;
mod document;
mod layers;
mod platform;

use std::cell::Cell;

use csign_oci::{Descriptor, Manifest, OciError, json};
use serde_json::Value as Json;

use self::document::Differences;
pub use self::platform::Platform;
use self::platform::Platforms;
use crate::{
    causes::causes,
    error::DiffError,
    layer::Context,
    limits::Limits,
    report::{Change, Kind, Node, Report, Side, Subject, Value},
    source::{Root, Source},
};

/// How to compare.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What the images may cost.
    pub limits: Limits,
    /// Compare only this platform of an index.
    pub platform: Option<&'a Platform>,
    /// Hears how many more bytes of the layers were read.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { limits: Limits::default(), platform: None, progress: &|_| {} }
    }
}

/// Compares two images. Blobs of one digest are not looked at; every other one is held against its digest.
///
/// # Errors
/// Whatever keeps an answer from being given, which is no answer.
pub fn compare(a: &dyn Source, b: &dyn Source, options: &Options<'_>) -> Result<Report, DiffError> {
    let (one, other) = (Tree::of(a, a.root()?, options)?, Tree::of(b, b.root()?, options)?);
    let subject = |tree: &Tree<'_>| Subject { name: tree.source.name().to_owned(), digest: tree.digest() };
    let identical =
        one.root.made_up == other.root.made_up && one.root.descriptor.digest == other.root.descriptor.digest;
    let mut report = Report {
        a: subject(&one),
        b: subject(&other),
        identical,
        causes: Vec::new(),
        root: None,
        incomplete: Vec::new(),
    };
    if identical {
        return Ok(report);
    }
    let context = Context {
        limits: &options.limits,
        progress: options.progress,
        files: Cell::new(options.limits.files),
        nodes: Cell::new(options.limits.nodes),
    };
    let mut comparison = Comparison { a, b, context, incomplete: Vec::new() };
    let root = comparison.trees(&one, &other)?;
    report.incomplete = comparison.incomplete;
    report.causes = causes(&root);
    report.root = Some(root);
    Ok(report)
}

/// An index or a manifest, read.
struct Tree<'a> {
    source: &'a dyn Source,
    root: Root,
    content: Content,
}

enum Content {
    Index { json: Json, platforms: Platforms },
    Manifest { json: Json, manifest: Box<Manifest> },
}

impl<'a> Tree<'a> {
    fn of(source: &'a dyn Source, root: Root, options: &Options<'_>) -> Result<Self, DiffError> {
        let content = Content::parse(source, &root.bytes, &options.limits)?;
        let Some(wanted) = options.platform else { return Ok(Self { source, root, content }) };
        match &content {
            Content::Index { platforms, .. } => {
                let descriptor = platforms.find(wanted, source.name())?.clone();
                let bytes = source.document(&descriptor)?;
                let content = Content::parse(source, &bytes, &options.limits)?;
                Ok(Self { source, root: Root { descriptor, bytes, made_up: false }, content })
            }
            Content::Manifest { manifest, .. } => {
                let config = source.document(&manifest.config)?;
                wanted.check(&config, source.name())?;
                Ok(Self { source, root, content })
            }
        }
    }

    /// What a person knows it by: `docker save` archives have an image id only.
    fn digest(&self) -> String {
        match &self.content {
            Content::Manifest { manifest, .. } if self.root.made_up => manifest.config.digest.to_string(),
            _ => self.root.descriptor.digest.to_string(),
        }
    }
}

impl Content {
    fn parse(source: &dyn Source, bytes: &[u8], limits: &Limits) -> Result<Self, DiffError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error| DiffError::Oci {
                name: source.name().to_owned(),
                source: OciError::Json { what, source: error },
            }
        };
        let json = json::value_from_slice(bytes).map_err(failed("the manifest"))?;
        match (json.get("manifests").is_some(), json.get("layers").is_some()) {
            (true, false) => {
                let index = serde_json::from_value(json.clone()).map_err(failed("the index"))?;
                Ok(Self::Index { platforms: Platforms::of(source, index, limits)?, json })
            }
            (false, true) => {
                let manifest: Box<Manifest> = serde_json::from_value(json.clone()).map_err(failed("the manifest"))?;
                if manifest.layers.len() > limits.layers {
                    let (what, limit) = (source.name().to_owned(), limits.layers as u64);
                    return Err(DiffError::Limit { what, limit, unit: "layers" });
                }
                Ok(Self::Manifest { json, manifest })
            }
            // Two readers would see two images.
            (true, true) => Err(not(source, "its manifest has both layers and manifests")),
            (false, false) => Err(not(source, "its manifest has neither layers nor manifests")),
        }
    }
}

fn not(source: &dyn Source, why: &str) -> DiffError {
    DiffError::NotAnImage { name: source.name().to_owned(), why: why.to_owned() }
}

/// Two images and what was learned about them.
pub(crate) struct Comparison<'a> {
    a: &'a dyn Source,
    b: &'a dyn Source,
    context: Context<'a>,
    incomplete: Vec<String>,
}

impl Comparison<'_> {
    fn trees(&mut self, a: &Tree<'_>, b: &Tree<'_>) -> Result<Node, DiffError> {
        let mut root = node(Kind::Image, "");
        match (&a.content, &b.content) {
            (Content::Manifest { json: one, manifest: m }, Content::Manifest { json: other, manifest: n }) => {
                let documents = (a.root.bytes.as_slice(), b.root.bytes.as_slice(), one, other);
                let made_up = (a.root.made_up, b.root.made_up);
                root.children = self.manifests(documents, made_up, (m, n))?;
            }
            (Content::Index { json: one, platforms: p }, Content::Index { json: other, platforms: q }) => {
                let bytes = (a.root.bytes.as_slice(), b.root.bytes.as_slice());
                let found = document::index(bytes, one, other, self.context.limits);
                root.children.extend(found.into_node(Kind::Index, "index"));
                self.platforms(p, q, &mut root)?;
            }
            (Content::Index { platforms, .. }, Content::Manifest { .. }) => {
                let inner = self.only_image(self.a, platforms)?;
                root = self.trees(&inner, b)?;
                root.children.insert(0, only(Kind::Index, "index", Side::A));
            }
            (Content::Manifest { .. }, Content::Index { platforms, .. }) => {
                let inner = self.only_image(self.b, platforms)?;
                root = self.trees(a, &inner)?;
                root.children.insert(0, only(Kind::Index, "index", Side::B));
            }
        }
        Ok(root)
    }

    /// The image of an index that is compared with one without an index.
    fn only_image<'s>(&self, source: &'s dyn Source, platforms: &Platforms) -> Result<Tree<'s>, DiffError> {
        let descriptor = platforms.only(source.name())?.clone();
        let root = Root { bytes: source.document(&descriptor)?, descriptor, made_up: false };
        let content = Content::parse(source, &root.bytes, self.context.limits)?;
        Ok(Tree { source, root, content })
    }

    fn platforms(&mut self, a: &Platforms, b: &Platforms, root: &mut Node) -> Result<(), DiffError> {
        for (name, of_a) in a.iter() {
            let Some(of_b) = b.get(name) else {
                root.children.push(only(Kind::Image, name, Side::A));
                continue;
            };
            if of_a.digest != of_b.digest {
                let (a, b) = (self.platform(self.a, of_a)?, self.platform(self.b, of_b)?);
                root.children.push(Node { name: name.to_owned(), ..self.trees(&a, &b)? });
            }
        }
        for (name, _) in b.iter().filter(|(name, _)| a.get(name).is_none()) {
            root.children.push(only(Kind::Image, name, Side::B));
        }
        Ok(())
    }

    fn platform<'s>(&self, source: &'s dyn Source, descriptor: &Descriptor) -> Result<Tree<'s>, DiffError> {
        let root = Root { bytes: source.document(descriptor)?, descriptor: descriptor.clone(), made_up: false };
        let content = Content::parse(source, &root.bytes, self.context.limits)?;
        match &content {
            // Those within were listed with the outer one's.
            Content::Index { .. } => Err(not(source, "an index in it changed while it was read")),
            Content::Manifest { .. } => Ok(Tree { source, root, content }),
        }
    }

    fn manifests(
        &mut self,
        (bytes_a, bytes_b, json_a, json_b): (&[u8], &[u8], &Json, &Json),
        made_up: (bool, bool),
        (a, b): (&Manifest, &Manifest),
    ) -> Result<Vec<Node>, DiffError> {
        let limits = self.context.limits;
        let mut children = Vec::new();
        match made_up {
            (false, false) => {
                let found = document::manifest((bytes_a, bytes_b), json_a, json_b, limits);
                children.extend(found.into_node(Kind::Manifest, "manifest"));
            }
            (true, true) => {}
            (true, false) => children.push(only(Kind::Manifest, "manifest", Side::B)),
            (false, true) => children.push(only(Kind::Manifest, "manifest", Side::A)),
        }
        let config_a = self.a.document(&a.config)?;
        let config_b =
            if a.config.digest == b.config.digest { config_a.clone() } else { self.b.document(&b.config)? };
        let configs = (json::value_from_slice(&config_a).ok(), json::value_from_slice(&config_b).ok());
        if config_a != config_b {
            let found = match &configs {
                (Some(one), Some(other)) => document::config((&config_a, &config_b), one, other, limits),
                _ => Differences::unread("it is no JSON, or names a member twice"),
            };
            children.extend(found.into_node(Kind::Config, "config"));
        }
        children.extend(self.layers((a, b), (configs.0.as_ref(), configs.1.as_ref()))?);
        Ok(children)
    }
}

/// For the fuzzer: is there anything to say about two configurations?
pub(crate) fn document_differences(bytes: (&[u8], &[u8]), a: &Json, b: &Json, limits: &Limits) -> bool {
    document::config(bytes, a, b, limits).into_node(Kind::Config, "config").is_some()
}

fn node(kind: Kind, name: &str) -> Node {
    Node { kind, name: name.to_owned(), changes: Vec::new(), children: Vec::new(), omitted: 0 }
}

fn only(kind: Kind, name: &str, side: Side) -> Node {
    Node { changes: vec![Change::Only { side }], ..node(kind, name) }
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}
