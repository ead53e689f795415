//! What the services of the world write.

use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use super::{
    Party, Request, SIGNED, Signed, TIME_STAMPING, base64,
    der::{bits, extension, integer, name, octets, oid, seq, set, time, tlv},
    hex, sha256,
};

const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const ORIGIN: &str = "log.example.com";
const STAMPS_SERIAL: u32 = 0x77;

/// Signs a TBSCertificate.
fn certificate(tbs: &[u8], by: Party) -> Vec<u8> {
    seq(&[tbs, &seq(&[&oid(ECDSA_SHA256)]), &bits(&by.sign(tbs))])
}

struct Tbs<'a> {
    serial: u32,
    issuer: &'a str,
    subject: &'a str,
    from: i64,
    to: i64,
    key: Party,
    extensions: Vec<Vec<u8>>,
}

impl Tbs<'_> {
    fn der(&self) -> Vec<u8> {
        seq(&[
            &tlv(0xa0, &integer(2)),
            &integer(self.serial),
            &seq(&[&oid(ECDSA_SHA256)]),
            &name(self.issuer),
            &seq(&[&time(self.from), &time(self.to)]),
            &name(self.subject),
            &self.key.spki(),
            &tlv(0xa3, &seq(&[&self.extensions.concat()])),
        ])
    }
}

fn root(subject: &str, key: Party) -> Vec<u8> {
    let tbs = Tbs {
        serial: 1,
        issuer: subject,
        subject,
        from: SIGNED - 10_000_000,
        to: SIGNED + 100_000_000,
        key,
        extensions: vec![
            extension("2.5.29.19", true, &seq(&[&tlv(1, &[0xff])])),
            extension("2.5.29.15", true, &[3, 2, 1, 6]),
        ],
    };
    certificate(&tbs.der(), key)
}

/// A Fulcio certificate, with an SCT where a transparency log is asked for one.
pub(crate) fn leaf(request: &Request) -> Vec<u8> {
    let mut extensions = vec![
        extension("2.5.29.15", true, &[3, 2, 7, 0x80]),
        extension("2.5.29.37", false, &seq(&[&oid(request.usage)])),
    ];
    if !request.names.is_empty() {
        let names: Vec<u8> = request.names.iter().flat_map(|(tag, text)| tlv(*tag, text.as_bytes())).collect();
        extensions.push(extension("2.5.29.17", true, &tlv(0x30, &names)));
    }
    if let Some(issuer) = &request.old_issuer {
        extensions.push(extension("1.3.6.1.4.1.57264.1.1", false, issuer.as_bytes()));
    }
    if let Some(issuer) = &request.issuer {
        extensions.push(extension("1.3.6.1.4.1.57264.1.8", false, &tlv(12, issuer.as_bytes())));
    }
    let mut tbs = Tbs {
        serial: 42,
        issuer: "authority",
        subject: "",
        from: request.not_before,
        to: request.not_before + 600,
        key: request.key,
        extensions,
    };
    if let Some(log) = request.transparency {
        let list = sct(log, request.authority, &tbs.der());
        tbs.extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &octets(&list)));
    }
    certificate(&tbs.der(), request.authority)
}

/// A list with one signed certificate timestamp (RFC 6962, section 3).
fn sct(log: Party, authority: Party, tbs: &[u8]) -> Vec<u8> {
    let milliseconds = (u64::try_from(SIGNED).expect("positive") * 1000).to_be_bytes();
    let length = u32::try_from(tbs.len()).expect("short").to_be_bytes();
    let signed = [&[0, 0][..], &milliseconds, &[0, 1], &sha256(authority.spki()), &length[1..], tbs, &[0, 0]].concat();
    let signature = log.sign(&signed);
    let with_length = |bytes: Vec<u8>| [&u16::try_from(bytes.len()).expect("short").to_be_bytes()[..], &bytes].concat();
    let sct = [&[0][..], &sha256(log.spki()), &milliseconds, &[0, 0, 4, 3], &with_length(signature)].concat();
    with_length(with_length(sct))
}

pub(crate) fn pem(certificate: &[u8]) -> String {
    let text = base64(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn ed25519() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[Party::RekorV2 as u8; 32])
}

