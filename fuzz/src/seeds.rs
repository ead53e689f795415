//! Small inputs that the parsers accept: where fuzzing starts, and what the smoke test mutates.

/// A public key whose private half was thrown away.
pub(crate) const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDAZanmh4W4uJLCiG/x1+b3EEFTcU
3x+ky+p9/LflkkIu0IAN0nCfsz9gFCtG2lNUcV9e+eMl24ha0XjPmmmwnw==
-----END PUBLIC KEY-----
";

/// cosign's key file; nothing is in it.
pub(crate) const KEY_FILE: &str = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJjM056YzNOemMzTnpjM056YzNOemMzTnpjM056YzNO
emMzTnpjM056YzNNPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJibTV1Ym01dWJtNXVibTV1Ym01dWJtNXVibTV1Ym01dSJ9LCJj
aXBoZXJ0ZXh0IjoiWTJOalkyTmpZMk5qWTJOalkyTmpZMk5qWTJOalkyTmpZMk5q
WTJOalkyTmpZMk5qWTJOalkyTmpZMk5qWTJOalkyTmpZMk5qWTJOalkyTmpZMk5q
WTJOalkyTmpZMk5qWTJOalkyTmpZMk5qWTJOalkyTmpZMk5qWTJOalkyTmpZMk5q
WTJOalkyTmpZMk5qWTJOalkyTmpZMk5qWTJOalkyTmpZMk5qWTJOalkyTmpZMk5q
WTJOalkyTmpZMk5qWTJOalkyTmoifQ==
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";

/// The digest in the seeds below.
pub(crate) const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

pub(crate) const REFERENCE: &str =
    "127.0.0.1:5000/a/b-c:latest@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

pub(crate) const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":2,
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
"annotations":{"dev.cosignproject.cosign/signature":"MEUCIQ=="}}],"annotations":{"a":"b"}}"#;

pub(crate) const IMAGE_CONFIG: &str = r#"{"architecture":"amd64","created":"0001-01-01T00:00:00Z",
"history":[{"created":"0001-01-01T00:00:00Z"}],"os":"linux","config":{"Labels":{"a":"b"},"Env":["A=b"]},
"rootfs":{"type":"layers","diff_ids":["sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"]}}"#;

pub(crate) const SIMPLE_SIGNING: &str = r#"{"critical":{"identity":{"docker-reference":"registry.example/app"},
"image":{"docker-manifest-digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
"type":"cosign container image signature"},"optional":{"a":"b"}}"#;

pub(crate) const DSSE: &str = r#"{"payloadType":"application/vnd.in-toto+json","payload":"e30=",
"signatures":[{"keyid":"","sig":"MAYCAQECAQE="}]}"#;

pub(crate) const BUNDLE: &str = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
"verificationMaterial":{"publicKey":{"hint":"RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o="}},
"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"MAYCAQECAQE="}]}}"#;

pub(crate) const STATEMENT: &str = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{
"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"annotations":{}}],
"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#;

pub(crate) const CONTRACT: &str = r#"version = 1
name = "word-count"
[image]
repository = "registry.simulator.localhost/demo/workload"
[build]
recipe = "cargo-musl"
[environment]
kind = "simulated"
issuer = "http://attestation.simulator.localhost"
issuer_keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
[signatures]
threshold = 1
[operator]
project_id = "operator"
service_account = "runner@operator.iam.gserviceaccount.com"
[platform]
hardware = ["GCP_INTEL_TDX"]
support = "STABLE"
[launch]
log_redirect = "debugonly"
[messages]
topic = "projects/operator/topics/words"
subscription = "projects/operator/subscriptions/words"
print_words = false
[state]
kind = "postgres"
url = "postgresql://csign@127.0.0.1:5432/counts"
password_secret = "projects/operator/secrets/database/versions/1"
[state.key]
kms_key = "projects/keeper/locations/global/keyRings/ring/cryptoKeys/state"
identity_provider = "//iam.googleapis.com/projects/9/locations/global/workloadIdentityPools/pool/providers/provider"
[[party]]
name = "one"
public_key = """
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDAZanmh4W4uJLCiG/x1+b3EEFTcU
3x+ky+p9/LflkkIu0IAN0nCfsz9gFCtG2lNUcV9e+eMl24ha0XjPmmmwnw==
-----END PUBLIC KEY-----
"""
[party.collaborator]
kms_key = "projects/one/locations/global/keyRings/ring/cryptoKeys/key"
identity_provider = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider"
"#;

/// One attribute a line.
pub(crate) const MESSAGE_ATTRIBUTES: &str = "version=1\ncollaborator=one\nmessage=m-1\nother=x";

/// The modulus is a number that nobody made of two primes.
pub(crate) const JWKS: &str = r#"{"keys":[{"kty":"RSA","kid":"k","alg":"RS256","use":"sig","e":"AQAB",
"n":"8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8Q"}]}"#;

