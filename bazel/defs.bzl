"""What a package of the cargo workspace becomes in Bazel.

A BUILD file names the package, the crates of this repository that it uses and what is unusual about it; sources and
tests are found by cargo's rules, dependencies on other crates come from `Cargo.lock` through the hub `@crates`.
"""

load("@crates//:defs.bzl", "aliases", "all_crate_deps")
load("@rules_rust//rust:defs.bzl", "rust_binary", "rust_library", "rust_test")

# As in Cargo.toml's [workspace.package]; `cargo test -p csign-tests --test bazel` compares them.
EDITION = "2024"
VERSION = "0.1.0"

def cargo_package(
        name,
        deps = [],
        dev_deps = [],
        features = [],
        image_features = None,
        image_crates = None,
        library = None,
        binaries = {},
        integration_tests = ["tests/*.rs", "tests/*/main.rs"],
        integration_sources = ["tests/**/*.rs"],
        fixtures = [],
        programs = {},
        unfit = {}):
    """Declares the targets of one package.

    - its library, named like the directory unless `library` says otherwise;
    - its programs;
    - `unit_tests`, and `NAME_test` for every integration test: a new file in tests/ is found without a change here;
    - `files`, everything in the directory, for tests that read it.

    Args:
      name: the package's name in Cargo.toml.
      deps: crates of this repository in `[dependencies]`.
      dev_deps: crates of this repository in `[dev-dependencies]` alone.
      features: all features of Cargo.toml, enabled everywhere but in the image.
      image_features: the features enabled in the image, if others than `features`.
      image_crates: names of the foreign crates that the image's build uses, if some of `[dependencies]` are optional.
      library: name of the library's target.
      binaries: names of programs and their crate roots.
      integration_tests: patterns of integration tests' crate roots.
      integration_sources: patterns of all that belongs to them.
      fixtures: labels of files outside the package that sources or tests read.
      programs: names and labels of programs that integration tests start as `CARGO_BIN_EXE_NAME`.
      unfit: integration tests that run only under cargo, each with the reason.
    """
    library = library or native.package_name().rsplit("/", 1)[-1]
    has_library = bool(native.glob(["src/lib.rs"], allow_empty = True))
    crate_features = features
    crates = all_crate_deps(normal = True)
    if image_features != None:
        crate_features = select({
            "//bazel:image": image_features,
            "//conditions:default": features,
        })
    if image_crates != None:
        crates = select({
            "//bazel:image": ["@crates//:" + crate for crate in image_crates],
            "//conditions:default": crates,
        })
    native.filegroup(
        name = "files",
        srcs = native.glob(["**"]),
        visibility = ["//visibility:public"],
    )
    common = {
        "aliases": aliases(),
        "compile_data": native.glob(
            ["src/**", "*.toml"],
            allow_empty = True,
            exclude = ["**/*.rs", "Cargo.toml"],
        ),
        "crate_features": crate_features,
        "edition": EDITION,
        "proc_macro_deps": all_crate_deps(proc_macro = True),
        "version": VERSION,
        "visibility": ["//visibility:public"],
    }
    own = [":" + library] if has_library else []
    if has_library:
        rust_library(
            name = library,
            srcs = native.glob(["src/**/*.rs"], exclude = ["src/main.rs"]),
            crate_name = name.replace("-", "_"),
            deps = crates + deps,
            **common
        )
    for program, root in binaries.items():
        directory = root.rsplit("/", 1)[0]
        rust_binary(
            name = program,
            srcs = native.glob([directory + "/**/*.rs"]),
            crate_name = program.replace("-", "_"),
            crate_root = root,
            deps = crates + deps + own,
            **common
        )

    # Tests see the development dependencies. Paths below CARGO_MANIFEST_DIR lead to the same files as under cargo,
    # since a test starts at the root of a copy of what it may read.
    rustc_env = {
        "CARGO_MANIFEST_DIR": native.package_name(),
        "CARGO_TARGET_TMPDIR": "/tmp",
    }
    for program, label in programs.items():
        rustc_env["CARGO_BIN_EXE_" + program] = "$(rootpath {})".format(label)
    test = dict(
        common,
        compile_data = [":files"] + fixtures,
        crate_features = features,
        data = [":files"] + fixtures + programs.values(),
        # A test sees nothing of this machine: no peers, no home.
        env = {
            "CSIGN_PEERS": "/nonexistent",
            "HOME": "/nonexistent",
        },
        proc_macro_deps = all_crate_deps(proc_macro = True, proc_macro_dev = True),
        rustc_env = rustc_env,
        size = "large",
    )
    dev_deps = [label for label in dev_deps if label not in deps]
    rust_test(
        name = "unit_tests",
        crate = library if has_library else binaries.keys()[0],
        deps = all_crate_deps(normal_dev = True) + dev_deps,
        **test
    )
    for root in native.glob(integration_tests, allow_empty = True):
        stem = root.removesuffix(".rs").removesuffix("/main").rsplit("/", 1)[-1]
        rust_test(
            name = stem + "_test",
            srcs = native.glob(integration_sources),
            crate_name = stem,
            crate_root = root,
            tags = ["unfit"] if stem in unfit else [],
            deps = all_crate_deps(normal = True, normal_dev = True) + deps + dev_deps + own,
            **test
        )
