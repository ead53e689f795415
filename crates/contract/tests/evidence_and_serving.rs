//! The tables that are optional: absent they change no digest, wrong they are refused.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use csign_contract::{Certificate, Contract, ContractError, Sources, TokenKind};
use csign_envelope::PublicKey;
use p256::ecdsa::SigningKey;

/// Framing is all that the contract looks at.
fn certificate(seed: u8) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", ["MAMCAQE=", "MAMCAQI="][usize::from(seed)])
}

fn pem(seed: u8) -> String {
    PublicKey::new(*SigningKey::from_slice(&[seed; 32]).unwrap().verifying_key()).unwrap().pem()
}

fn collaborator(name: &str, number: u8, ingest: &str) -> String {
    format!(
        r#"
[[party]]
name = "{name}"
public_key = """
{}"""
[party.collaborator]
kms_key = "projects/{name}/locations/global/keyRings/r/cryptoKeys/k"
identity_provider = "//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/p/providers/x"
{ingest}
"#,
        pem(number)
    )
}

/// A simulated contract with `tables` in it; `ingest` is the last table of each collaborator.
fn parse(tables: &str, ingest: [&str; 2]) -> Result<Contract, ContractError> {
    let parties = collaborator("alice", 1, ingest[0]) + &collaborator("bob", 2, ingest[1]);
    Contract::from_toml(&format!(
        r#"
version = 1
name = "word-count"
image = {{ repository = "registry.simulator.localhost/team/app" }}
build = {{ recipe = "cargo-musl" }}
operator = {{ project_id = "op", service_account = "sa@op.iam.gserviceaccount.com" }}
platform = {{ hardware = ["GCP_INTEL_TDX"] }}
messages = {{ topic = "projects/op/topics/t", subscription = "projects/op/subscriptions/s" }}
{tables}
{parties}"#
    ))
}

const SIMULATED: &str = "[environment]\nkind = \"simulated\"\nissuer = \"http://attestation.simulator.localhost\"\nissuer_keys = [\"key\"]\n";

fn simulated(tables: &str) -> Result<Contract, ContractError> {
    parse(&format!("{SIMULATED}{tables}"), ["", ""])
}

fn refusal(result: Result<Contract, ContractError>) -> String {
    result.expect_err("it was accepted").to_string()
}

#[test]
fn the_defaults_written_out_are_the_same_contract_as_when_they_are_absent() {
    let plain = simulated("").unwrap();
    let stated = simulated("[signatures]\nthreshold = \"all\"\nsources = \"any\"\n[attestation]\ntoken = \"oidc\"\n");
    assert_eq!(stated.unwrap().digest(), plain.digest());
    let text = String::from_utf8(plain.canonical()).unwrap();
    for table in ["sources", "attestation", "policy", "health", "ingest", "issuer_roots"] {
        assert!(!text.contains(&format!("\"{table}\"")), "{table} stands in {text}");
    }
}

#[test]
fn every_optional_table_changes_the_digest_and_survives_the_canonical_form() {
    let root = "b".repeat(64);
    let server = |name: &str, seed| {
        format!(
            "[party.collaborator.ingest]\nserver_name = \"{name}\"\nclient_ca = \"\"\"\n{}\"\"\"\n",
            certificate(seed)
        )
    };
    let contracts = [
        simulated("").unwrap(),
        simulated("[signatures]\nsources = \"both\"\n").unwrap(),
        simulated("[health]\nport = 8080\n").unwrap(),
        simulated("[[policy]]\nname = \"p\"\npredicate_type = \"slsaprovenance1\"\nrego = \"package signature\"\n")
            .unwrap(),
        simulated("[[policy]]\nname = \"p\"\npredicate_type = \"slsaprovenance1\"\nrego = \"package signature \"\n")
            .unwrap(),
        parse(&format!("{SIMULATED}issuer_roots = [\"{root}\"]\n[attestation]\ntoken = \"both\"\n"), ["", ""]).unwrap(),
        parse(&format!("{SIMULATED}[ingest]\nport = 8443\n"), [&server("alice.ingest", 0), &server("bob.ingest", 1)])
            .unwrap(),
    ];
    for (index, contract) in contracts.iter().enumerate() {
        assert_eq!(&Contract::from_canonical(&contract.canonical()).unwrap(), contract);
        for other in &contracts[..index] {
            assert_ne!(contract.digest(), other.digest());
        }
    }
    assert_eq!(contracts[1].signatures.sources, Sources::Both);
    assert_eq!(contracts[5].attestation.token, TokenKind::Both);
    assert_eq!(contracts[6].ports(), [8443]);
}

#[test]
fn unknown_words_and_members_are_refused() {
    for tables in [
        "[signatures]\nsources = \"all\"\n",
        "[attestation]\ntoken = \"none\"\n",
        "[attestation]\ntokens = \"pki\"\n",
        "[health]\nport = 8080\nhost = \"0.0.0.0\"\n",
        "[health]\nport = 80800\n",
        "[health]\n",
    ] {
        assert!(simulated(tables).is_err(), "{tables}");
    }
}

