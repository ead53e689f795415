"""The Rust toolchain's linker in the clothes of a C toolchain."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl", "action_config", "feature", "tool")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")

def _lld_toolchain_config_impl(ctx):
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "musl",
        abi_version = "musl",
        action_configs = [
            action_config(action_name = action, enabled = True, tools = [tool(path = ctx.attr.linker)])
            for action in [
                ACTION_NAMES.c_compile,
                ACTION_NAMES.cpp_compile,
                ACTION_NAMES.cpp_link_dynamic_library,
                ACTION_NAMES.cpp_link_executable,
                ACTION_NAMES.cpp_link_nodeps_dynamic_library,
                ACTION_NAMES.cpp_link_static_library,
            ]
        ],
        compiler = "none",
        features = [feature(name = "no_legacy_features")],
        host_system_name = "local",
        target_cpu = "k8",
        target_libc = "musl",
        target_system_name = "local",
        toolchain_identifier = "lld",
    )

lld_toolchain_config = rule(
    implementation = _lld_toolchain_config_impl,
    attrs = {"linker": attr.string(mandatory = True)},
    provides = [CcToolchainConfigInfo],
)