/// Key id of a C2SP signed note, whole; a note has the first four bytes of it.
fn note_id() -> [u8; 32] {
    sha256([ORIGIN.as_bytes(), b"\n\x01", ed25519().verifying_key().as_bytes()].concat())
}

pub(crate) fn trusted_root() -> Value {
    let valid = json!({"start": "2025-01-01T00:00:00Z"});
    let key = |spki: &[u8], details: &str| json!({"rawBytes": base64(spki), "keyDetails": details, "validFor": valid});
    let chain = |certificates: &[Vec<u8>]| -> Value {
        let list: Vec<Value> = certificates.iter().map(|der| json!({"rawBytes": base64(der)})).collect();
        json!({"certificates": list})
    };
    let log = |id: &[u8], key: Value| {
        json!({"baseUrl": "https://log.example.com", "hashAlgorithm": "SHA2_256", "publicKey": key,
            "logId": {"keyId": base64(id)}})
    };
    let p256 = |party: Party| log(&sha256(party.spki()), key(&party.spki(), "PKIX_ECDSA_P256_SHA_256"));
    // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410, section 4).
    let v2 = seq(&[&seq(&[&oid("1.3.101.112")]), &bits(ed25519().verifying_key().as_bytes())]);
    let subject = json!({"organization": "example", "commonName": "example"});
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [p256(Party::Rekor), log(&note_id(), key(&v2, "PKIX_ED25519"))],
        "ctlogs": [p256(Party::Transparency)],
        "certificateAuthorities": [{"subject": subject, "uri": "https://ca.example.com", "validFor": valid,
            "certChain": chain(&[root("authority", Party::Authority)])}],
        "timestampAuthorities": [{"subject": subject, "uri": "https://tsa.example.com", "validFor": valid,
            "certChain": chain(&[stamps_certificate(), root("stamps root", Party::StampsRoot)])}],
    })
}

fn stamps_certificate() -> Vec<u8> {
    let tbs = Tbs {
        serial: STAMPS_SERIAL,
        issuer: "stamps root",
        subject: "stamps",
        from: SIGNED - 10_000_000,
        to: SIGNED + 100_000_000,
        key: Party::Stamps,
        extensions: vec![
            extension("2.5.29.15", true, &[3, 2, 7, 0x80]),
            extension("2.5.29.37", true, &seq(&[&oid(TIME_STAMPING)])),
        ],
    };
    certificate(&tbs.der(), Party::StampsRoot)
}

/// A TimeStampResp (RFC 3161, section 2.4.2) over `bytes`.
pub(crate) fn time_stamp(bytes: &[u8], at: i64) -> Vec<u8> {
    let sha256_id = seq(&[&oid(SHA256)]);
    let info = seq(&[
        &integer(1),
        &oid("1.3.6.1.4.1.57264.2"),
        &seq(&[&sha256_id, &octets(&sha256(bytes))]),
        &integer(5),
        &time(at),
    ]);
    let attribute = |id: &str, value: Vec<u8>| seq(&[&oid(id), &set(vec![value])]);
    let info_type = oid("1.2.840.113549.1.9.16.1.4");
    let attributes = set(vec![
        attribute("1.2.840.113549.1.9.3", info_type.clone()),
        attribute("1.2.840.113549.1.9.4", octets(&sha256(&info))),
        attribute("1.2.840.113549.1.9.16.2.47", seq(&[&seq(&[&seq(&[&octets(&sha256(stamps_certificate()))])])])),
    ]);
    let signature = Party::Stamps.sign(&attributes);
    let mut implicit = attributes;
    implicit[0] = 0xa0;
    let signer = seq(&[
        &integer(1),
        &seq(&[&name("stamps root"), &integer(STAMPS_SERIAL)]),
        &sha256_id,
        &implicit,
        &seq(&[&oid(ECDSA_SHA256)]),
        &octets(&signature),
    ]);
    let signed_data = seq(&[
        &integer(3),
        &set(vec![sha256_id.clone()]),
        &seq(&[&info_type, &tlv(0xa0, &octets(&info))]),
        &set(vec![signer]),
    ]);
    let token = seq(&[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &signed_data)]);
    seq(&[&seq(&[&integer(0)]), &token])
}

