"""Keeps this machine's C toolchain out of the image."""

def _no_c_toolchain_impl(_ctx):
    # What rules ask for an optional C toolchain: found, and none.
    return [platform_common.ToolchainInfo(cc = None, cc_provider_in_toolchain = True)]

no_c_toolchain = rule(
    doc = """A C toolchain that is none: rules that could do without get nothing, others fail.

    Without it Bazel offers the C compiler of this machine for every platform with its processor and system, and rules_rust
    would link with it.""",
    implementation = _no_c_toolchain_impl,
)
