//! Times as documents write them: RFC 3339, UTC, whole seconds.

use std::fmt;

use serde::{Serialize, Serializer};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::error::SbomError;

/// A moment, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// Seconds since 1970, as in `SOURCE_DATE_EPOCH`.
    ///
    /// # Errors
    /// [`SbomError::Time`] for a year beyond 9999.
    pub fn from_epoch(seconds: u64) -> Result<Self, SbomError> {
        let odd = || SbomError::Time(format!("{seconds} seconds since 1970"));
        let time = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        time.map(Self).ok_or_else(odd)
    }

    /// An RFC 3339 text of any offset; fractions of a second are cut off.
    ///
    /// # Errors
    /// [`SbomError::Time`]
    pub fn parse(text: &str) -> Result<Self, SbomError> {
        let odd = || SbomError::Time(text.chars().take(80).collect());
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| odd())?;
        let time = time.checked_to_offset(UtcOffset::UTC).filter(|time| (0..=9999).contains(&time.year()));
        time.and_then(|time| time.replace_nanosecond(0).ok()).map(Self).ok_or_else(odd)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())?;
        write!(f, "T{:02}:{:02}:{:02}Z", time.hour(), time.minute(), time.second())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_whole_seconds() {
        assert_eq!(Timestamp::from_epoch(0).unwrap().to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_epoch(1_700_000_000).unwrap().to_string(), "2023-11-14T22:13:20Z");
        let written = |text| Timestamp::parse(text).unwrap().to_string();
        assert_eq!(written("2024-01-02T03:04:05.123456789Z"), "2024-01-02T03:04:05Z");
        assert_eq!(written("2024-01-02T01:00:00+02:30"), "2024-01-01T22:30:00Z");
        assert_eq!(written("0001-01-01T00:00:00Z"), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in
            ["", "yesterday", "2024-01-02", "2024-13-02T03:04:05Z", "2024-01-02T03:04:05", "9999-12-31T23:59:59-01:00"]
        {
            assert!(Timestamp::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(Timestamp::from_epoch(u64::MAX).is_err());
        assert!(Timestamp::from_epoch(1 << 40).is_err());
    }
}
