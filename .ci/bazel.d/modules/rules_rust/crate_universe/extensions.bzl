"""A stand-in for crate_universe: takes the attributes that MODULE.bazel uses, and offers what .ci/bazel.d/crates has written
to /crates instead of asking cargo-bazel."""

def _crates_impl(ctx):
    for child in ctx.path("/crates").readdir():
        ctx.symlink(child, child.basename)

_crates = repository_rule(implementation = _crates_impl)

def _crate_impl(module_ctx):
    for module in module_ctx.modules:
        for hub in module.tags.from_cargo:
            if str(hub.cargo_lockfile) != "@@//:Cargo.lock" or [str(m) for m in hub.manifests] != ["@@//:Cargo.toml"]:
                fail("/crates was written from //:Cargo.lock and //:Cargo.toml")
            _crates(name = hub.name)

crate = module_extension(
    implementation = _crate_impl,
    tag_classes = {
        "annotation": tag_class(attrs = {
            "crate": attr.string(mandatory = True),
            "rustc_flags": attr.string_list(),
        }),
        "from_cargo": tag_class(attrs = {
            "cargo_lockfile": attr.label(mandatory = True),
            "manifests": attr.label_list(mandatory = True),
            "name": attr.string(mandatory = True),
            "supported_platform_triples": attr.string_list(),
        }),
    },
)
