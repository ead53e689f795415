//! The image's content: the program, root certificates, a user, the contract; nothing else.
//!
//! The cargo recipe calls [`image`]; Bazel's image rule takes what [`parts`] writes, and what it makes is held against
//! [`image`] by [`compare()`].

mod compare;
pub mod parts;

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::{Access, ContainerConfig, Image, Layer, LayerBuilder, OciError, assemble};
use serde_json::{Map, Value, json};

pub use compare::{Difference, compare};

/// The user and group that run the program.
const NONROOT: u32 = 65532;
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where the program is.
const PROGRAM: &str = "workload";

/// Assembles the image. The layers are ordered by how seldom they change.
///
/// # Errors
/// None in practice: every path is a constant that fits into an archive.
pub fn image(
    binary: Vec<u8>,
    contract: &[u8],
    labels: BTreeMap<String, String>,
    ports: &[u16],
) -> Result<Image, OciError> {
    let mut program = LayerBuilder::new();
    program.file(PROGRAM, Access::root(0o555), binary)?;
    let config = ContainerConfig {
        user: format!("{NONROOT}:{NONROOT}"),
        env: environment(),
        entrypoint: entrypoint(),
        working_dir: "/".to_owned(),
        labels,
        extra: exposed(ports),
        ..ContainerConfig::default()
    };
    let layers = vec![
        (base_layer()?, "csign build: certificates, user, directories"),
        (program.build()?, "csign build: workload"),
        (contract_layer(contract)?, "csign build: contract"),
    ];
    assemble(config, layers)
}

/// Root certificates, the user, the directories that it may write.
fn base_layer() -> Result<Layer, OciError> {
    let mut base = LayerBuilder::new();
    base.file(CERTIFICATES, Access::root(0o444), root_certificates())?
        .file(
            "etc/passwd",
            Access::root(0o444),
            format!("nonroot:x:{NONROOT}:{NONROOT}::/var/lib/csign:/sbin/nologin\n"),
        )?
        .file("etc/group", Access::root(0o444), format!("nonroot:x:{NONROOT}:\n"))?
        .directory("tmp", Access::root(0o1777))?
        .directory("var/lib/csign", Access { mode: 0o700, uid: NONROOT, gid: NONROOT })?;
    base.build()
}

/// The contract's canonical bytes, where the program looks for them.
fn contract_layer(contract: &[u8]) -> Result<Layer, OciError> {
    let mut layer = LayerBuilder::new();
    layer.file(csign_contract::PATH_IN_IMAGE.trim_start_matches('/'), Access::root(0o444), contract)?;
    layer.build()
}

fn environment() -> Vec<String> {
    vec![format!("SSL_CERT_FILE=/{CERTIFICATES}")]
}

fn entrypoint() -> Vec<String> {
    vec![format!("/{PROGRAM}")]
}

/// A port as an image configuration names it.
fn port_name(port: &u16) -> String {
    format!("{port}/tcp")
}

/// `ExposedPorts` (OCI image specification 1.1, config.md): Confidential Space opens no other port.
fn exposed(ports: &[u16]) -> Map<String, Value> {
    if ports.is_empty() {
        return Map::new();
    }
    let ports: Map<String, Value> = ports.iter().map(|port| (port_name(port), json!({}))).collect();
    Map::from_iter([("ExposedPorts".to_owned(), ports.into())])
}

/// Mozilla's root certificates as PEM, sorted by content.
fn root_certificates() -> String {
    let mut certificates: Vec<&[u8]> = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref).collect();
    certificates.sort_unstable();
    let mut out = String::new();
    for der in certificates {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = BASE64_STANDARD.encode(der);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            out.push_str(line);
            out.push('\n');
            rest = after;
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use csign_oci::{ImageConfig, LayerLimits, Node, read_layer};

    use super::*;

    #[test]
    fn image_holds_what_confidential_space_needs_and_nothing_else() {
        let labels: BTreeMap<_, _> = [("tee.launch_policy.log_redirect".to_owned(), "debugonly".to_owned())].into();
        let image = image(b"program".to_vec(), b"{\"v\":1}", labels.clone(), &[8080]).unwrap();
        let config = ImageConfig::parse(&image.blobs[0].1).unwrap();
        assert_eq!(config.config.user, "65532:65532");
        assert_eq!(config.config.entrypoint, ["/workload"]);
        assert_eq!(config.config.labels, labels);
        assert_eq!(config.config.extra["ExposedPorts"], json!({"8080/tcp": {}}));

        let mut seen = Vec::new();
        for ((_, bytes), diff_id) in image.blobs[1..].iter().zip(&config.rootfs.diff_ids) {
            let layer = read_layer(bytes, &LayerLimits::default()).unwrap();
            assert_eq!(layer.diff_id, *diff_id);
            seen.extend(layer.entries);
        }
        let listing: Vec<String> = seen
            .iter()
            .map(|e| format!("{:04o} {}:{} {} {}", e.access.mode, e.access.uid, e.access.gid, e.mtime, e.path))
            .collect();
        assert_eq!(
            listing,
            [
                "0755 0:0 0 etc",
                "0444 0:0 0 etc/group",
                "0444 0:0 0 etc/passwd",
                "0755 0:0 0 etc/ssl",
                "0755 0:0 0 etc/ssl/certs",
                "0444 0:0 0 etc/ssl/certs/ca-certificates.crt",
                "1777 0:0 0 tmp",
                "0755 0:0 0 var",
                "0755 0:0 0 var/lib",
                "0700 65532:65532 0 var/lib/csign",
                "0555 0:0 0 workload",
                "0755 0:0 0 etc",
                "0755 0:0 0 etc/csign",
                "0444 0:0 0 etc/csign/contract.json",
            ]
        );
        assert_eq!(seen.last().unwrap().node, Node::File(b"{\"v\":1}".to_vec()));
    }

    #[test]
    fn certificates_are_pem_and_all_there() {
        let pem = root_certificates();
        let count = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
        assert!(count > 100);
        assert_eq!(pem.matches("-----BEGIN CERTIFICATE-----\n").count(), count);
        assert!(pem.lines().all(|line| line.len() <= 64));
        let first: String = pem.lines().skip(1).take_while(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(first).unwrap();
        assert!(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().any(|known| known.as_ref() == der));
    }
}