#[test]
fn ports_are_stated_and_differ() {
    assert!(simulated("[health]\nport = 0\n").unwrap().ports().is_empty(), "the system's choice is not exposed");
    let google = "[environment]\nkind = \"google\"\n[health]\nport = 0\n";
    let google = parse(google, ["", ""]).map(|_| ()).expect_err("accepted").to_string();
    assert!(google.contains("simulat"), "{google}");
    let ingest =
        format!("[party.collaborator.ingest]\nserver_name = \"a.b\"\nclient_ca = \"\"\"\n{}\"\"\"\n", certificate(0));
    let same = parse(&format!("{SIMULATED}[health]\nport = 8443\n[ingest]\nport = 8443\n"), [&ingest, ""]);
    assert!(refusal(same).contains("health port"));
}

#[test]
fn a_pki_contract_pins_roots() {
    assert!(refusal(simulated("[attestation]\ntoken = \"pki\"\n")).contains("issuer_roots"));
    for bad in ["AB", &"B".repeat(64), &"b".repeat(63)] {
        assert!(refusal(parse(&format!("{SIMULATED}issuer_roots = [\"{bad}\"]\n"), ["", ""])).contains("issuer_roots"));
    }
}

#[test]
fn signatures_that_confidential_space_cannot_read_are_not_asked_of_the_token() {
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    let contract = |sources: &str, threshold: &str| {
        let text = format!("{SIMULATED}[signatures]\nsources = \"{sources}\"\nthreshold = {threshold}\n");
        let third = format!("[[party]]\nname = \"carol\"\npublic_key = \"\"\"\n{ed25519}\"\"\"\n");
        parse(&(text + &third), ["", ""])
    };
    assert!(contract("any", "\"all\"").is_ok());
    assert!(contract("both", "2").is_ok());
    for sources in ["token", "both"] {
        assert!(refusal(contract(sources, "\"all\"")).contains("signatures.sources"));
    }
}

#[test]
fn policies_have_a_name_a_type_and_a_text() {
    let policy = |name: &str, kind: &str, rego: &str| {
        format!("[[policy]]\nname = \"{name}\"\npredicate_type = \"{kind}\"\nrego = \"{rego}\"\n")
    };
    for (tables, problem) in [
        (policy("P", "custom", "x"), "name"),
        (policy("p", "unheard", "x"), "predicate_type"),
        (policy("p", "custom", " "), "rego"),
        (policy("p", "custom", "x") + "threshold = 3\n", "threshold"),
        (policy("p", "custom", "x").repeat(2), "twice"),
        (policy("p", "custom", "x") + "rego_version = \"v2\"\n", "v2"),
    ] {
        let refusal = refusal(simulated(&tables));
        assert!(refusal.contains(problem), "{tables}: {refusal}");
    }
}

#[test]
fn a_client_authority_belongs_to_one_collaborator_and_one_name() {
    let table = |name: &str, seed| {
        format!(
            "[party.collaborator.ingest]\nserver_name = \"{name}\"\nclient_ca = \"\"\"\n{}\"\"\"\n",
            certificate(seed)
        )
    };
    let with = |ingest: [&str; 2]| parse(&format!("{SIMULATED}[ingest]\nport = 8443\n"), ingest);
    assert!(with([&table("a.ingest", 0), &table("b.ingest", 1)]).is_ok());
    assert!(refusal(with([&table("a.ingest", 0), &table("a.ingest", 1)])).contains("server_name"));
    assert!(refusal(with([&table("a.ingest", 0), &table("b.ingest", 0)])).contains("client_ca"));
    for bad in ["A.ingest", "127.0.0.1", "a..b", "-a.b", "a_b", ""] {
        assert!(refusal(with([&table(bad, 0), ""])).contains("server_name"), "{bad}");
    }
    assert!(refusal(with(["", ""])).contains("nobody"));
    assert!(refusal(parse(SIMULATED, [&table("a.ingest", 0), ""])).contains("[ingest]"));
}

#[test]
fn a_certificate_is_one_block_and_has_one_spelling() {
    let tidy = Certificate::from_pem(&certificate(0)).unwrap();
    let untidy =
        Certificate::from_pem("\n-----BEGIN CERTIFICATE-----\r\nMAMC\r\nAQE=\r\n-----END CERTIFICATE-----").unwrap();
    assert_eq!(tidy, untidy);
    assert_eq!(tidy.pem(), untidy.pem());
    for bad in [
        "",
        "MAMCAQE=",
        &certificate(0).repeat(2),
        &certificate(0).replace("CERTIFICATE", "PRIVATE KEY"),
        &certificate(0).replace("MAMCAQE=", "!"),
        &certificate(0).replace("MAMCAQE=", "MAQCAQE="),
        &certificate(0).replace("MAMCAQE=", "BAMCAQE="),
        &certificate(0).replace("MAMCAQE=", ""),
    ] {
        assert!(Certificate::from_pem(bad).is_err(), "{bad}");
    }
}
