"""A stand-in for tar.bzl: the attributes that this repository uses, and the system's bsdtar."""

def _tar_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".tar.gz")
    lines = [ctx.expand_location(line, ctx.attr.srcs) for line in ctx.attr.mtree]
    mtree = ctx.actions.declare_file(ctx.label.name + "_mtree.txt")
    ctx.actions.write(mtree, "\n".join(["#mtree"] + lines + [""]))
    ctx.actions.run(
        arguments = ["--create", "--gzip", "--options=gzip:!timestamp", "--file", output.path, "@" + mtree.path],
        env = {"LC_ALL": "C", "TZ": "UTC"},
        executable = "/usr/bin/bsdtar",
        inputs = ctx.files.srcs + [mtree],
        mnemonic = "Tar",
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

_tar = rule(
    implementation = _tar_impl,
    attrs = {
        "compress": attr.string(mandatory = True, values = ["gzip"]),
        "mtree": attr.string_list(mandatory = True),
        "srcs": attr.label_list(allow_files = True, mandatory = True),
    },
)

def tar(name, srcs, mtree, compress, **kwargs):
    """As tar.bzl's macro of this name.

    Args:
      name: name of the target.
      srcs: files that mtree names.
      mtree: a list of lines, each complete.
      compress: gzip.
      **kwargs: what all rules take.
    """
    for line in mtree:
        for word in ["uid=", "gid=", "mode=", "time=0 ", "type="]:
            if word not in line + " ":
                fail("{}: {} is missing in {}: the archive would depend on the machine".format(name, word, line))
    _tar(name = name, srcs = srcs, mtree = mtree, compress = compress, **kwargs)
