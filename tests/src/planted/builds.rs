//! Programs that are compiled and linked differently, and what gets into them.

use super::{Plant, Workshop, image::Image};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "clock-in-build-script",
        cause: "timestamp",
        evidence: &["/workload", "2023-11-14T22:13:20Z", "20"],
        programs: &["rustc", "date"],
        make: build_script,
    },
    Plant { name: "c-date-macro", cause: "timestamp", evidence: &["Nov 14 2023"], programs: &["cc"], make: date_macro },
    Plant {
        name: "source-path",
        cause: "embedded-path",
        evidence: &["home/alice", "home/bob"],
        programs: &["rustc"],
        make: source_path,
    },
    Plant {
        name: "debug-path",
        cause: "embedded-path",
        evidence: &["home/alice", "home/bob"],
        programs: &["cc"],
        make: debug_path,
    },
    Plant { name: "linker", cause: "linker", evidence: &["LLD"], programs: &["rustc"], make: linker },
    Plant {
        name: "toolchain",
        cause: "toolchain",
        evidence: &["rustc version", "1.70.0"],
        programs: &["rustc", "objcopy"],
        make: toolchain,
    },
    Plant {
        name: "c-toolchain",
        cause: "toolchain",
        evidence: &["GCC: (Example) 9.1.0"],
        programs: &["cc", "objcopy"],
        make: c_toolchain,
    },
    Plant {
        name: "patch-release",
        cause: "dependency-version",
        evidence: &["tiny 1.2.3", "tiny 1.2.4"],
        programs: &["rustc"],
        make: patch_release,
    },
    Plant {
        name: "optimization",
        cause: "compiler-flags",
        evidence: &["/workload"],
        programs: &["rustc"],
        make: optimization,
    },
    Plant {
        name: "c-optimization",
        cause: "compiler-flags",
        evidence: &["/workload"],
        programs: &["cc"],
        make: c_optimization,
    },
    Plant {
        name: "recorded-flags",
        cause: "compiler-flags",
        evidence: &["-O0", "-O2"],
        programs: &["cc"],
        make: recorded_flags,
    },
    Plant {
        name: "debug-information",
        cause: "compiler-flags",
        evidence: &[".debug_info"],
        programs: &["rustc"],
        make: debug_information,
    },
    Plant {
        name: "stripped",
        cause: "compiler-flags",
        evidence: &[".symtab", "stripped"],
        programs: &["rustc", "strip"],
        make: stripped,
    },
    Plant { name: "hash-map-order", cause: "order", evidence: &["/workload"], programs: &["rustc"], make: hash_map },
    Plant {
        name: "host-and-user",
        cause: "user-or-host",
        evidence: &["alice@build-1", "bob@build-2"],
        programs: &["cc"],
        make: user,
    },
    Plant { name: "host-name", cause: "user-or-host", evidence: &["alder", "birch"], programs: &["cc"], make: host },
    Plant {
        name: "uuid",
        cause: "randomness",
        evidence: &["00000000-1111-4222-8333-444444444444"],
        programs: &["cc"],
        make: uuid,
    },
    Plant { name: "build-id", cause: "linker", evidence: &["NT_GNU_BUILD_ID"], programs: &["cc"], make: build_id },
    Plant {
        name: "byte-flipped",
        cause: "corruption",
        evidence: &["/workload", "one byte"],
        programs: &["cc"],
        make: byte_flipped,
    },
    Plant {
        name: "text-byte-flipped",
        cause: "corruption",
        evidence: &["/etc/message", "one byte"],
        programs: &[],
        make: text_flipped,
    },
    Plant {
        name: "other-sources",
        cause: "sources",
        evidence: &["good night"],
        programs: &["cc"],
        make: other_sources,
    },
];

const MAIN: &str = r#"
fn words(text: &str) -> usize { text.split_whitespace().count() }
fn longest(text: &str) -> Option<&str> { text.split_whitespace().max_by_key(|word| word.len()) }
fn main() {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let text = all.join(" ");
    println!("{} words, the longest is {:?}", words(&text), longest(&text));
}
"#;

/// Compiles a program in a directory below the workshop's, so that the same relative path is used every time.
fn rust(workshop: &Workshop, source: &str, flags: &str) -> Vec<u8> {
    workshop.put("main.rs", source);
    workshop.shell(&format!("rustc --edition 2024 -O -C strip=debuginfo {flags} main.rs -o workload"));
    workshop.read("workload")
}

const C: &str = "#include <stdio.h>\n\
    static int twice(int x) { return x + x; }\n\
    static int count(const char *text) { int n = 0; for (; *text; text++) n += *text == ' '; return n + 1; }\n\
    int main(int argc, char **argv) { for (int i = 1; i < argc; i++) printf(\"%d words, twice %d\\n\", count(argv[i]), twice(i)); return 0; }\n";

