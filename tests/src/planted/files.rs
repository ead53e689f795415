//! What a layer says about files, and the archive around them.

use std::fs;

use super::{
    Plant, Workshop,
    image::{Image, gzip},
    workshop::EPOCH,
};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "file-time",
        cause: "timestamp",
        evidence: &["/etc/message", "mtime", "1700000000"],
        programs: &["tar", "touch"],
        make: file_time,
    },
    Plant {
        name: "umask",
        cause: "permissions",
        evidence: &["0644", "0600", "umask"],
        programs: &["tar"],
        make: umask,
    },
    Plant { name: "owner", cause: "user-or-host", evidence: &["uid", "1000"], programs: &["tar"], make: owner },
    Plant {
        name: "reordered-layer",
        cause: "order",
        evidence: &["layers[0]", "/etc/message"],
        programs: &["tar"],
        make: reordered,
    },
    Plant { name: "file-added", cause: "file-set", evidence: &["/root/.cache/index"], programs: &[], make: added },
    Plant {
        name: "file-removed",
        cause: "file-set",
        evidence: &["/usr/share/doc/licence"],
        programs: &[],
        make: removed,
    },
    Plant {
        name: "recompressed-level",
        cause: "compression",
        evidence: &["layers[0]"],
        programs: &["gzip"],
        make: other_level,
    },
    Plant {
        name: "recompressed-tool",
        cause: "compression",
        evidence: &["gzip", "zstd"],
        programs: &["zstd"],
        make: other_tool,
    },
    Plant {
        name: "gzip-time",
        cause: "timestamp",
        evidence: &["gzip.mtime", "1700000000"],
        programs: &["gzip", "touch"],
        make: gzip_time,
    },
];

/// The files on disk, in a tar archive as the flags say.
fn archive(workshop: &Workshop, before: &str, flags: &str, names: &str) -> Image {
    let mut image = Image::new();
    for file in &image.files {
        workshop.put(&format!("root/{}", file.path), &file.content);
    }
    workshop.shell(before);
    workshop.shell(&format!("cd root && tar --format=ustar {flags} -cf ../layer.tar {names}"));
    image.archive = Some(workshop.read("layer.tar"));
    image
}

const NAMES: &str = "etc/message usr/share/doc/licence";
const FIXED: &str = "--mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a=r,u+w";

fn file_time(workshop: &Workshop, planted: bool) -> Image {
    let touch = format!(
        "touch -d @0 root/etc/message root/usr/share/doc/licence; {}",
        if planted { "touch -d @1700000000 root/etc/message" } else { "" }
    );
    archive(workshop, &touch, "--owner=0 --group=0 --numeric-owner --mode=a=r,u+w", NAMES)
}

fn umask(workshop: &Workshop, planted: bool) -> Image {
    let copy = format!(
        "umask {}; for file in etc/message usr/share/doc/licence; do cp root/$file copy; chmod --reference=copy root/$file; \
         cat root/$file >new; mv new root/$file; done",
        if planted { "077" } else { "022" }
    );
    archive(workshop, &copy, "--mtime=@0 --owner=0 --group=0 --numeric-owner", NAMES)
}

fn owner(workshop: &Workshop, planted: bool) -> Image {
    let flags = if planted { FIXED.replace("=0 ", "=1000 ") } else { FIXED.to_owned() };
    archive(workshop, "", &flags.replace("--mtime=@1000", "--mtime=@0"), NAMES)
}

fn reordered(workshop: &Workshop, planted: bool) -> Image {
    archive(workshop, "", FIXED, if planted { "usr/share/doc/licence etc/message" } else { NAMES })
}

fn added(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        image.add("root/.cache/index", "left behind\n");
    }
    image
}

fn removed(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        image.files.retain(|file| !file.path.ends_with("licence"));
    }
    image
}

fn other_level(workshop: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    workshop.put("layer.tar", image.tar());
    workshop.shell(&format!("gzip -n {} <layer.tar >layer.gz", if planted { "-9" } else { "-6" }));
    image.compressed = Some((workshop.read("layer.gz"), "gzip"));
    image
}

fn other_tool(workshop: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        workshop.put("layer.tar", image.tar());
        workshop.shell("zstd -q -3 layer.tar -o layer.zst");
        image.compressed = Some((workshop.read("layer.zst"), "zstd"));
    }
    image
}

/// Without its name, and with the time of its file.
fn gzip_time(workshop: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    let tar = workshop.put("layer.tar", image.tar());
    workshop.shell(&format!("touch -d @{EPOCH} layer.tar"));
    let time = fs::metadata(tar).and_then(|data| data.modified()).expect("the file's time");
    let seconds = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let mtime = if planted { u32::try_from(seconds).expect("before 2106") } else { 0 };
    image.compressed = Some((gzip(&image.tar(), mtime, 6), "gzip"));
    image
}
