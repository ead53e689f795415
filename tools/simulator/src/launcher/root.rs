//! Gives a program its own root directory. Done by re-executing the simulator's program, because a thread of a running
//! server cannot change its root without unsafe code, while a process that does nothing else can.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use super::process::{Output, Program, Stream};

/// The hidden subcommand of the simulator's program.
const SUBCOMMAND: &str = "enter-root";
/// Exit status for "could not execute", as shells use it.
const CANNOT_EXECUTE: u8 = 126;
/// Of util-linux. The image's `PATH` must not decide which program this is.
const UNSHARE: &str = "/usr/bin/unshare";

/// Whom the program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Wraps `program`, whose paths are inside `root`, so that it is started there.
///
/// As root: chroot, then the image's user. Otherwise: a user namespace, if `unshare` is there and the kernel allows it.
/// Otherwise, or without a helper: from the extracted directory, with `CONTAINER_ROOT` set; `output` says so.
pub(super) fn confine(program: Program, root: &Path, user: User, helper: Option<&Path>, output: &Output) -> Program {
    let inner = |program: &Program| {
        let mut args = vec![program.file.to_string_lossy().into_owned()];
        args.extend(program.args.iter().cloned());
        args
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    match helper {
        None => output.push(Stream::Launcher, "no helper program is configured that could enter the container's root"),
        Some(helper) if rustix::process::geteuid().is_root() => {
            let mut args = vec![SUBCOMMAND.to_owned(), text(root)];
            args.extend([user.uid.to_string(), user.gid.to_string(), text(&program.directory)]);
            args.extend(inner(&program));
            return Program { file: helper.to_owned(), args, directory: PathBuf::from("/"), ..program };
        }
        Some(_) if user_namespaces_work(user) => {
            let mut args = namespace_options(user, root);
            args.push(format!("--wd={}", text(&program.directory)));
            args.push("--".to_owned());
            args.extend(inner(&program));
            return Program { file: PathBuf::from(UNSHARE), args, directory: PathBuf::from("/"), ..program };
        }
        Some(_) => output.push(Stream::Launcher, "neither root nor user namespaces are to be had"),
    }
    let why = "the program runs from the extracted directory and sees this machine's files (CONTAINER_ROOT is set)";
    output.push(Stream::Launcher, why);
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let mut env = program.env;
    env.push(("CONTAINER_ROOT".to_owned(), text(root)));
    Program { file: inside(&program.file), directory: inside(&program.directory), env, ..program }
}

fn namespace_options(user: User, root: &Path) -> Vec<String> {
    vec![
        "--user".to_owned(),
        format!("--map-user={}", user.uid),
        format!("--map-group={}", user.gid),
        format!("--root={}", root.display()),
    ]
}

fn user_namespaces_work(user: User) -> bool {
    let mut probe = Command::new(UNSHARE);
    probe.args(namespace_options(user, Path::new("/"))).args(["--", "true"]);
    let status = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The subcommand `enter-root ROOT UID GID DIRECTORY PROGRAM [ARGUMENT…]`: `Some` if `args` (without the program's own
/// name) ask for it. Does not return if all goes well. Must be called before any thread is started.
pub fn enter_root(args: &[OsString]) -> Option<ExitCode> {
    let [first, rest @ ..] = args else { return None };
    if first != OsStr::new(SUBCOMMAND) {
        return None;
    }
    let error = match rest {
        [root, uid, gid, directory, program, args @ ..] => match (number(uid), number(gid)) {
            (Some(uid), Some(gid)) => execute(root, User { uid, gid }, directory, program, args),
            _ => io::Error::new(io::ErrorKind::InvalidInput, "UID and GID must be numbers"),
        },
        _ => io::Error::new(io::ErrorKind::InvalidInput, "expected ROOT UID GID DIRECTORY PROGRAM [ARGUMENT…]"),
    };
    let _ = writeln!(io::stderr(), "entering the container's root: {error}");
    Some(ExitCode::from(CANNOT_EXECUTE))
}

fn number(text: &OsStr) -> Option<u32> {
    text.to_str()?.parse().ok()
}

/// Returns only if it failed. The order matters: a user without rights cannot change the root.
fn execute(root: &OsStr, user: User, directory: &OsStr, program: &OsStr, args: &[OsString]) -> io::Error {
    let entered = std::os::unix::fs::chroot(root).and_then(|()| std::env::set_current_dir(directory));
    match entered {
        // The standard library drops supplementary groups, then sets the group, then the user.
        Ok(()) => Command::new(program).args(args).gid(user.gid).uid(user.uid).exec(),
        Err(error) => error,
    }
}
