//! What csign's command line does not say about itself: groups of commands, environment variables, files.

use csign_manual::{Facts, Page, Variable};

/// Commands that write or judge what is attached to images, beside them or elsewhere.
const ATTACHED: &[&str] = &[
    "sign",
    "attest",
    "attach",
    "collect",
    "connect",
    "preflight",
    "token verify",
    "triangulate",
    "verify",
    "verify-attestation",
];
/// The other commands that talk to registries.
const REGISTRY: &[&str] = &[
    "push", "pull", "diff", "digest", "rebuild", "tree", "lint", "explain", "download", "copy", "save", "load", "clean",
];
/// Commands that may use a key of a provider.
const KEYS: &[&str] = &["public-key", "sign", "approve", "attest", "verify", "verify-attestation"];
/// Commands that verify certificates.
const CERTIFICATES: &[&str] = &["verify", "verify-attestation"];

const FACTS: Facts = Facts {
    groups: &[
        ("Agree on a contract", &["init", "contract"]),
        ("Keys", &["generate-key-pair", "import-key-pair", "public-key"]),
        ("Build and compare", &["build", "rebuild", "diff", "digest", "sbom", "provenance"]),
        ("Ask, approve, collect", &["request", "approve", "collect"]),
        ("Sign and attest", &["sign", "attest", "generate", "attach"]),
        ("Verify", &["preflight", "verify", "verify-attestation", "tree", "policy", "token"]),
        ("Deploy", &["render", "rotate", "lint", "explain"]),
        ("Send data", &["publish", "connect"]),
        (
            "Move images and what is attached",
            &["push", "pull", "copy", "save", "load", "download", "triangulate", "clean"],
        ),
        ("csign itself", &["completions", "man"]),
    ],
    variables: &[
        Variable {
            names: "COSIGN_PASSWORD",
            meaning: "password of private key files (else `--password-file`, else a prompt); empty is a password too",
            commands: &[&["generate-key-pair", "import-key-pair", "public-key", "sign", "approve", "attest"]],
        },
        Variable {
            names: "COSIGN_REPOSITORY",
            meaning: "repository that holds what is attached to images, if not the image's own",
            commands: &[ATTACHED],
        },
        Variable {
            names: "SOURCE_DATE_EPOCH",
            meaning: "time that is written, in seconds since 1970, instead of the clock's",
            commands: &[&["sign", "attest", "attach", "approve", "collect", "rebuild", "sbom", "man"]],
        },
        Variable {
            names: "DOCKER_CONFIG",
            meaning: "directory of Docker's config.json with registry logins (default ~/.docker)",
            commands: &[ATTACHED, REGISTRY],
        },
        Variable {
            names: "GOOGLE_OAUTH_ACCESS_TOKEN",
            meaning: "access token for Google's registries, Cloud KMS and Pub/Sub, instead of application default credentials",
            commands: &[ATTACHED, REGISTRY, KEYS, &["publish"]],
        },
        Variable {
            names: "GOOGLE_APPLICATION_CREDENTIALS",
            meaning: "file with application default credentials for Google's services, which Google's library reads",
            commands: &[ATTACHED, REGISTRY, KEYS, &["publish"]],
        },
        Variable {
            names: "HTTPS_PROXY, https_proxy",
            meaning: "URL of the proxy for registries",
            commands: &[ATTACHED, REGISTRY],
        },
        Variable {
            names: "NO_PROXY, no_proxy",
            meaning: "registries that are reached without the proxy: names, separated by commas",
            commands: &[ATTACHED, REGISTRY],
        },
        Variable {
            names: "CSIGN_CA_FILE",
            meaning: "file with PEM certificates that registries may also be signed by",
            commands: &[ATTACHED, REGISTRY],
        },
        Variable {
            names: "VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT",
            meaning: "server, token (else ~/.vault-token), namespace and authorities of `hashivault://` keys",
            commands: &[KEYS, &["generate-key-pair"]],
        },
        Variable {
            names: "BAO_ADDR, BAO_TOKEN, BAO_NAMESPACE, BAO_CACERT",
            meaning: "the same for `openbao://` keys",
            commands: &[KEYS, &["generate-key-pair"]],
        },
        Variable {
            names: "TRANSIT_SECRET_ENGINE_PATH",
            meaning: "where the transit secrets engine of both is mounted (default transit)",
            commands: &[KEYS, &["generate-key-pair"]],
        },
        Variable {
            names: "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION, \
                    AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_WEB_IDENTITY_TOKEN_FILE, \
                    AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME",
            meaning: "credentials and region of `awskms://` keys, as AWS's own programs read them; so are ~/.aws/config \
                      and ~/.aws/credentials",
            commands: &[KEYS],
        },
        Variable {
            names: "AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, \
                    AWS_CONTAINER_AUTHORIZATION_TOKEN, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, \
                    AWS_EC2_METADATA_DISABLED, AWS_EC2_METADATA_SERVICE_ENDPOINT",
            meaning: "where AWS gives credentials to containers and virtual machines",
            commands: &[],
        },
        Variable {
            names: "AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL_STS, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, \
                    AWS_CA_BUNDLE",
            meaning: "other endpoints of AWS and the authorities that they are signed by",
            commands: &[],
        },
        Variable {
            names: "SIGSTORE_ROOT_FILE, SIGSTORE_REKOR_PUBLIC_KEY, SIGSTORE_CT_LOG_PUBLIC_KEY_FILE, \
                    SIGSTORE_TSA_CERTIFICATE_FILE",
            meaning: "PEM files of the services whose certificates are verified, all together; the last if there are \
                      time stamps (else `--trusted-root`, else the public services)",
            commands: &[CERTIFICATES],
        },
        Variable {
            names: "CSIGN_SIMULATOR",
            meaning: "loopback address (HOST:PORT) of the simulator; used for names under .simulator.localhost only",
            commands: &[ATTACHED, REGISTRY, KEYS, &["publish"]],
        },
        Variable {
            names: "NO_COLOR",
            meaning: "if not empty, no colours, not even on a terminal",
            commands: &[&["diff"]],
        },
    ],
    files: &[
        ("collaboration.toml", "the contract that all parties agreed on (`csign init` writes one to fill in)"),
        ("request.json", "the image and each party's payload: from the builder to the others (`csign request`)"),
        ("rebuild.json", "what a rebuild did and which digest came out (`csign rebuild`)"),
        ("approval.json", "one party's signature and statement: back to the builder (`csign approve`)"),
        (
            "deployment.toml",
            "what one party decides alone: regions, networks (`csign render settings` writes one to fill in)",
        ),
        ("~/.docker/config.json", "registry logins"),
        ("/etc/csign/contract.json", "the contract's canonical form, inside the image"),
    ],
};

