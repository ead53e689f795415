//! Keys of AWS KMS, by id or ARN: <https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id>.

use std::fmt;

use crate::KeysError;

/// A key of AWS KMS: `awskms://[ENDPOINT]/ID` or `awskms://[ENDPOINT]/ARN`. Its material never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsKey {
    endpoint: Option<String>,
    key_id: String,
}

impl AwsKey {
    /// Host and port of the service, if the reference names them.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The id or ARN, as the service takes it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The region in the ARN.
    pub fn region(&self) -> Option<&str> {
        self.key_id.strip_prefix("arn:")?.split(':').nth(2)
    }

    /// Is `named`, the id or ARN in an answer, this key? The service answers with the ARN.
    pub(crate) fn is(&self, named: &str) -> bool {
        let both_arns = self.key_id.starts_with("arn:") && named.starts_with("arn:");
        if both_arns { named == self.key_id } else { bare(named) == bare(&self.key_id) }
    }

    pub(super) fn parse(resource: &str, uri: &str) -> Result<Self, KeysError> {
        let error = |why| KeysError::Uri { uri: uri.to_owned(), why };
        let (endpoint, key_id) = resource
            .split_once('/')
            .ok_or_else(|| error("an AWS key is awskms:///ID or awskms:///ARN, with three slashes"))?;
        if !endpoint.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c)) {
            return Err(error("the endpoint must be HOST or HOST:PORT"));
        }
        if key_id.starts_with("alias/") || (key_id.starts_with("arn:") && key_id.contains(":alias/")) {
            return Err(KeysError::Alias(uri.to_owned()));
        }
        let id = match key_id.strip_prefix("arn:") {
            None => Some(key_id),
            Some(arn) => arn_key(arn),
        };
        if !id.is_some_and(is_id) {
            return Err(error("the key must be an id (1234abcd-12ab-…) or an ARN (arn:aws:kms:REGION:ACCOUNT:key/ID)"));
        }
        let endpoint = (!endpoint.is_empty()).then(|| endpoint.to_owned());
        Ok(Self { endpoint, key_id: key_id.to_owned() })
    }
}

impl fmt::Display for AwsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "awskms://{}/{}", self.endpoint.as_deref().unwrap_or_default(), self.key_id)
    }
}

/// The id of `partition:kms:region:account:key/ID`.
fn arn_key(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    let [partition, "kms", region, account, key] = parts[..] else { return None };
    let well_formed = matches!(partition, "aws" | "aws-cn" | "aws-us-gov")
        && is_region(region)
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit());
    key.strip_prefix("key/").filter(|_| well_formed)
}

/// The region becomes part of a host name.
pub(crate) fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// 32 hexadecimal digits with or without dashes; multi-region keys have `mrk-` before them.
fn is_id(text: &str) -> bool {
    let id = text.strip_prefix("mrk-").unwrap_or(text);
    let digits = id.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = id.bytes().filter(|b| *b == b'-').count();
    digits == 32 && digits + dashes == id.len() && (dashes == 0 || dashes == 4)
}

fn bare(key_id: &str) -> &str {
    key_id.rsplit_once('/').map_or(key_id, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn key(key_id: &str) -> AwsKey {
        AwsKey::parse(&format!("/{key_id}"), "uri").expect(key_id)
    }

    #[test]
    fn an_answer_about_another_key_is_told_apart() {
        let arn = |region: &str, id: &str| format!("arn:aws:kms:{region}:111122223333:key/{id}");
        let by_arn = key(&arn("us-east-1", ID));
        assert!(by_arn.is(&arn("us-east-1", ID)) && by_arn.is(ID));
        assert!(!by_arn.is(&arn("us-east-2", ID)));
        let other = "9234abcd-12ab-34cd-56ef-1234567890ab";
        assert!(!by_arn.is(&arn("us-east-1", other)) && !by_arn.is(other) && !by_arn.is(""));
        let by_id = key(ID);
        assert!(by_id.is(ID) && by_id.is(&arn("us-east-1", ID)) && !by_id.is(other));
        assert_eq!((by_arn.region(), by_id.region()), (Some("us-east-1"), None));
    }
}