/// Leaf, intermediate and root: P-256, which no token is signed with.
pub(crate) const X5C: &str = r#"["MIIBVDCB/KADAgECAgEDMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAWkwHhcNMjYxMTI0MTAwMzU4WhcNMzYxMTIxMTAwMzU4WjAMMQowCAYDVQQDDAFsMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEA49tZEMQF3IdNh8ZTTbdW3nxkfdb6wWjJ1d6wNE1+MVAeADDLtQjE3iFxMLGzNOZXBe+Zln9z3a/fRoLWftlvaNPME0wCwYDVR0PBAQDAgeAMB0GA1UdDgQWBBRYvZTbmvXTDrnnFUEcatU+CQhAKTAfBgNVHSMEGDAWgBSw1VgfSYc91DZmAyX/DODN8xs5jjAKBggqhkjOPQQDAgNHADBEAiBUJJb48zB/KnuPGP7f9UOWO36tIt2h28iZWp/Fa2duGQIgeQDR/uv3iC0lG/8vt9wffvCIME/6yibpT/mqpsuoB/k=",
"MIIBWjCCAQCgAwIBAgIBAjAKBggqhkjOPQQDAjAMMQowCAYDVQQDDAFyMB4XDTI2MTEyNDEwMDM1OFoXDTM2MTEyMTEwMDM1OFowDDEKMAgGA1UEAwwBaTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNm7KGwKF9bh5pR1UOGxejJ2t0SP4hihCXGNuAjcS1YsN8ghJXLNL9O/4OXWbsGcjQcJktv4eL/c1yWDB7c+tZyjUzBRMA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0OBBYEFLDVWB9Jhz3UNmYDJf8M4M3zGzmOMB8GA1UdIwQYMBaAFOw0ScRSoQZPrEk/TukbVsqBhJWJMAoGCCqGSM49BAMCA0gAMEUCIQCe18Y2Sfa333ukrTK7aZmkTBfQOagIv3YRE6SrImnWzAIgKVpUIETDXCwLOarowzl8HaIfb6BRU3eqEBHPf81Q0Z4=",
"MIIBbjCCAROgAwIBAgIUflDoCb87DbJxIeaZsdvBGgvWFfMwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBcjAeFw0yNjExMjQxMDAzNThaFw0zNjExMjExMDAzNThaMAwxCjAIBgNVBAMMAXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATJ1VZuH8unIxF7mh50KSoc3CIZwQWYGsAX6ZNTggj3O70oahczP/MGuG+dR5OAZbNHpjq+YOuPnMSa2KjOp8Jwo1MwUTAdBgNVHQ4EFgQU7DRJxFKhBk+sST9O6RtWyoGElYkwHwYDVR0jBBgwFoAU7DRJxFKhBk+sST9O6RtWyoGElYkwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAwBVpUD8htg1daLrnmaHY681HKZCOara9fyItkB1VEtcCIQDRceR1bPaYM/AVB6X9A806WVaQzUzH9HyShwp7tVjBIQ=="]"#;

/// Under the key above, signed by nobody.
pub(crate) const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoiYXVkaWVuY2UiLCJleHAiOjIwMDAsImlhdCI6MTAwMCwibmJmIjoxMDAwfQ.EREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREQ";