fn c(workshop: &Workshop, source: &str, flags: &str) -> Vec<u8> {
    workshop.put("main.c", source);
    workshop.shell(&format!("cc -O1 {flags} main.c -o workload"));
    workshop.read("workload")
}

/// A build script that takes the time from `SOURCE_DATE_EPOCH`, or else from the clock.
fn build_script(workshop: &Workshop, planted: bool) -> Image {
    let date = "date -u -d @${SOURCE_DATE_EPOCH:-$(date +%s)} +%Y-%m-%dT%H:%M:%SZ";
    let variables: &[(&str, &str)] = if planted { &[("SOURCE_DATE_EPOCH", "")] } else { &[] };
    let built = workshop.shell_with(date, variables);
    let source = MAIN.replace("println!(\"", &format!("println!(\"built {}: ", built.trim()));
    Image::with(rust(workshop, &source, ""))
}

fn date_macro(workshop: &Workshop, planted: bool) -> Image {
    workshop.put("main.c", C.replace("twice %d\\n\"", "twice %d, built \" __DATE__ \" \" __TIME__ \"\\n\""));
    let variables: &[(&str, &str)] = if planted { &[("SOURCE_DATE_EPOCH", "")] } else { &[] };
    workshop.shell_with("cc -O1 main.c -o workload", variables);
    Image::with(workshop.read("workload"))
}

/// The same sources in two users' directories; the workshop itself is mapped away.
fn source_path(workshop: &Workshop, planted: bool) -> Image {
    let user = if planted { "bob" } else { "alice" };
    workshop.put(
        &format!("home/{user}/main.rs"),
        MAIN.replace("let all", "assert!(std::env::args().count() < 9); let all"),
    );
    workshop.shell(&format!(
        "rustc --edition 2024 -O -C strip=debuginfo --crate-name workload --remap-path-prefix=$PWD= $PWD/home/{user}/main.rs -o workload"
    ));
    Image::with(workshop.read("workload"))
}

fn debug_path(workshop: &Workshop, planted: bool) -> Image {
    let user = if planted { "bob" } else { "alice" };
    workshop.put(&format!("home/{user}/main.c"), C);
    workshop
        .shell(&format!("root=$PWD; cd home/{user} && cc -g -O1 -ffile-prefix-map=$root= main.c -o $root/workload"));
    Image::with(workshop.read("workload"))
}

fn linker(workshop: &Workshop, planted: bool) -> Image {
    Image::with(rust(workshop, MAIN, if planted { "-C link-arg=-fuse-ld=bfd" } else { "" }))
}

fn toolchain(workshop: &Workshop, planted: bool) -> Image {
    rust(workshop, MAIN, "");
    if planted {
        workshop.shell(
            "objcopy -O binary --only-section=.comment --set-section-flags .comment=alloc workload comment; \
             sed -i 's/rustc version [0-9.]* ([^)]*)/rustc version 1.70.0 (90c541806 2023-05-31)/' comment; \
             objcopy --update-section .comment=comment workload",
        );
    } else {
        workshop.shell("objcopy workload");
    }
    Image::with(workshop.read("workload"))
}

fn c_toolchain(workshop: &Workshop, planted: bool) -> Image {
    c(workshop, C, "");
    if planted {
        workshop.shell("printf 'GCC: (Example) 9.1.0\\0' >comment; objcopy --update-section .comment=comment workload");
    } else {
        workshop.shell("objcopy workload");
    }
    Image::with(workshop.read("workload"))
}

/// A crate of the registry, whose newer release has a message more.
fn patch_release(workshop: &Workshop, planted: bool) -> Image {
    let (version, check) = if planted { ("1.2.4", "assert!(x < 900, \"too many\");") } else { ("1.2.3", "") };
    let source = format!("pub fn third(words: &[String], x: usize) -> &str {{ {check} &words[x + 2] }}\n");
    workshop.put(&format!("registry/src/tiny-{version}/src/lib.rs"), source);
    workshop.put("main.rs", MAIN.replace("let text", "println!(\"{}\", tiny::third(&all, all.len() / 2)); let text"));
    workshop.shell(&format!(
        "rustc --edition 2024 -O --crate-name tiny --crate-type rlib registry/src/tiny-{version}/src/lib.rs && \
         rustc --edition 2024 -O -C strip=debuginfo --extern tiny=libtiny.rlib main.rs -o workload"
    ));
    Image::with(workshop.read("workload"))
}

fn optimization(workshop: &Workshop, planted: bool) -> Image {
    Image::with(rust(workshop, MAIN, if planted { "-C opt-level=1" } else { "-C opt-level=3" }))
}

fn c_optimization(workshop: &Workshop, planted: bool) -> Image {
    Image::with(c(workshop, C, if planted { "-O0" } else { "-O2" }))
}