/// A page for each command.
pub fn manual() -> Vec<Page> {
    csign_manual::pages(crate::command(), &FACTS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_has_one_group_and_facts_name_commands_that_exist() {
        let command = crate::command();
        let commands: BTreeSet<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let grouped: Vec<&str> = FACTS.groups.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for name in &commands {
            assert_eq!(grouped.iter().filter(|grouped| *grouped == name).count(), 1, "{name}: give it one group");
        }
        let named = FACTS.variables.iter().flat_map(|variable| variable.commands.iter().copied().flatten().copied());
        for name in grouped.iter().copied().chain(named) {
            let outer = name.split(' ').next().unwrap_or_default();
            assert!(commands.contains(outer), "there is no csign {name}");
        }
    }

    #[test]
    fn every_environment_variable_that_is_read_is_in_the_manual() {
        let sources =
            [include_str!("context.rs"), include_str!("key_environment.rs"), include_str!("sigstore_environment.rs")];
        let named: BTreeSet<&str> = FACTS.variables.iter().flat_map(|variable| variable.names.split(", ")).collect();
        let is_variable = |text: &&str| {
            text.contains('_') && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        let read: BTreeSet<&str> =
            sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2)).filter(is_variable).collect();
        assert!(read.len() > 40, "{read:?}");
        let missing: Vec<_> = read.difference(&named).collect();
        assert!(missing.is_empty(), "not in the manual: {missing:?}");
    }
}