pub(crate) const CLAIMS: &str = r#"{"iss":"https://issuer.example","aud":"audience","sub":"instance","iat":1000,"nbf":1000,
"exp":2000,"eat_nonce":["0123456789"],"swname":"CONFIDENTIAL_SPACE","swversion":["250800"],"hwmodel":"GCP_INTEL_TDX",
"secboot":true,"dbgstat":"disabled-since-boot","google_service_accounts":["a@b"],"submods":{
"confidential_space":{"support_attributes":["STABLE"]},"container":{"image_reference":"registry.example/app:latest",
"image_digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","restart_policy":"Never",
"args":["a"],"env":{"A":"b"},"env_override":{"A":"b"},"cmd_override":["a"],"image_signatures":[{"signature":"MEUCIQ==",
"key_id":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","signature_algorithm":"ECDSA_P256_SHA256"}]},
"gce":{"project_id":"p","project_number":"1","zone":"z","instance_name":"i","instance_id":"2"}}}"#;

pub(crate) const DISCOVERY: &str = r#"{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/keys"}"#;

pub(crate) const REQUEST: &str = r#"{"kind":"csign-request","version":1,"repository":"registry.example/app",
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
"contract":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
"source":{"recipe":"cargo-musl","revision":"abc"},"signatures":[{"party":"one","payload":"{}",
"keyId":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}]}"#;

pub(crate) const REBUILD_RECORD: &str = r#"{"kind":"csign-rebuild","version":1,"repository":"registry.example/app",
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","reproduced":{
"contract":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","recipe":"cargo-musl",
"sourceRevision":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","toolchain":"rustc 1.95.0","rebuilt":true,"rebuild":{
"request":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","revisionFrom":"request",
"sources":"git+https://git.example/x","submodules":{"a":"b"},"rustc":"rustc 1.95.0","cargo":"cargo 1.95.0","linker":{
"name":"rust-lld","version":"LLD 22","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
"environment":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","network":"none"}},
"environment":{"CC":"/bin/false","PATH":null},"started":"2024-01-01T00:00:00Z","finished":"2024-01-01T00:00:00Z"}"#;

pub(crate) const APPROVAL: &str = r#"{"kind":"csign-approval","version":1,"party":"one",
"keyId":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","repository":"registry.example/app",
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
"contract":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","payload":"{}",
"signature":"MAYCAQECAQE=","bundle":{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
"verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json",
"payload":"e30=","signatures":[{"sig":"MAYCAQECAQE="}]}},"reproduced":{"payloadType":"application/vnd.in-toto+json",
"payload":"e30=","signatures":[{"sig":"MAYCAQECAQE="}]}}"#;

pub(crate) const CHALLENGE: &str =
    r#"Basic realm="x", Bearer realm="https://auth.example/token",service="r.example",scope="repository:a:pull,push""#;

pub(crate) const REFERRER: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":"x/y"},"layers":[],
"annotations":{"a":"b"},"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"artifactType":"x/y"}"#;

pub(crate) const REFERRERS: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",
"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,
"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","annotations":{"a":"b"},
"artifactType":"x/y","data":"e30="}]}"#;

pub(crate) const DOCKER_CONFIG: &str = r#"{"auths":{"r.example:5000":{"auth":"bWU6cGE6c3M="},"i.example":{"auth":"",
"identitytoken":"t"},"b.example":{"registrytoken":"t"},"u.example":{"username":"u","password":"p"}},"credsStore":"x",
"credHelpers":{"h.example":"y"}}"#;

pub(crate) const TRUSTED_ROOT: &str = include_str!("../../tests/fixtures/keyless/trusted_root.json");

/// Fulcio's certificate in that root.
pub(crate) const PEM_ROOTS: &str = "-----BEGIN CERTIFICATE-----
MIIBqDCCAU6gAwIBAgIBATAKBggqhkjOPQQDAzArMREwDwYDVQQDEwhzaWdzdG9y
ZTEWMBQGA1UEChMNc2lnc3RvcmUubW9jazAeFw0yNjAxMDIwMzA0MDVaFw0yNzAx
MDIwMzA0MDVaMCsxETAPBgNVBAMTCHNpZ3N0b3JlMRYwFAYDVQQKEw1zaWdzdG9y
ZS5tb2NrMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYYhOt3s/fai7eac8zXJx
/w28FsNlTiXe1EOLiVhW08P36A1OqW3+2Md8juUrE8tgTlV2Xeiukng9Yz4G0XvH
OqNjMGEwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwHQYDVR0OBBYE
FARYIHEWor0a3NzX801/EL+75HEDMB8GA1UdIwQYMBaAFARYIHEWor0a3NzX801/
EL+75HEDMAoGCCqGSM49BAMDA0gAMEUCIQC8PgqrSEBtiJ9uW4N7/Jh503vaC6Ex
v5hPqqs8EDjZTwIgFgQ08WWFzccZprZeFMt3tHINEl0LXQRKD6+pqQueB3U=
-----END CERTIFICATE-----
";

