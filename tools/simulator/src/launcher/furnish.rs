//! What a container finds in its root besides the image's files: the working directory, mounts, device files, names of
//! hosts. As far as this process may make them; what is not to be had is said.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::{
    LaunchRequest,
    process::{Output, Stream},
    unpack::directory,
};

/// Name, major and minor number of the device files that programs expect.
const DEVICES: [(&str, u32, u32); 5] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];
/// Files of the machine that the launcher shows to the container.
const HOST_FILES: [&str; 2] = ["hosts", "resolv.conf"];

/// Furnishes `root`; nothing of the image is replaced.
///
/// # Errors
/// A mount's path, and why it cannot be there: the image has something else on its way.
pub(super) fn furnish(
    root: &Path,
    working: &str,
    request: &LaunchRequest,
    output: &Output,
) -> Result<(), (String, String)> {
    // A working directory behind a link is there or not: entering it will tell.
    let _ = directory(root, working);
    for mount in &request.mounts {
        let destination = &mount.destination;
        let place = directory(root, destination).map_err(|reason| (destination.clone(), reason))?;
        open_to_all(&place).map_err(|error| (destination.clone(), error.to_string()))?;
        let text = format!("{destination}: a directory instead of a tmpfs; its size is not bounded");
        output.push(Stream::Launcher, text);
    }
    match directory(root, "dev/shm").and_then(|shm| open_to_all(&shm).map_err(|error| error.to_string())) {
        Ok(()) if request.dev_shm_kib == 0 => {}
        Ok(()) => output.push(Stream::Launcher, "/dev/shm: a directory instead of a tmpfs; its size is not bounded"),
        Err(reason) => output.push(Stream::Launcher, format!("there is no /dev/shm in the container: {reason}")),
    }
    if let Ok(dev) = directory(root, "dev")
        && rustix::process::geteuid().is_root()
    {
        devices(&dev, output);
    }
    for (name, etc) in HOST_FILES.into_iter().filter_map(|name| Some((name, directory(root, "etc").ok()?))) {
        let place = etc.join(name);
        if fs::symlink_metadata(&place).is_err() {
            // Without one there are no names to be looked up, which the program will say.
            let _ = fs::copy(Path::new("/etc").join(name), &place);
        }
    }
    Ok(())
}

fn open_to_all(place: &Path) -> io::Result<()> {
    fs::set_permissions(place, fs::Permissions::from_mode(0o1777))
}

fn devices(dev: &Path, output: &Output) {
    for (name, major, minor) in DEVICES {
        let place = dev.join(name);
        if fs::symlink_metadata(&place).is_ok() {
            continue;
        }
        let mode = Mode::from_raw_mode(0o666);
        let made = mknodat(CWD, &place, FileType::CharacterDevice, mode, makedev(major, minor))
            .map_err(io::Error::from)
            // The process's mask has taken bits away.
            .and_then(|()| fs::set_permissions(&place, fs::Permissions::from_mode(0o666)));
        if let Err(error) = made {
            return output.push(Stream::Launcher, format!("there is no /dev/{name} in the container: {error}"));
        }
    }
}
