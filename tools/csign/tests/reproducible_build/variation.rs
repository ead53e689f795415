//! The ways in which two builders differ.

use std::process::Command;

use crate::{
    builder::{OTHER_GROUP, OTHER_USER},
    clock::YEAR,
};

/// One way in which two builders differ. The name of each is the name of the fact that the fixture's leaks embed, but
/// that the clock has two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variation {
    Directory,
    TargetDirectory,
    Home,
    CargoHome,
    Toolchain,
    User,
    Group,
    HostName,
    ClockAhead,
    ClockBehind,
    TimeZone,
    Locale,
    Umask,
    FileOrder,
    FileTimes,
    SourceDateEpoch,
    Jobs,
    EnvironmentNoise,
    HostileConfiguration,
    GitCheckout,
}

impl Variation {
    pub(crate) const ALL: [Self; 20] = [
        Self::Directory,
        Self::TargetDirectory,
        Self::Home,
        Self::CargoHome,
        Self::Toolchain,
        Self::User,
        Self::Group,
        Self::HostName,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::TimeZone,
        Self::Locale,
        Self::Umask,
        Self::FileOrder,
        Self::FileTimes,
        Self::SourceDateEpoch,
        Self::Jobs,
        Self::EnvironmentNoise,
        Self::HostileConfiguration,
        Self::GitCheckout,
    ];

    /// What differs, for the table: the plain build, then the varied one.
    pub(crate) const fn how(self) -> &'static str {
        match self {
            Self::Directory => "s / a longer/path with spaces/to/sources",
            Self::TargetDirectory => "below the sources / elsewhere/t",
            Self::Home => "HOME, USER, LOGNAME of the caller / of eve",
            Self::CargoHome => "CARGO_HOME of the caller / a copy in which crates are unpacked anew",
            Self::Toolchain => "RUSTUP_HOME of the caller / the same, mounted elsewhere",
            Self::User => "user id of the caller / 12345, who finds the toolchain elsewhere",
            Self::Group => "group id of the caller / 23456, and no other groups",
            Self::HostName => "host name of the machine / builder-b, in a UTS namespace",
            Self::ClockAhead => "now / 400 days ahead, for every program",
            Self::ClockBehind => "now / 400 days behind, for every program",
            Self::TimeZone => "TZ of the caller / Pacific/Kiritimati",
            Self::Locale => "LC_ALL and LANG of the caller / tr_TR.UTF-8 and de_DE.UTF-8",
            Self::Umask => "0022 / 0077, for the sources too",
            Self::FileOrder => "directories list files in one order / in the opposite order",
            Self::FileTimes => "1990 / 2010",
            Self::SourceDateEpoch => "SOURCE_DATE_EPOCH not set / 1234567890",
            Self::Jobs => "4 / 1",
            Self::EnvironmentNoise => "environment of the caller / RUSTFLAGS, CFLAGS, wrappers, profiles …",
            Self::HostileConfiguration => {
                "none / .cargo/config.toml, workspace and toolchain file in and above the sources"
            }
            Self::GitCheckout => "git archive / git clone",
        }
    }

    /// The fact that this variation changes in the fixture's leaks.
    pub(crate) fn fact(self) -> String {
        match self {
            Self::ClockAhead | Self::ClockBehind => "Clock".to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// By how many seconds this moves the clock.
    pub(crate) const fn clock(self) -> Option<i64> {
        match self {
            Self::ClockAhead => Some(YEAR),
            Self::ClockBehind => Some(-YEAR),
            _ => None,
        }
    }
}

/// What this machine lets a test vary.
#[derive(Debug)]
pub(crate) struct Powers {
    /// The command that gives a process its own mounts and host name.
    pub(crate) namespaces: Option<Vec<&'static str>>,
    /// May another user be taken?
    pub(crate) users: bool,
    /// Can the clock be shifted? Needs the shim and a mount.
    pub(crate) clock: bool,
    /// Does the scratch directory list files in the order in which they were made?
    pub(crate) order: bool,
}

impl Powers {
    /// Tries what works; `clock` and `order` are for the caller to fill in.
    pub(crate) fn of_this_machine() -> Self {
        let works = |args: &[&str]| {
            let (program, args) = args.split_first().unwrap();
            Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
        };
        let candidates: [Vec<&str>; 2] =
            [vec!["unshare", "--mount", "--uts"], vec!["unshare", "--user", "--map-root-user", "--mount", "--uts"]];
        let script = ["sh", "-c", "hostname builder-b && mount --bind /etc /etc"];
        let namespaces = candidates.into_iter().find(|prefix| works(&[prefix.as_slice(), &script].concat()));
        let users = works(&[OTHER_GROUP, OTHER_USER, &["true"]].concat());
        Self { namespaces, users, clock: false, order: false }
    }

    /// Why a variation cannot be had here.
    pub(crate) fn missing(&self, variation: Variation) -> Option<&'static str> {
        let (has, why) = match variation {
            Variation::Group => (self.users, "needs root and setpriv"),
            Variation::User => {
                (self.users && self.namespaces.is_some(), "needs root, setpriv and namespaces (unshare)")
            }
            Variation::HostName | Variation::Toolchain => (self.namespaces.is_some(), "needs namespaces (unshare)"),
            Variation::ClockAhead | Variation::ClockBehind => {
                (self.clock && self.namespaces.is_some(), "needs namespaces (unshare) and a C compiler")
            }
            Variation::FileOrder => (self.order, "needs a tmpfs that may hold programs at /dev/shm"),
            _ => return None,
        };
        (!has).then_some(why)
    }
}
