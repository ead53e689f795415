//! The layers of two images, each pair once.

use std::collections::HashMap;

use csign_oci::{Descriptor, Digest, Manifest};
use serde_json::Value as Json;

use super::{
    Comparison,
    align::{Outline, align},
    document::value,
    node, only, text,
};
use crate::{
    error::DiffError,
    layer::{self, Facts, difference::pairs},
    report::{Change, Kind, Node, Side, Value},
};

impl Comparison<'_> {
    pub(super) fn layers(
        &mut self,
        (a, b): (&Manifest, &Manifest),
        configs: (Option<&Json>, Option<&Json>),
    ) -> Result<Vec<Node>, DiffError> {
        let (of_a, of_b) = (outlines(a, configs.0), outlines(b, configs.1));
        // A hostile image could name two large layers again and again.
        let mut known: HashMap<(Digest, Digest), Node> = HashMap::new();
        let mut nodes = Vec::new();
        for (i, j) in align(&of_a, &of_b) {
            let layer = |manifest: &'_ Manifest, at: Option<usize>| at.and_then(|at| manifest.layers.get(at).cloned());
            match (layer(a, i), layer(b, j)) {
                (Some(one), Some(other)) => {
                    let name = match (i, j) {
                        (Some(i), Some(j)) if i != j => format!("layers[{i}] / layers[{j}]"),
                        _ => format!("layers[{}]", i.or(j).unwrap_or_default()),
                    };
                    let key = (one.digest, other.digest);
                    let mut found = match known.get(&key) {
                        Some(found) => found.clone(),
                        None if one.digest == other.digest => node(Kind::Layer, ""),
                        None => {
                            let claims = (
                                i.and_then(|at| of_a.get(at)?.diff_id.clone()),
                                j.and_then(|at| of_b.get(at)?.diff_id.clone()),
                            );
                            let found = self.layer((&one, &other), &name, claims)?;
                            known.insert(key, found.clone());
                            found
                        }
                    };
                    found.changes.splice(0..0, pairs(attributes(&one), attributes(&other)));
                    found.name = name;
                    if !found.changes.is_empty() || !found.children.is_empty() {
                        nodes.push(found);
                    }
                }
                (Some(one), None) => nodes.push(alone(Side::A, i, &one)),
                (None, Some(other)) => nodes.push(alone(Side::B, j, &other)),
                (None, None) => {}
            }
        }
        Ok(nodes)
    }

    fn layer(
        &mut self,
        (a, b): (&Descriptor, &Descriptor),
        name: &str,
        claims: (Option<String>, Option<String>),
    ) -> Result<Node, DiffError> {
        let what = (format!("{name} of {}", self.a.name()), format!("{name} of {}", self.b.name()));
        let compared = layer::compare(
            layer::Side { source: self.a, descriptor: a, what: &what.0 },
            layer::Side { source: self.b, descriptor: b, what: &what.1 },
            &self.context,
        )?;
        let mut found = node(Kind::Layer, name);
        let (facts_a, facts_b) = (&compared.facts.0, &compared.facts.1);
        let id = |facts: &Option<Facts>| facts.as_ref().map(|facts| facts.diff_id.to_string());
        let (id_a, id_b) = (id(facts_a), id(facts_b));
        let parameters = |facts: &Option<Facts>| match facts {
            Some(facts) => facts.parameters.iter().map(|(name, value)| (*name, value.clone())).collect(),
            None => Vec::new(),
        };
        if id_a.is_some() && id_b.is_some() {
            if id_a == id_b {
                found.changes.push(Change::CompressionOnly);
            } else {
                found.changes.push(Change::Attribute {
                    name: "diffId".to_owned(),
                    a: id_a.clone().map(text),
                    b: id_b.clone().map(text),
                });
            }
            let (of_a, of_b): (Vec<_>, Vec<_>) = (parameters(facts_a), parameters(facts_b));
            // Parameters of two algorithms have nothing to do with each other; the first one is the algorithm.
            let comparable = if of_a.first() == of_b.first() { usize::MAX } else { 1 };
            let some = |all: Vec<(&'static str, Value)>| all.into_iter().take(comparable).collect();
            found.changes.extend(pairs(some(of_a), some(of_b)));
        }
        // A configuration that says something else would be refused by whoever runs the image.
        let lies = |claim: &Option<String>, id: &Option<String>| claim.is_some() && id.is_some() && claim != id;
        if lies(&claims.0, &id_a) || lies(&claims.1, &id_b) {
            found.changes.push(Change::Attribute {
                name: "diffId in the configuration".to_owned(),
                a: claims.0.map(text),
                b: claims.1.map(text),
            });
        }
        found.changes.extend(compared.changes);
        found.children = compared.children;
        found.omitted = compared.omitted;
        if let Some(why) = compared.unread {
            self.incomplete.push(why.clone());
            found.changes.push(Change::Unread { why });
        }
        Ok(found)
    }
}

/// Attributes of a layer's descriptor.
fn attributes(descriptor: &Descriptor) -> Vec<(String, Value)> {
    let size = i64::try_from(descriptor.size).unwrap_or(i64::MAX);
    let known = [
        ("digest", text(descriptor.digest.to_string())),
        ("size", Value::Number(size)),
        ("mediaType", text(descriptor.media_type.clone())),
    ];
    let known = known.into_iter().map(|(name, value)| (name.to_owned(), value));
    let annotations = descriptor.annotations.iter().map(|(name, text)| {
        (format!("annotations/{}", name.replace('~', "~0").replace('/', "~1")), value(&Json::String(text.clone())))
    });
    let extra = descriptor.extra.iter().map(|(name, json)| (name.clone(), value(json)));
    known.chain(annotations).chain(extra).collect()
}

fn alone(side: Side, at: Option<usize>, descriptor: &Descriptor) -> Node {
    let mut found = only(Kind::Layer, &format!("layers[{}]", at.unwrap_or_default()), side);
    found.changes.extend(attributes(descriptor).into_iter().take(2).map(|(name, value)| match side {
        Side::A => Change::Attribute { name, a: Some(value), b: None },
        Side::B => Change::Attribute { name, a: None, b: Some(value) },
    }));
    found
}

/// What manifest and configuration say about each layer.
fn outlines(manifest: &Manifest, config: Option<&Json>) -> Vec<Outline> {
    let list = |pointer: &str| {
        config.and_then(|json| json.pointer(pointer)).and_then(Json::as_array).cloned().unwrap_or_default()
    };
    let (ids, history) = (list("/rootfs/diff_ids"), list("/history"));
    let is_layer = |entry: &&Json| entry.get("empty_layer").and_then(Json::as_bool) != Some(true);
    let made: Vec<&Json> = history.iter().filter(is_layer).collect();
    // A history that does not fit says nothing.
    let made = if made.len() == manifest.layers.len() { made } else { Vec::new() };
    let layers = manifest.layers.iter().enumerate();
    layers
        .map(|(at, layer)| Outline {
            digest: layer.digest.to_string(),
            diff_id: ids.get(at).and_then(Json::as_str).map(str::to_owned),
            created_by: made.get(at).and_then(|entry| entry.get("created_by")?.as_str()).map(str::to_owned),
            size: layer.size,
        })
        .collect()
}
