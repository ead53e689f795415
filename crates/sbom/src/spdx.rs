//! SPDX 2.3 in JSON (https://spdx.github.io/spdx-spec/v2.3/).

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    bill::{Bill, Crate, Crates, Scope, uuid},
    contents::{Contents, File, verification_code},
    error::SbomError,
    license,
    lock::Origin,
    purl,
};

const NOASSERTION: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const STANDARD_LIBRARY: &str = "SPDXRef-rust-std";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    comment: String,
    packages: Vec<SpdxPackage>,
    files: Vec<SpdxFile>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: String,
    primary_package_purpose: &'static str,
    supplier: &'static str,
    download_location: String,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    license_declared: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_comments: Option<String>,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxFile {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    checksums: [Checksum; 2],
    license_concluded: &'static str,
    copyright_text: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'static str>,
}

/// Writes the document: the image contains its layers, a layer contains its files, and the crates depend on each other.
///
/// # Errors
/// None in practice; serialization of these types does not fail.
pub fn write(bill: &Bill) -> Result<Vec<u8>, SbomError> {
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: bill.name(),
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: bill.created.to_string(),
            creators: [format!("Tool: csign-{}", bill.tool_version)],
        },
        comment: bill.coverage(),
        packages: vec![image(bill)],
        files: Vec::new(),
        relationships: vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)],
    };
    for (index, contents) in bill.layers.iter().enumerate() {
        document.add_layer(index, contents);
    }
    if let Some(crates) = &bill.crates {
        document.add_crates(bill, crates);
    }
    let unnamed = serde_json::to_vec(&document)?;
    document.document_namespace =
        format!("https://csign.dev/spdx/{}/{}", bill.image.digest.hex(), uuid("spdx", &unnamed));
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

impl Document {
    fn add_layer(&mut self, index: usize, contents: &Contents) {
        let id = layer_id(index);
        let mut comment = format!("Layer {} of the image; unpacked {}.", index + 1, contents.diff_id);
        for (path, what) in &contents.others {
            comment.push_str(&format!("\n{path}: {what}"));
        }
        // A package without files has no verification code.
        let files_analyzed = !contents.files.is_empty();
        self.packages.push(SpdxPackage {
            files_analyzed,
            package_verification_code: files_analyzed
                .then(|| VerificationCode { package_verification_code_value: verification_code(&contents.files) }),
            checksums: vec![sha256(&contents.digest)],
            comment: Some(comment),
            ..package(id.clone(), format!("layer {}", index + 1), contents.digest.to_string(), "ARCHIVE")
        });
        self.relationships.push(relationship(IMAGE, "CONTAINS", &id));
        for (number, file) in contents.files.iter().enumerate() {
            let file_id = file_id(index, number);
            self.relationships.push(relationship(&id, "CONTAINS", &file_id));
            self.files.push(spdx_file(file_id, file));
        }
    }

    fn add_crates(&mut self, bill: &Bill, crates: &Crates) {
        let ids = crate_ids(crates);
        let root = match &crates.scope {
            Scope::Linked { root, .. } => ids.get(*root),
            Scope::LockFile => None,
        };
        for (id, one) in ids.iter().zip(&crates.list) {
            let purpose = if root == Some(id) { "APPLICATION" } else { "LIBRARY" };
            self.packages.push(crate_package(id.clone(), one, purpose));
        }
        match (&crates.scope, root) {
            (Scope::Linked { toolchain, .. }, Some(root)) => {
                self.relationships.push(relationship(IMAGE, "DEPENDS_ON", root));
                if let Some((layer, file)) = bill.program() {
                    self.relationships.push(relationship(&file_id(layer, file), "GENERATED_FROM", root));
                }
                self.packages.push(SpdxPackage {
                    comment: Some("Rust's standard library and what comes with it for the target.".to_owned()),
                    ..package(STANDARD_LIBRARY.to_owned(), "rust-std".to_owned(), toolchain.clone(), "LIBRARY")
                });
                self.relationships.push(relationship(root, "DEPENDS_ON", STANDARD_LIBRARY));
            }
            _ => self.relationships.extend(ids.iter().map(|id| Relationship {
                comment: Some("In the lock file: may or may not be part of the program."),
                ..relationship(IMAGE, "OTHER", id)
            })),
        }
        for (id, one) in ids.iter().zip(&crates.list) {
            let targets = one.package.dependencies.iter().filter_map(|at| ids.get(*at));
            self.relationships.extend(targets.map(|to| relationship(id, "DEPENDS_ON", to)));
        }
    }
}

