"""The image's program and the files around it."""

_SETTINGS = "@rules_rust//rust/settings:"

# As Cargo.toml's [profile.image]: optimized by `-c opt`, one unit of code generation, thin link-time optimization over all
# crates, no unwinding, no symbols. Static, and linked by the toolchain's own linker: see //bazel:musl.
_FLAGS = [
    "-Cpanic=abort",
    "-Cstrip=symbols",
    "-Ctarget-feature=+crt-static",
]

def _for_image_impl(_settings, _attr):
    return {
        "//command_line_option:compilation_mode": "opt",
        "//command_line_option:platforms": "//bazel:image_platform",
        _SETTINGS + "codegen_units": 1,
        _SETTINGS + "extra_rustc_flags": _FLAGS,
        _SETTINGS + "lto": "thin",
    }

_for_image = transition(
    implementation = _for_image_impl,
    inputs = [],
    outputs = [
        "//command_line_option:compilation_mode",
        "//command_line_option:platforms",
        _SETTINGS + "codegen_units",
        _SETTINGS + "extra_rustc_flags",
        _SETTINGS + "lto",
    ],
)

def _image_program_impl(ctx):
    # Without an incoming edge's configuration the attribute is a list of one.
    program = ctx.attr.program[0]
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = output, target_file = program[DefaultInfo].files_to_run.executable, is_executable = True)
    return [DefaultInfo(executable = output, files = depset([output]))]

image_program = rule(
    doc = "A program as it goes into the image, whatever the command line says about modes and platforms.",
    implementation = _image_program_impl,
    attrs = {
        "program": attr.label(
            cfg = _for_image,
            doc = "The rust_binary.",
            executable = True,
            mandatory = True,
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    executable = True,
)

_PARTS = [
    "base.tar.gz",
    "contract.json",
    "contract.tar.gz",
    "entrypoint.txt",
    "environment.txt",
    "labels.txt",
    "ports.txt",
    "repository.txt",
]

def _image_parts_impl(ctx):
    outputs = [ctx.actions.declare_file("{}/{}".format(ctx.label.name, part)) for part in _PARTS]
    ctx.actions.run(
        arguments = [ctx.file.contract.path, outputs[0].dirname],
        env = {},
        executable = ctx.executable._tool,
        inputs = [ctx.file.contract],
        mnemonic = "ImageParts",
        outputs = outputs,
        progress_message = "Image parts from %{input}",
    )
    return [
        DefaultInfo(files = depset(outputs)),
        OutputGroupInfo(**{part.replace(".", "_"): depset([output]) for part, output in zip(_PARTS, outputs)}),
    ]

_image_parts = rule(
    doc = "What the contract puts into the image: two layers, labels, ports; written by crates/image.",
    implementation = _image_parts_impl,
    attrs = {
        "contract": attr.label(
            allow_single_file = True,
            doc = "collaboration.toml or its canonical JSON.",
            mandatory = True,
        ),
        "_tool": attr.label(
            cfg = "exec",
            default = "//crates/image:image-parts",
            executable = True,
        ),
    },
)

def image_parts(name, contract):
    """Declares `NAME` and, for each file that it writes, a target `NAME/FILE`.

    Args:
      name: name of the target and of the directory that the files are in.
      contract: label of the contract.
    """
    _image_parts(
        name = name,
        contract = contract,
    )
    for part in _PARTS:
        native.filegroup(
            name = "{}/{}".format(name, part),
            srcs = [":" + name],
            output_group = part.replace(".", "_"),
        )
