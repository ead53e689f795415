//! `[state]`: which stores a contract may name.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use csign_contract::{Contract, DatabaseUrl, State, lint::lint};
use csign_envelope::PublicKey;
use p256::ecdsa::SigningKey;

const KEY: &str = r#"
[state.key]
kms_key = "projects/keeper/locations/global/keyRings/r/cryptoKeys/state"
identity_provider = "//iam.googleapis.com/projects/9/locations/global/workloadIdentityPools/p/providers/x"
"#;
const POSTGRES: &str = "[state]\nkind = \"postgres\"\nurl = \"postgresql://csign@db.example:5432/counts\"\n";
const PASSWORD: &str = "password_secret = \"projects/op/secrets/db/versions/1\"\n";
const CA: &str = "ca = \"\"\"\n-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n\"\"\"\n";
const GOOGLE: &str = "[environment]\nkind = \"google\"\n";
const SIMULATED: &str =
    "[environment]\nkind = \"simulated\"\nissuer = \"http://attestation.simulator.localhost\"\nissuer_keys = [\"x\"]\n";

fn contract(environment: &str, state: &str) -> Result<Contract, String> {
    let pem = PublicKey::new(*SigningKey::from_slice(&[1; 32]).unwrap().verifying_key()).unwrap().pem();
    let host = if environment == GOOGLE { "r.example" } else { "registry.simulator.localhost" };
    let text = format!(
        "version = 1\nname = \"n\"\n[image]\nrepository = \"{host}/team/app\"\n[build]\nrecipe = \"cargo-musl\"\n\
         {environment}[operator]\nproject_id = \"op\"\nservice_account = \"sa@op.iam.gserviceaccount.com\"\n\
         [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
         [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n\
         {state}[[party]]\nname = \"builder\"\npublic_key = \"\"\"\n{pem}\"\"\"\n"
    );
    Contract::from_toml(&text).map_err(|error| error.to_string())
}

#[test]
fn a_contract_that_names_no_store_keeps_its_digest() {
    let plain = contract(GOOGLE, "").unwrap();
    assert_eq!(plain.state, State::Embedded { key: None });
    assert_eq!(plain.digest(), contract(GOOGLE, "[state]\nkind = \"embedded\"\n").unwrap().digest());
    assert!(!String::from_utf8(plain.canonical()).unwrap().contains("state"));
    let with_key = contract(GOOGLE, &format!("[state]\nkind = \"embedded\"\n{KEY}")).unwrap();
    assert_ne!(plain.digest(), with_key.digest());
    assert_eq!(Contract::from_canonical(&with_key.canonical()).unwrap(), with_key);
}

#[test]
fn a_real_database_needs_a_key_an_authority_and_a_password() {
    let whole = contract(GOOGLE, &[POSTGRES, PASSWORD, CA, KEY].concat()).unwrap();
    assert_eq!(Contract::from_canonical(&whole.canonical()).unwrap(), whole);
    assert!(lint(&whole).iter().all(|warning| warning.rule != "state-key"));
    for (state, missing) in [
        ([POSTGRES, PASSWORD, CA].concat(), "state.key"),
        ([POSTGRES, PASSWORD, KEY].concat(), "state.ca"),
        ([POSTGRES, CA, KEY].concat(), "state.password_secret"),
    ] {
        let error = contract(GOOGLE, &state).unwrap_err();
        assert!(error.starts_with(&format!("{missing}: is missing")), "{error}");
    }
    let own = KEY.replace("projects/keeper/", "projects/op/");
    let warned = lint(&contract(GOOGLE, &[POSTGRES, PASSWORD, CA, &own].concat()).unwrap());
    assert!(warned.iter().any(|warning| warning.rule == "state-key"), "{warned:?}");
}

#[test]
fn a_simulated_contract_reaches_no_database_beyond_the_machine() {
    let error = contract(SIMULATED, POSTGRES).unwrap_err();
    assert!(error.contains("loopback"), "{error}");
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let state = POSTGRES.replace("db.example", host);
        let warned = lint(&contract(SIMULATED, &state).expect(host));
        assert!(warned.iter().any(|warning| warning.rule == "state-key"), "{warned:?}");
    }
    for host in ["127.0.0.1.example", "localhost.example", "10.0.0.1", "[2001:db8::1]"] {
        assert!(contract(SIMULATED, &POSTGRES.replace("db.example", host)).is_err(), "{host}");
    }
}

#[test]
fn a_database_url_holds_no_password_and_no_options() {
    let url = DatabaseUrl::parse("postgres://u@h/d").unwrap();
    assert_eq!(url.to_string(), "postgresql://u@h:5432/d");
    assert_eq!(DatabaseUrl::parse("postgresql://u@[::1]:1/d").unwrap().to_string(), "postgresql://u@[::1]:1/d");
    for bad in [
        "",
        "postgresql://h/d",
        "postgresql://u:p@h/d",
        "postgresql://u@h",
        "postgresql://u@h/",
        "postgresql://u@/d",
        "postgresql://u@h:0/d",
        "postgresql://u@h:65536/d",
        "postgresql://u@h:+1/d",
        "postgresql://u@h/d?sslmode=disable",
        "postgresql://u@h/d/e",
        "postgresql://u@h,i/d",
        "postgresql://u@h@i/d",
        "postgresql://u@%2fvar%2frun/d",
        "postgresql://u@[::1/d",
        "postgresql://u@[h]/d",
        "mysql://u@h/d",
    ] {
        assert!(DatabaseUrl::parse(bad).is_err(), "{bad}");
    }
}