fn image(bill: &Bill) -> SpdxPackage {
    let image = &bill.image;
    let name = image.repository.as_ref().map_or_else(|| "image".to_owned(), ToString::to_string);
    SpdxPackage {
        checksums: vec![sha256(&image.digest)],
        external_refs: bill.purl().map(purl_reference).into_iter().collect(),
        ..package(IMAGE.to_owned(), name, image.digest.to_string(), "CONTAINER")
    }
}

fn crate_package(id: String, one: &Crate, purpose: &'static str) -> SpdxPackage {
    let (locked, declared) = (&one.package, one.license.as_deref());
    let (name, version) = (&locked.name, &locked.version);
    let expression = declared.and_then(license::expression);
    SpdxPackage {
        download_location: match &locked.origin {
            Origin::CratesIo => {
                format!("https://static.crates.io/crates/{name}/{name}-{}.crate", purl::encode(version))
            }
            origin => origin.location().unwrap_or_else(|| NOASSERTION.to_owned()),
        },
        checksums: locked.checksum.iter().map(sha256).collect(),
        // What cannot be said as an expression is quoted.
        license_comments: declared.filter(|_| expression.is_none()).map(|text| format!("Declared as {text:?}.")),
        license_declared: expression.unwrap_or_else(|| NOASSERTION.to_owned()),
        comment: matches!(locked.origin, Origin::Path).then(|| "Part of the source tree.".to_owned()),
        external_refs: purl::cargo(locked).map(purl_reference).into_iter().collect(),
        ..package(id, name.clone(), version.clone(), purpose)
    }
}

fn package(id: String, name: String, version_info: String, primary_package_purpose: &'static str) -> SpdxPackage {
    SpdxPackage {
        id,
        name,
        version_info,
        primary_package_purpose,
        supplier: NOASSERTION,
        download_location: NOASSERTION.to_owned(),
        files_analyzed: false,
        package_verification_code: None,
        checksums: Vec::new(),
        license_concluded: NOASSERTION,
        license_declared: NOASSERTION.to_owned(),
        license_comments: None,
        copyright_text: NOASSERTION,
        comment: None,
        external_refs: Vec::new(),
    }
}

fn spdx_file(id: String, file: &File) -> SpdxFile {
    SpdxFile {
        id,
        file_name: format!("./{}", file.path),
        checksums: [Checksum { algorithm: "SHA1", checksum_value: file.sha1.clone() }, sha256(&file.sha256)],
        license_concluded: NOASSERTION,
        copyright_text: NOASSERTION,
    }
}

fn relationship(from: &str, relationship_type: &'static str, to: &str) -> Relationship {
    Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type,
        related_spdx_element: to.to_owned(),
        comment: None,
    }
}

fn purl_reference(reference_locator: String) -> ExternalRef {
    ExternalRef { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator }
}

fn sha256(digest: &csign_oci::Digest) -> Checksum {
    Checksum { algorithm: "SHA256", checksum_value: digest.hex() }
}

fn layer_id(layer: usize) -> String {
    format!("SPDXRef-Layer-{}", layer + 1)
}

fn file_id(layer: usize, file: usize) -> String {
    format!("SPDXRef-File-{}-{}", layer + 1, file + 1)
}

/// Identifiers may have letters, digits, `.` and `-` only (SPDX 2.3, section 3.2), so names that differ in other
/// characters get a number.
fn crate_ids(crates: &Crates) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '.' }).collect()
    };
    let id = |one: &Crate| {
        let stem = format!("SPDXRef-Crate-{}-{}", plain(&one.package.name), plain(&one.package.version));
        let numbered = (2..).map(|number: usize| format!("{stem}-{number}"));
        let mut candidates = std::iter::once(stem.clone()).chain(numbered);
        candidates.find(|id| taken.insert(id.clone())).unwrap_or(stem)
    };
    crates.list.iter().map(id).collect()
}
