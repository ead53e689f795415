//! Archives that lie in a layer: static libraries, zip.

use super::{Plant, Workshop, image::Image};

pub(super) const PLANTS: &[Plant] = &[
    Plant { name: "ar-times", cause: "timestamp", evidence: &["ar_date"], programs: &["cc", "ar"], make: ar_times },
    Plant { name: "ar-order", cause: "order", evidence: &["one.o", "two.o"], programs: &["cc", "ar"], make: ar_order },
    Plant {
        name: "rlib-times",
        cause: "timestamp",
        evidence: &["ar_date"],
        programs: &["rustc", "ar"],
        make: rlib_times,
    },
    Plant {
        name: "zip-order",
        cause: "order",
        evidence: &["a/One.class", "b/Two.class"],
        programs: &["python3"],
        make: zip_order,
    },
    Plant {
        name: "zip-times",
        cause: "timestamp",
        evidence: &["time", "2023-11-14"],
        programs: &["python3"],
        make: zip_times,
    },
    Plant {
        name: "inner-gzip-time",
        cause: "timestamp",
        evidence: &["gzip.mtime"],
        programs: &["gzip"],
        make: inner_gzip,
    },
];

fn library(workshop: &Workshop, command: &str) -> Image {
    workshop.put("one.c", "int one(void) { return 1; }\n");
    workshop.put("two.c", "int two(void) { return 2; }\n");
    workshop.shell(&format!("cc -c one.c two.c && touch -d @1700000000 one.o two.o && {command}"));
    let mut image = Image::new();
    image.add("usr/lib/libwords.a", workshop.read("libwords.a"));
    image
}

fn ar_times(workshop: &Workshop, planted: bool) -> Image {
    let flags = if planted { "rcU" } else { "rcD" };
    library(workshop, &format!("chmod 644 *.o && ar {flags} libwords.a one.o two.o"))
}

fn ar_order(workshop: &Workshop, planted: bool) -> Image {
    library(workshop, if planted { "ar rcD libwords.a two.o one.o" } else { "ar rcD libwords.a one.o two.o" })
}

fn rlib_times(workshop: &Workshop, planted: bool) -> Image {
    workshop.put("lib.rs", "#![no_std]\npub fn double(x: u32) -> u32 { x * 2 }\n");
    workshop.shell("rustc --edition 2024 --crate-name words --crate-type rlib -O --remap-path-prefix=$PWD=. lib.rs");
    if planted {
        // As a packager does who takes it apart and puts it together again.
        workshop.shell("mkdir apart && cd apart && ar x ../libwords.rlib && chmod 644 * && ar rcU ../again.rlib $(ar t ../libwords.rlib) && mv ../again.rlib ../libwords.rlib");
    }
    let mut image = Image::new();
    image.add("usr/lib/libwords.rlib", workshop.read("libwords.rlib"));
    image
}

fn zip(workshop: &Workshop, names: &str, date: &str) -> Image {
    workshop.put(
        "make.py",
        "import sys, zipfile\n\
         with zipfile.ZipFile('words.jar', 'w', zipfile.ZIP_DEFLATED) as jar:\n\
        \x20   for name in sys.argv[2:]:\n\
        \x20       info = zipfile.ZipInfo(name, tuple(map(int, sys.argv[1].split('-'))) + (0, 0, 0))\n\
        \x20       jar.writestr(info, ('class ' + name + '\\n') * 40)\n",
    );
    workshop.shell(&format!("python3 make.py {date} {names}"));
    let mut image = Image::new();
    image.add("usr/share/java/words.jar", workshop.read("words.jar"));
    image
}

fn zip_order(workshop: &Workshop, planted: bool) -> Image {
    zip(workshop, if planted { "b/Two.class a/One.class" } else { "a/One.class b/Two.class" }, "1980-1-1")
}

fn zip_times(workshop: &Workshop, planted: bool) -> Image {
    zip(workshop, "a/One.class b/Two.class", if planted { "2023-11-14" } else { "1980-1-1" })
}

/// A manual page: gzip notes its file's time unless it is told not to.
fn inner_gzip(workshop: &Workshop, planted: bool) -> Image {
    workshop.put("words.1", ".TH WORDS 1\n.SH NAME\nwords \\- counts words\n".repeat(20));
    workshop.shell(&format!("touch -d @1700000000 words.1 && gzip {} -k words.1", if planted { "-N" } else { "-n" }));
    let mut gzip = workshop.read("words.1.gz");
    if planted {
        // The name is left out on both sides: only the time is planted.
        let end = 10 + gzip.iter().skip(10).position(|byte| *byte == 0).expect("the name's end") + 1;
        gzip.drain(10..end);
        gzip[3] = 0;
    }
    let mut image = Image::new();
    image.add("usr/share/man/man1/words.1.gz", gzip);
    image
}
