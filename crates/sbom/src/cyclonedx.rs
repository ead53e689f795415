//! CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json/).

use serde::Serialize;

use crate::{
    bill::{Bill, Crate, Crates, Scope, uuid},
    contents::{Contents, File},
    error::SbomError,
    license,
    lock::Origin,
    purl,
};

const IMAGE: &str = "image";
const STANDARD_LIBRARY: &str = "rust-std";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
    compositions: Vec<Composition>,
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    version: String,
}

#[derive(Default, Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "mime-type", skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    #[serde(rename = "bom-ref")]
    reference: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(rename = "externalReferences", skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct License {
    expression: String,
    acknowledgement: &'static str,
}

#[derive(Serialize)]
struct ExternalReference {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assemblies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<String>,
}

/// Writes the document: layers with their files, then crates with what they depend on. The compositions say what is
/// complete: the files always, the dependencies when cargo resolved them for the program.
///
/// # Errors
/// None in practice; serialization of these types does not fail.
pub fn write(bill: &Bill) -> Result<Vec<u8>, SbomError> {
    let layers = bill.layers.iter().enumerate().map(|(index, contents)| layer(index, contents));
    let mut document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: 1,
        metadata: Metadata {
            timestamp: bill.created.to_string(),
            tools: Tools {
                components: [Tool { kind: "application", name: "csign", version: bill.tool_version.clone() }],
            },
            component: image(bill),
            properties: vec![property("csign:coverage", bill.coverage())],
        },
        components: layers.collect(),
        dependencies: Vec::new(),
        compositions: vec![Composition {
            aggregate: "complete",
            assemblies: std::iter::once(IMAGE.to_owned()).chain((0..bill.layers.len()).map(layer_ref)).collect(),
            dependencies: Vec::new(),
        }],
    };
    match &bill.crates {
        Some(crates) => document.add_crates(bill, crates),
        None => document.depend(IMAGE.to_owned(), Vec::new(), "unknown"),
    }
    document.serial_number = format!("urn:uuid:{}", uuid("cyclonedx", &serde_json::to_vec(&document)?));
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

impl Document {
    /// What the image depends on, and whether that is all.
    fn depend(&mut self, reference: String, depends_on: Vec<String>, aggregate: &'static str) {
        self.compositions.push(Composition {
            aggregate,
            assemblies: Vec::new(),
            dependencies: vec![reference.clone()],
        });
        self.dependencies.push(Dependency { reference, depends_on });
    }

    fn add_crates(&mut self, bill: &Bill, crates: &Crates) {
        let reference = |at: &usize| crates.list.get(*at).map(|one| one.package.reference());
        let mut root = None;
        if let Scope::Linked { root: at, toolchain, .. } = &crates.scope {
            root = reference(at);
            self.components.push(Component {
                kind: "library",
                reference: STANDARD_LIBRARY.to_owned(),
                name: "rust-std".to_owned(),
                version: Some(toolchain.clone()),
                ..Component::default()
            });
            if let Some((layer, file)) = bill.program() {
                self.dependencies
                    .push(Dependency { reference: file_ref(layer, file), depends_on: root.iter().cloned().collect() });
            }
            self.depend(IMAGE.to_owned(), root.iter().cloned().collect(), "complete");
        } else {
            // The lock file does not say which of its packages the program is.
            self.depend(IMAGE.to_owned(), Vec::new(), "unknown");
        }
        for one in &crates.list {
            let own = one.package.reference();
            let mut depends_on: Vec<String> = one.package.dependencies.iter().filter_map(reference).collect();
            if root.as_ref() == Some(&own) {
                depends_on.push(STANDARD_LIBRARY.to_owned());
            }
            self.components.push(crate_component(one, &own, root.as_ref() == Some(&own), &crates.scope));
            self.dependencies.push(Dependency { reference: own, depends_on });
        }
    }
}

fn image(bill: &Bill) -> Component {
    let image = &bill.image;
    Component {
        kind: "container",
        reference: IMAGE.to_owned(),
        name: image.repository.as_ref().map_or_else(|| "image".to_owned(), ToString::to_string),
        version: Some(image.digest.to_string()),
        hashes: vec![sha256(&image.digest)],
        purl: bill.purl(),
        ..Component::default()
    }
}

fn layer(index: usize, contents: &Contents) -> Component {
    let other = |(path, what): &(String, String)| property("csign:entry", format!("{path}: {what}"));
    let files = contents.files.iter().enumerate();
    Component {
        kind: "file",
        mime_type: Some(contents.media_type.clone()),
        reference: layer_ref(index),
        name: format!("layer {}", index + 1),
        version: Some(contents.digest.to_string()),
        hashes: vec![sha256(&contents.digest)],
        components: files.map(|(number, file)| file_component(file_ref(index, number), file)).collect(),
        properties: std::iter::once(property("csign:diff-id", contents.diff_id.to_string()))
            .chain(contents.others.iter().map(other))
            .collect(),
        ..Component::default()
    }
}

fn file_component(reference: String, file: &File) -> Component {
    Component {
        kind: "file",
        reference,
        name: format!("/{}", file.path),
        hashes: vec![sha256(&file.sha256)],
        properties: vec![
            property("csign:mode", format!("{:04o}", file.mode)),
            property("csign:size", file.size.to_string()),
        ],
        ..Component::default()
    }
}

fn crate_component(one: &Crate, own: &str, is_root: bool, scope: &Scope) -> Component {
    let (locked, declared) = (&one.package, one.license.as_deref());
    let expression = declared.and_then(license::expression);
    let mut properties = Vec::new();
    if matches!(locked.origin, Origin::Path) {
        properties.push(property("csign:origin", "source tree".to_owned()));
    }
    if let (Some(text), None) = (declared, &expression) {
        properties.push(property("csign:declared-license", text.to_owned()));
    }
    let licenses = expression.map(|expression| License { expression, acknowledgement: "declared" });
    let source = locked.origin.location().map(|url| ExternalReference { kind: "vcs", url });
    Component {
        kind: if is_root { "application" } else { "library" },
        reference: own.to_owned(),
        name: locked.name.clone(),
        version: Some(locked.version.clone()),
        scope: matches!(scope, Scope::Linked { .. }).then_some("required"),
        hashes: locked.checksum.iter().map(sha256).collect(),
        licenses: licenses.into_iter().collect(),
        purl: purl::cargo(locked),
        external_references: source.into_iter().collect(),
        properties,
        ..Component::default()
    }
}

fn layer_ref(layer: usize) -> String {
    format!("layer:{}", layer + 1)
}

fn file_ref(layer: usize, file: usize) -> String {
    format!("file:{}:{}", layer + 1, file + 1)
}

const fn property(name: &'static str, value: String) -> Property {
    Property { name, value }
}

fn sha256(digest: &csign_oci::Digest) -> Hash {
    Hash { alg: "SHA-256", content: digest.hex() }
}