pub(crate) const KEYLESS_BUNDLE: &str = include_str!("../../tests/fixtures/keyless/sigstore-js-message-stamped.json");

pub(crate) const KEYLESS_LAYER: &str = include_str!("../../tests/fixtures/keyless/cosign-sig.json");

pub(crate) const POLICY: &str = r#"package signature
import rego.v1
default allow := false
names := {name: i | some i, name in ["a", "b"]}
allow if {
	startswith(input.predicateType, "https://")
	some subject in input.subject
	regex.match(`^[0-9a-f]{64}$`, subject.digest.sha256)
	not names[subject.name]
	every d in subject.digest { count(d) > -1 + 1 }
}
deny contains sprintf("%v", [input._type]) if [x | x := numbers.range(1, 3)[_]][0] == 2
"#;

pub(crate) const LOCK_FILE: &str = r#"version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "part 1.0.0 (git+https://git.example/part?branch=main)",
 "serde",
]

[[package]]
name = "part"
version = "1.0.0"
source = "git+https://git.example/part?branch=main#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[package]]
name = "part"
version = "1.0.0"
source = "sparse+https://registry.example/"

[[package]]
name = "serde"
version = "1.0.0+x"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
"#;
pub(crate) const TRANSIT_KEY: &str = r#"{"data":{"name":"k","type":"ed25519","latest_version":1,
"keys":{"1":{"name":"ed25519","public_key":"hgVSXb8nEy8UWHA0gJnXymUh9B0x0WU30eAeUbBIVBE="}}}}"#;

pub(crate) const AWS_ANSWER: &str =
    "<R><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>a/b+c=</SecretAccessKey><SessionToken>t</SessionToken></R>";

pub(crate) const PLUGIN_REPLY: &str = r#"{"signMessage":{"signature":"MAYCAQECAQE="},"errorMessage":""}"#;

pub(crate) const CEL_CONDITION: &str = r#"assertion.swname == "CONFIDENTIAL_SPACE" && assertion.oemid > -1.5e0
&& [1u, 0x2].all(x, x >= 1 ? true : size("\x41" + r'\d') == int("7") % 2)
&& (!has(assertion.absent) || assertion.absent[0].matches("^a{2}") || {"a": null,}.exists(k, k in ["b"]))"#;

/// What `docker save` writes, of an image with one empty layer.
pub(crate) fn docker_archive() -> Vec<u8> {
    let files: [(&str, &str); 3] = [
        ("manifest.json", r#"[{"Config":"config.json","RepoTags":[],"Layers":["layer.tar"]}]"#),
        ("config.json", IMAGE_CONFIG),
        ("layer.tar", ""),
    ];
    let mut out = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(content.as_bytes());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out
}

/// One of each that rules look at.
pub(crate) const LINT_DOCUMENT: &str = r#"[
{"name":"projects/1/locations/global/workloadIdentityPools/p/providers/x","oidc":{"issuerUri":"https://i.example","allowedAudiences":["a"]},
"attributeMapping":{"google.subject":"assertion.sub","attribute.d":"assertion.submods.container.image_digest"},
"attributeCondition":"int(assertion.swversion) >= 1 || assertion.submods.container.image_signatures.all(s, s.key_id == 'k')"},
{"bindings":[{"role":"roles/cloudkms.cryptoKeyDecrypter","members":["allUsers","user:a@example.com",
"principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/attribute.d/sha256:aa"]}]},
{"kind":"compute#instance","disks":[{"licenses":["confidential-space-debug"]}],"metadata":{"items":[{"key":"tee-cmd","value":"[]"}]}},
{"role_type":"jwt","bound_audiences":["a"],"bound_claims":{"/submods/container/image_digest":["sha256:aa"],"swname":"C*"},"bound_claims_type":"glob"},
{"bound_issuer":"i","jwks_url":"https://i.example/.well-known/jwks"},
{"Statement":[{"Effect":"Allow","Principal":{"Federated":"p"},"Action":"sts:*","Condition":{"StringLike":{"aws:RequestTag/gce.zone":"*-a"},"Null":{"aws:RequestTag/x":"true"}}}]},
{"ingressFrom":{"identityType":"ANY_IDENTITY"},"ingressTo":{"operations":[{"serviceName":"*"}]}},
{"type":"external_account","token_url":"https://sts.example/"},
{"ackId":"a","message":{"attributes":{"key":"k"}}},
{"planned_values":{"root_module":{"resources":[{"type":"google_kms_crypto_key_iam_member","values":{"role":"r","member":"allUsers"}}]}}},
{"resource":{"google_compute_instance":{"v":{"metadata":{"tee-image-reference":"${x}"}}},"aws_iam_role":{"r":{"assume_role_policy":"{}"}}}}
]"#;

