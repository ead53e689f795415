"""A stand-in for rules_rust's toolchain extension: takes the attributes that MODULE.bazel uses, and offers the Rust
toolchain in /toolchain instead of downloading one."""

_COMPILER = """
load("@rules_rust//rust:toolchain.bzl", "rust_stdlib_filegroup", "rust_toolchain")
load("@rules_rust//rust:standin.bzl", "lld_toolchain_config")

package(default_visibility = ["//visibility:public"])

filegroup(name = "rustc", srcs = ["bin/rustc"])
filegroup(name = "rustdoc", srcs = ["bin/rustdoc"])
filegroup(
    name = "rustc_lib",
    srcs = glob([
        "lib/*.so*",
        "lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld",
        "lib/rustlib/x86_64-unknown-linux-gnu/lib/*.so*",
    ]),
)
filegroup(name = "none")

# rules_rust of this age links with a C toolchain only. This one is the Rust toolchain's linker, without any flag.
lld_toolchain_config(name = "lld_config", linker = "{linker}")
cc_toolchain(
    name = "lld_cc",
    all_files = ":none",
    compiler_files = ":none",
    dwp_files = ":none",
    linker_files = ":none",
    objcopy_files = ":none",
    strip_files = ":none",
    supports_param_files = 0,
    toolchain_config = ":lld_config",
)
toolchain(
    name = "lld",
    target_compatible_with = {musl_constraints},
    toolchain = ":lld_cc",
    toolchain_type = "@bazel_tools//tools/cpp:toolchain_type",
)
"""

_TOOLCHAIN = """
rust_stdlib_filegroup(
    name = "std-{triple}",
    srcs = glob(["lib/rustlib/{triple}/lib/**"]),
)
rust_toolchain(
    name = "rust-{triple}",
    {allocators}
    binary_ext = "",
    default_edition = "{edition}",
    dylib_ext = ".so",
    exec_triple = "x86_64-unknown-linux-gnu",
    extra_rustc_flags = {flags},
    extra_rustc_flags_for_crate_types = {crate_type_flags},
    rust_doc = ":rustdoc",
    rust_std = ":std-{triple}",
    rustc = ":rustc",
    rustc_lib = ":rustc_lib",
    staticlib_ext = ".a",
    stdlib_linkflags = [],
    target_triple = "{triple}",
)
toolchain(
    name = "toolchain-{triple}",
    exec_compatible_with = ["@platforms//cpu:x86_64", "@platforms//os:linux"],
    target_compatible_with = {constraints},
    target_settings = {settings},
    toolchain = ":rust-{triple}",
    toolchain_type = "@rules_rust//rust:toolchain",
)
"""

_GNU, _MUSL = "x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"

# What the settings `lto` and `codegen_units` of newer rules_rust make of the compiler's arguments.
_MUSL_FLAGS = ["-Ccodegen-units=1"]

def _rust_toolchains_impl(ctx):
    root = ctx.path("/toolchain")
    for name in ["bin", "lib"]:
        ctx.symlink(root.get_child(name), name)
    triples = "".join([_TOOLCHAIN.format(
        triple = triple,
        edition = ctx.attr.edition,
        allocators = "allocator_library = {a}, global_allocator_library = {a},".format(a = repr(ctx.attr.allocators)) if triple == _MUSL else "",
        constraints = repr(constraints),
        settings = repr(settings),
        flags = repr(flags),
        crate_type_flags = repr({"bin": ["-Clto=thin"]} if triple == _MUSL else {}),
    ) for triple, constraints, settings, flags in [
        (_GNU, ["@platforms//cpu:x86_64", "@platforms//os:linux"], ctx.attr.gnu_settings, []),
        (_MUSL, ctx.attr.musl_constraints, ctx.attr.musl_settings, _MUSL_FLAGS),
    ]])
    ctx.file("BUILD.bazel", _COMPILER.format(
        linker = "/toolchain/lib/rustlib/{}/bin/rust-lld".format(_GNU),
        musl_constraints = repr(ctx.attr.musl_constraints),
    ) + triples)

_rust_toolchains = repository_rule(
    implementation = _rust_toolchains_impl,
    attrs = {
        "allocators": attr.string(),
        "edition": attr.string(),
        "gnu_settings": attr.string_list(),
        "musl_constraints": attr.string_list(),
        "musl_settings": attr.string_list(),
    },
)

def _rust_impl(module_ctx):
    for module in module_ctx.modules:
        if not module.is_root:
            continue
        toolchain, musl = module.tags.toolchain[0], module.tags.repository_set[0]
        if len(module.tags.toolchain) != 1 or len(module.tags.repository_set) != 1:
            fail("the check knows one toolchain for this machine and one for the image")
        if musl.target_triple != _MUSL or musl.exec_triple != _GNU:
            fail("the image's toolchain is for {} on {}".format(musl.target_triple, musl.exec_triple))
        if toolchain.versions != musl.versions or toolchain.versions != [_version(module_ctx)]:
            fail("MODULE.bazel asks for Rust {} and {}, here is {}".format(toolchain.versions, musl.versions, _version(module_ctx)))
        _rust_toolchains(
            name = "rust_toolchains",
            allocators = str(musl.allocator_library),
            edition = toolchain.edition,
            gnu_settings = [str(label) for label in toolchain.target_settings],
            musl_constraints = [str(label) for label in musl.target_compatible_with],
            musl_settings = [str(label) for label in musl.target_settings],
        )

def _version(module_ctx):
    return module_ctx.read(module_ctx.path("/toolchain/version"), watch = "no").strip()

_COMMON = {
    "edition": attr.string(),
    "versions": attr.string_list(),
    "target_settings": attr.label_list(),
}

rust = module_extension(
    implementation = _rust_impl,
    tag_classes = {
        "repository_set": tag_class(attrs = _COMMON | {
            "allocator_library": attr.label(),
            "exec_compatible_with": attr.label_list(),
            "exec_triple": attr.string(mandatory = True),
            "global_allocator_library": attr.label(),
            "name": attr.string(mandatory = True),
            "target_compatible_with": attr.label_list(),
            "target_triple": attr.string(mandatory = True),
        }),
        "toolchain": tag_class(attrs = _COMMON | {
            "extra_target_triples": attr.string_list(),
        }),
    },
)

def _directory_impl(ctx):
    for child in ctx.path(ctx.attr.path).readdir():
        if child.basename not in ("BUILD", "BUILD.bazel", "MODULE.bazel", "WORKSPACE"):
            ctx.symlink(child, child.basename)
    ctx.symlink(ctx.path(ctx.attr.build_file), "BUILD.bazel")

_directory = repository_rule(
    implementation = _directory_impl,
    attrs = {
        "build_file": attr.label(mandatory = True),
        "path": attr.string(mandatory = True),
    },
)

def _internal_impl(_module_ctx):
    _directory(
        name = "rules_rust_tinyjson",
        build_file = "//util/process_wrapper:BUILD.tinyjson.bazel",
        path = "/usr/share/cargo/registry/tinyjson-2.5.1",
    )

internal = module_extension(implementation = _internal_impl)