/// What Rekor v1 promises: its signature over the entry's canonical JSON (RFC 8785), which these four members are.
pub(crate) fn signed_entry_timestamp(body: &str, at: i64, index: u64, by: Party) -> Vec<u8> {
    let log_id = hex(sha256(by.spki()));
    by.sign(format!(r#"{{"body":"{body}","integratedTime":{at},"logID":"{log_id}","logIndex":{index}}}"#).as_bytes())
}

/// The entry of Rekor v1: `hashedrekord` 0.0.1 or `dsse` 0.0.1, promised and proven, as the second of two leaves.
pub(crate) fn entry_v1(signed: &Signed) -> Value {
    entry_with_verifier(signed, &pem(&signed.certificate))
}

/// As [`entry_v1`], with this PEM for the signer.
pub(crate) fn entry_with_verifier(signed: &Signed, verifier: &str) -> Value {
    let verifier = base64(verifier);
    let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(sha256(bytes))});
    let (kind, spec) = if signed.content.0 == "messageSignature" {
        let signature = json!({"content": base64(&signed.signature), "publicKey": {"content": verifier}});
        ("hashedrekord", json!({"data": {"hash": hash(&signed.message)}, "signature": signature}))
    } else {
        let signature = json!({"signature": base64(&signed.signature), "verifier": verifier});
        let envelope = signed.content.1.to_string();
        let hashes = (hash(envelope.as_bytes()), hash(&signed.payload));
        ("dsse", json!({"envelopeHash": hashes.0, "payloadHash": hashes.1, "signatures": [signature]}))
    };
    let body = json!({"apiVersion": "0.0.1", "kind": kind, "spec": spec}).to_string();
    let log_id = sha256(Party::Rekor.spki());
    let promise = signed_entry_timestamp(&base64(&body), SIGNED, 7, Party::Rekor);
    json!({
        "logIndex": "7",
        "logId": {"keyId": base64(log_id)},
        "kindVersion": {"kind": kind, "version": "0.0.1"},
        "integratedTime": SIGNED.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": base64(promise)},
        "inclusionProof": proof(&body, |note| (log_id, Party::Rekor.sign(note))),
        "canonicalizedBody": base64(&body),
    })
}

/// The entry of Rekor v2: `hashedrekord` 0.0.2, proven, without a time.
pub(crate) fn entry_v2(signed: &Signed) -> Value {
    let verifier = json!({"keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "x509Certificate": {"rawBytes": base64(&signed.certificate)}});
    let record = json!({"data": {"algorithm": "SHA2_256", "digest": base64(sha256(&signed.message))},
        "signature": {"content": base64(&signed.signature), "verifier": verifier}});
    let body = json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": record}}).to_string();
    json!({
        "logIndex": "1",
        "logId": {"keyId": base64(note_id())},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": proof(&body, |note| (note_id(), ed25519().sign(note).to_bytes().to_vec())),
        "canonicalizedBody": base64(&body),
    })
}

/// The proof for the second of two leaves.
fn proof(body: &str, sign: impl Fn(&[u8]) -> ([u8; 32], Vec<u8>)) -> Value {
    let first = sha256(b"\0another entry");
    let root = sha256([&[1][..], &first, &sha256([b"\0", body.as_bytes()].concat())].concat());
    json!({
        "logIndex": "1",
        "treeSize": "2",
        "rootHash": base64(root),
        "hashes": [base64(first)],
        "checkpoint": {"envelope": checkpoint(2, &root, sign)},
    })
}

/// A signed note (C2SP tlog-checkpoint): `sign` gives the key id and the signature.
pub(crate) fn checkpoint(size: u64, root: &[u8], sign: impl Fn(&[u8]) -> ([u8; 32], Vec<u8>)) -> String {
    let note = format!("{ORIGIN}\n{size}\n{}\n", base64(root));
    let (id, signature) = sign(note.as_bytes());
    format!("{note}\n\u{2014} {ORIGIN} {}\n", base64([&id[..4], &signature].concat()))
}
