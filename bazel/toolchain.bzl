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

# Bazel up to 8 has CcInfo by itself; with 9 it comes from rules_cc.
# buildifier: disable=native-cc-info
def _no_symbols_impl(_ctx):
    return [CcInfo()]

# buildifier: disable=native-cc-info
no_symbols = rule(
    doc = "What rules_rust takes for a library of allocator symbols, without anything that must be compiled.",
    implementation = _no_symbols_impl,
    provides = [CcInfo],
)