/// With debug information, in which the compiler says how it was called.
fn recorded_flags(workshop: &Workshop, planted: bool) -> Image {
    let flags = if planted { "-O0" } else { "-O2" };
    Image::with(c(workshop, C, &format!("-g -ffile-prefix-map=$PWD=. {flags}")))
}

fn debug_information(workshop: &Workshop, planted: bool) -> Image {
    workshop.put("main.rs", MAIN);
    let strip = if planted { "none" } else { "debuginfo" };
    workshop.shell(&format!("rustc --edition 2024 -O -C strip={strip} --remap-path-prefix=$PWD=. main.rs -o workload"));
    Image::with(workshop.read("workload"))
}

fn stripped(workshop: &Workshop, planted: bool) -> Image {
    rust(workshop, MAIN, "");
    if planted {
        workshop.shell("strip workload");
    }
    Image::with(workshop.read("workload"))
}

/// A generator that writes a table from a `HashMap`, or from a `BTreeMap`.
fn hash_map(workshop: &Workshop, planted: bool) -> Image {
    let map = if planted { "HashMap" } else { "BTreeMap" };
    workshop.put(
        "generate.rs",
        format!(
            "use std::collections::{map};\n\
             fn main() {{\n\
                 let names = [\"alpha\", \"bravo\", \"charlie\", \"delta\", \"echo\", \"foxtrot\", \"golf\", \"hotel\", \"india\", \"juliett\", \"kilo\", \"lima\"];\n\
                 let map: {map}<&str, usize> = names.iter().map(|name| (*name, name.len())).collect();\n\
                 println!(\"pub static NAMES: &[&str] = &{{:?}};\", map.keys().collect::<Vec<_>>());\n\
             }}\n"
        ),
    );
    workshop.shell("rustc --edition 2024 generate.rs -o generate && ./generate >names.rs");
    let source = format!(
        "include!(\"names.rs\");\n{}",
        MAIN.replace("let text", "for name in NAMES { println!(\"{name}\"); } let text")
    );
    Image::with(rust(workshop, &source, ""))
}

fn user(workshop: &Workshop, planted: bool) -> Image {
    let (user, host) = if planted { ("bob", "build-2") } else { ("alice", "build-1") };
    let source = C.replace("twice %d\\n\"", "twice %d, built by \" BUILDER \"\\n\"");
    workshop.put("main.c", source);
    workshop.shell_with(
        "cc -O1 -DBUILDER=\"\\\"$USER@$HOSTNAME\\\"\" main.c -o workload",
        &[("USER", user), ("HOSTNAME", host)],
    );
    Image::with(workshop.read("workload"))
}

fn host(workshop: &Workshop, planted: bool) -> Image {
    let source = C.replace("twice %d\\n\"", "twice %d, host: \" HOST \"\\n\"");
    workshop.put("main.c", source);
    let host = if planted { "birch" } else { "alder" };
    workshop.shell_with("cc -O1 -DHOST=\"\\\"$HOSTNAME\\\"\" main.c -o workload", &[("HOSTNAME", host)]);
    Image::with(workshop.read("workload"))
}

fn uuid(workshop: &Workshop, planted: bool) -> Image {
    let id = if planted {
        workshop.shell("cat /proc/sys/kernel/random/uuid")
    } else {
        "00000000-1111-4222-8333-444444444444".to_owned()
    };
    let source = C.replace("twice %d\\n\"", &format!("twice %d, build {}\\n\"", id.trim()));
    Image::with(c(workshop, &source, ""))
}

fn build_id(workshop: &Workshop, planted: bool) -> Image {
    Image::with(c(
        workshop,
        C,
        if planted { "-Wl,--build-id=uuid" } else { "-Wl,--build-id=0x00112233445566778899aabbccddeeff" },
    ))
}

/// A conditional jump that became its opposite: whoever changes a program by hand does that.
fn byte_flipped(workshop: &Workshop, planted: bool) -> Image {
    let mut program = c(workshop, C, "");
    if planted {
        // The code begins with the second page.
        let jump = |bytes: &[u8]| bytes[0] == 0x74 || bytes[0] == 0x75;
        let call = 0x1000 + program[0x1000..].windows(2).position(jump).expect("a conditional jump");
        program[call] ^= 1;
    }
    Image::with(program)
}

fn text_flipped(_: &Workshop, planted: bool) -> Image {
    let mut image = Image::new();
    if planted {
        image.files[0].content[3] ^= 4;
    }
    image
}

fn other_sources(workshop: &Workshop, planted: bool) -> Image {
    let source = if planted {
        C.replace("twice %d\\n", "twice %d, good night everybody\\n").replace("n + 1", "n + 7")
    } else {
        C.to_owned()
    };
    Image::with(c(workshop, &source, ""))
}
