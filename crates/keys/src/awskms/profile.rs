//! The shared files of AWS's tools: one profile out of `~/.aws/config` and `~/.aws/credentials`.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use std::{collections::BTreeMap, fmt};

use zeroize::Zeroizing;

use super::AwsOptions;
use crate::{KeysError, signer::read_setting};

/// The settings of one profile; those of the credentials file win.
#[derive(Default)]
pub(super) struct Profile {
    name: String,
    settings: BTreeMap<String, Zeroizing<String>>,
}

impl Profile {
    /// Reads the files that exist. A profile that nobody asked for by name may be absent.
    ///
    /// # Errors
    /// Unreadable files; no profile of the name in `AWS_PROFILE`.
    pub(super) fn load(options: &AwsOptions) -> Result<Self, KeysError> {
        let name = options.profile.as_deref().unwrap_or("default");
        let long = format!("profile {name}");
        let mut profile = Self { name: name.to_owned(), settings: BTreeMap::new() };
        let mut found = false;
        for (path, headings) in [
            (&options.config_file, [long.as_str(), if name == "default" { name } else { &long }]),
            (&options.credentials_file, [name, name]),
        ] {
            let Some(path) = path.as_ref().filter(|path| path.exists()) else { continue };
            let text = read_setting("reading AWS profile", path)?;
            found |= profile.read(&text, headings);
        }
        if options.profile.is_some() && !found {
            return Err(KeysError::AwsCredentials(format!("there is no profile {name:?}, which AWS_PROFILE names")));
        }
        Ok(profile)
    }

    /// Takes the settings under one of `headings`; was there such a section?
    fn read(&mut self, text: &str, headings: [&str; 2]) -> bool {
        let (mut inside, mut found) = (false, false);
        for line in text.lines() {
            // Settings that belong to another setting are indented.
            if line.starts_with([' ', '\t', '#', ';']) {
                continue;
            }
            if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
                let heading = heading.split_whitespace().collect::<Vec<_>>().join(" ");
                inside = headings.contains(&heading.as_str());
                found |= inside;
            } else if let (true, Some((name, value))) = (inside, line.split_once('=')) {
                let comment = value.find(" #").or_else(|| value.find(" ;")).unwrap_or(value.len());
                let value = value.get(..comment).unwrap_or(value).trim();
                self.settings.insert(name.trim().to_ascii_lowercase(), Zeroizing::new(value.to_owned()));
            }
        }
        found
    }

    /// The profile's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A setting that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({}, …)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(config: &str, credentials: &str, profile: Option<&str>) -> Result<Profile, KeysError> {
        let directory = tempfile::tempdir().expect("directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("write");
            Some(path)
        };
        let mut options = AwsOptions::new(std::time::SystemTime::now);
        options.config_file = write("config", config);
        options.credentials_file = write("credentials", credentials);
        options.profile = profile.map(str::to_owned);
        Profile::load(&options)
    }

    #[test]
    fn only_the_named_profile_is_read() {
        let config = "[default]\nregion = eu-west-1\n[profile ci]\nregion=us-east-1 # here\ns3 =\n  region = no\n";
        let credentials = "[default]\naws_access_key_id = A\n; comment\n[ci]\naws_access_key_id=B\r\naws_secret_access_key = x/y+z=\n";
        let profile = load(config, credentials, None).expect("default");
        assert_eq!((profile.get("region"), profile.get("aws_access_key_id")), (Some("eu-west-1"), Some("A")));
        assert_eq!(profile.get("aws_secret_access_key"), None);
        let profile = load(config, credentials, Some("ci")).expect("ci");
        assert_eq!((profile.get("region"), profile.get("aws_access_key_id")), (Some("us-east-1"), Some("B")));
        assert_eq!(profile.get("aws_secret_access_key"), Some("x/y+z="));
        assert_eq!(format!("{profile:?}"), "Profile(ci, …)");
    }

    #[test]
    fn a_profile_that_was_asked_for_and_is_not_there_is_an_error() {
        let refused = load("[default]\n", "[default]\n", Some("ci")).expect_err("absent");
        assert!(refused.to_string().contains("ci"), "{refused}");
        assert!(load("", "", None).is_ok());
    }
}
