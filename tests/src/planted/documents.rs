//! Configuration, manifest, contract, and files of text.

use serde_json::json;

use super::{Plant, Workshop, image::Image, workshop::EPOCH};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "created",
        cause: "timestamp",
        evidence: &["/created", "2023-11-14T22:13:20Z", "2024-"],
        programs: &["date"],
        make: created,
    },
    Plant {
        name: "label",
        cause: "configuration",
        evidence: &["org.opencontainers.image.source", "mirror.example"],
        programs: &[],
        make: label,
    },
    Plant {
        name: "entry-point",
        cause: "configuration",
        evidence: &["Entrypoint", "/bin/sh"],
        programs: &[],
        make: entry_point,
    },
    Plant {
        name: "environment",
        cause: "configuration",
        evidence: &["LD_PRELOAD", "/tmp/evil.so"],
        programs: &[],
        make: environment,
    },
    Plant {
        name: "manifest-rewritten",
        cause: "serialization",
        evidence: &["manifest"],
        programs: &[],
        make: rewritten,
    },
    Plant {
        name: "contract",
        cause: "contract",
        evidence: &["parties", "collaborator-1", "key"],
        programs: &[],
        make: contract,
    },
    Plant {
        name: "lock-file",
        cause: "dependency-version",
        evidence: &["tiny 1.2.3", "tiny 1.2.4"],
        programs: &[],
        make: lock_file,
    },
    Plant { name: "locale-messages", cause: "locale", evidence: &["‘", "'"], programs: &["cc"], make: messages },
    Plant {
        name: "locale-numbers",
        cause: "locale",
        evidence: &["14,2", "14.2"],
        programs: &["localedef", "/usr/share/i18n/locales/de_DE"],
        make: numbers,
    },
    Plant {
        name: "build-path-in-text",
        cause: "embedded-path",
        evidence: &["/home/alice/src", "/home/bob/src"],
        programs: &[],
        make: path,
    },
    Plant { name: "temporary-name", cause: "randomness", evidence: &["tmp."], programs: &["mktemp"], make: temporary },
];

fn created(workshop: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        // A build that takes the time from the clock; some day in another year.
        let seconds = EPOCH.parse::<u64>().expect("a number") + 90 * 86400;
        image.config["created"] = workshop.shell(&format!("date -u -d @{seconds} +%Y-%m-%dT%H:%M:%SZ")).trim().into();
    }
    image
}

fn label(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        image.config["config"]["Labels"]["org.opencontainers.image.source"] =
            "https://mirror.example/word-count".into();
    }
    image
}

fn entry_point(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        image.config["config"]["Entrypoint"] = json!(["/bin/sh", "-c", "/workload"]);
    }
    image
}

fn environment(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        image.config["config"]["Env"] = json!(["PATH=/usr/bin:/bin", "LD_PRELOAD=/tmp/evil.so"]);
    }
    image
}

fn rewritten(_: &Workshop, planted: bool) -> Image {
    Image { pretty_manifest: planted, ..Image::new() }
}

fn contract(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    let key = if planted { "cryptoKeyVersions/2" } else { "cryptoKeyVersions/1" };
    let contract = json!({
        "name": "word-count",
        "parties": [
            {"name": "builder", "key": "builder-key", "role": "builder"},
            {"name": "collaborator-1", "key": key, "role": "collaborator"},
        ],
        "version": 1,
    });
    image.config["config"]["Labels"]["dev.csign.contract.digest"] =
        if planted { "sha256:2222" } else { "sha256:1111" }.into();
    image.add("etc/csign/contract.json", contract.to_string());
    image
}

fn lock_file(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    let version = if planted { "1.2.4" } else { "1.2.3" };
    let package = |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n");
    image.add(
        "usr/share/doc/Cargo.lock",
        [package("serde", "1.0.0"), package("tiny", version), package("zlib", "0.1.0")].concat(),
    );
    image
}

/// A compiler's warnings, kept in the image.
fn messages(workshop: &Workshop, planted: bool) -> Image {
    workshop.put("old.c", "int main(void) { int unused; return 0; }\n");
    let locale = if planted { "C.UTF-8" } else { "C" };
    let log = workshop.shell_with("cc -Wall -c old.c -o old.o 2>&1", &[("LC_ALL", locale)]);
    let mut image = Image::new();
    image.add("usr/share/doc/build.log", log);
    image
}

/// What `printf` writes where the decimal mark is a comma.
fn numbers(workshop: &Workshop, planted: bool) -> Image {
    let locale = if planted { "de_DE.UTF-8" } else { "C" };
    workshop.shell("mkdir locales; localedef -i de_DE -f UTF-8 locales/de_DE.UTF-8");
    let locales = workshop.path("locales");
    let variables = [("LC_ALL", locale), ("LOCPATH", locales.to_str().expect("a plain path"))];
    let text = workshop.shell_with("env printf 'coverage: %.1f percent\\n' 14.2", &variables);
    let mut image = Image::new();
    image.add("usr/share/doc/coverage", text);
    image
}

fn path(workshop: &Workshop, planted: bool) -> Image {
    let user = if planted { "bob" } else { "alice" };
    let text = workshop.shell_with(
        "printf 'prefix=%s/src/word-count\\nlibdir=${prefix}/lib\\n' \"$HOME\"",
        &[("HOME", &format!("/home/{user}"))],
    );
    let mut image = Image::new();
    image.add("usr/lib/pkgconfig/words.pc", text);
    image
}

fn temporary(workshop: &Workshop, planted: bool) -> Image {
    let name =
        if planted { workshop.shell("basename $(mktemp -u -t tmp.XXXXXXXXXX)") } else { "tmp.aaaaaaaaaa\n".to_owned() };
    let mut image = Image::new();
    image.add("etc/state", format!("state = {name}"));
    image
}