pub(crate) const AUDIT_LOG: &str = r#"[{"time":1,"service":"sts","method":"exchange","principal":"p","resource":"r","allowed":false,"clause":"c"},
{"timestamp":"2026-01-02T03:04:05Z","protoPayload":{"serviceName":"cloudkms.googleapis.com","methodName":"Decrypt","status":{"code":7},
"authorizationInfo":[{"permission":"p"}]}}]"#;

/// A 64-bit ELF file with a compiler's name, a build id, symbols and code, which comes last.
pub(crate) fn elf() -> Vec<u8> {
    let symbol = |name: u32, value: u64| {
        [&name.to_le_bytes()[..], &[0x12, 0, 4, 0], &value.to_le_bytes(), &128_u64.to_le_bytes()].concat()
    };
    let sections: [(u32, u32, u32, Vec<u8>); 7] = [
        (0, 0, 0, Vec::new()),
        (1, 1, 0, b"rustc version 1.0.0\0".to_vec()),
        (10, 7, 0, [&b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0"[..], &[1, 2, 3, 4]].concat()),
        (16, 3, 0, b"\0.comment\0.note\0.shstrtab\0.text\0.symtab\0.strtab\0one\0two\0".to_vec()),
        (26, 1, 0, Vec::new()),
        (32, 2, 3, [vec![0; 24], symbol(48, 0), symbol(52, 128)].concat()),
        (26, 1, 0, (0..=255).cycle().take(900).collect()),
    ];
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    header.extend_from_slice(&[0; 16]);
    header.extend_from_slice(&64_u64.to_le_bytes());
    header.extend_from_slice(b"\0\0\0\0\x40\0\x38\0\0\0\x40\0\x07\0\x03\0");
    let mut offset = 64 + 64 * sections.len() as u64;
    let mut data = Vec::new();
    for (name, kind, link, content) in sections {
        let words = [0, 0, offset, content.len() as u64];
        header.extend(name.to_le_bytes().into_iter().chain(kind.to_le_bytes()));
        header.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        header.extend(link.to_le_bytes().into_iter().chain([0; 4]));
        header.extend([0; 16]);
        offset += content.len() as u64;
        data.extend(content);
    }
    [header, data].concat()
}

/// An `ar` archive with one member.
pub(crate) fn ar() -> Vec<u8> {
    let content = "a member of an archive\n".repeat(20);
    format!("!<arch>\n{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n{content}", "one.txt/", 0, 0, 0, 644, content.len()).into()
}

/// A zip archive with one stored member.
pub(crate) fn zip() -> Vec<u8> {
    let content = "a member of an archive\n".repeat(20);
    let size = u32::try_from(content.len()).unwrap_or_default().to_le_bytes();
    let times_and_sizes = [&[0, 0, 0x21, 0, 1, 2, 3, 4][..], &size, &size, &[3, 0, 0, 0]].concat();
    let local = [&b"PK\x03\x04\x14\0\0\0\0\0"[..], &times_and_sizes, b"one", content.as_bytes()].concat();
    let entry = [&b"PK\x01\x02\x14\x03\x14\0\0\0\0\0"[..], &times_and_sizes, &[0; 14], b"one"].concat();
    let start = u32::try_from(local.len()).unwrap_or_default().to_le_bytes();
    let length = u32::try_from(entry.len()).unwrap_or_default().to_le_bytes();
    [&local[..], &entry, b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &length, &start, &[0, 0]].concat()
}
