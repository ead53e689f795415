"""A stand-in for rules_oci: the attributes that this repository uses, and a layout made by jq and coreutils."""

def _oci_image_impl(ctx):
    layout = ctx.actions.declare_directory(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add_all([ctx.file._script.path, layout.path, ctx.attr.os, ctx.attr.architecture, ctx.attr.user, ctx.attr.workdir])
    arguments.add_all([ctx.file.labels, ctx.file.env, ctx.file.entrypoint, ctx.file.exposed_ports])
    arguments.add_all(ctx.files.tars)
    ctx.actions.run(
        arguments = [arguments],
        env = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        executable = "/bin/bash",
        inputs = ctx.files.tars + [ctx.file.labels, ctx.file.env, ctx.file.entrypoint, ctx.file.exposed_ports, ctx.file._script],
        mnemonic = "OCIImage",
        outputs = [layout],
    )
    return [DefaultInfo(files = depset([layout]))]

_oci_image = rule(
    implementation = _oci_image_impl,
    attrs = {
        "architecture": attr.string(mandatory = True, values = ["amd64"]),
        "entrypoint": attr.label(allow_single_file = True, mandatory = True),
        "env": attr.label(allow_single_file = True, mandatory = True),
        "exposed_ports": attr.label(allow_single_file = True, mandatory = True),
        "labels": attr.label(allow_single_file = True, mandatory = True),
        "os": attr.string(mandatory = True, values = ["linux"]),
        "tars": attr.label_list(allow_files = [".tar", ".tar.gz", ".tgz"], mandatory = True),
        "user": attr.string(mandatory = True),
        "workdir": attr.string(mandatory = True),
        "_script": attr.label(allow_single_file = True, default = "//oci:image.sh"),
    },
)

def _digest_impl(ctx):
    output = ctx.actions.declare_file(ctx.attr.image.label.name + ".json.sha256")
    ctx.actions.run_shell(
        arguments = [ctx.file.image.path, output.path],
        command = 'jq -r ".manifests[0].digest" "$1/index.json" > "$2"',
        env = {"PATH": "/usr/bin:/bin"},
        inputs = [ctx.file.image],
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

_digest = rule(
    implementation = _digest_impl,
    attrs = {"image": attr.label(allow_single_file = True, mandatory = True)},
)

def oci_image(name, visibility = None, **kwargs):
    _oci_image(name = name, visibility = visibility, **kwargs)
    _digest(name = name + ".digest", image = name, visibility = visibility)

def _program_impl(ctx):
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.write(script, "echo 'this is a stand-in'; exit 3\n", is_executable = True)
    files = [ctx.file.image] + ([ctx.file.repository_file] if ctx.file.repository_file else [])
    return [DefaultInfo(executable = script, runfiles = ctx.runfiles(files))]

oci_push = rule(
    implementation = _program_impl,
    attrs = {
        "image": attr.label(allow_single_file = True, mandatory = True),
        "repository_file": attr.label(allow_single_file = True, mandatory = True),
    },
    executable = True,
)

_oci_load = rule(
    implementation = _program_impl,
    attrs = {
        "image": attr.label(allow_single_file = True, mandatory = True),
        "repository_file": attr.label(allow_single_file = True),
    },
    executable = True,
)

def oci_load(name, image, repo_tags, visibility = None):
    if type(repo_tags) != "list" or [tag for tag in repo_tags if ":" not in tag]:
        fail("repo_tags is a list of NAME:TAG")
    _oci_load(name = name, image = image, visibility = visibility)
