//! IAM credentials: an access token of a service account for whoever may impersonate it, and where tokens may be used.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Call, Iam, Identity, TOKEN_LIFETIME};
use crate::{
    fields::Fields,
    respond::{ApiError, Code, Rest, Timestamp},
};

impl Iam {
    /// Answers a REST call, if it is one of these.
    pub(crate) fn credentials_rest(&self, call: &Rest<'_>) -> Option<Result<Value, ApiError>> {
        if call.method == Method::GET && call.resource.ends_with("/allowedLocations") {
            // The auth library asks where an account's or a pool's tokens may be used: 0x0 says everywhere.
            return Some(Ok(json!({"locations": [], "encodedLocations": "0x0"})));
        }
        let account = call.resource.strip_suffix(":generateAccessToken").filter(|_| call.method == Method::POST)?;
        Some(self.generate_access_token(call, account))
    }

    fn generate_access_token(&self, call: &Rest<'_>, account: &str) -> Result<Value, ApiError> {
        let invalid = |message: String| ApiError::new(Code::InvalidArgument, message);
        let email = account.rsplit_once("/serviceAccounts/").map(|(_, email)| email).filter(|e| e.contains('@'));
        let email = email.ok_or_else(|| invalid(format!("Invalid form of account ID {account}.")))?;
        let body = Fields::parse(call.body)?;
        let permission = "iam.serviceAccounts.getAccessToken";
        let decision =
            Call { service: "iam", method: "generateAccessToken", token: call.token, permission, resource: account };
        self.perform(decision, || {
            if body.texts("scope")?.is_empty() {
                return Err(invalid("Scope required.".to_owned()));
            }
            if !body.texts("delegates")?.is_empty() {
                return Err(invalid("The simulator has no delegation chains.".to_owned()));
            }
            let lifetime = body.text("lifetime")?;
            let seconds = match lifetime.as_str() {
                "" => Some(TOKEN_LIFETIME),
                text => text.strip_suffix('s').and_then(|number| number.parse::<u64>().ok()),
            };
            let seconds = seconds.filter(|seconds| (1..=TOKEN_LIFETIME).contains(seconds)).ok_or_else(|| {
                invalid(format!("Invalid value at 'lifetime': it must be 1s to {TOKEN_LIFETIME}s, not {lifetime:?}."))
            })?;
            let identity = Identity::Member(format!("serviceAccount:{email}"));
            let token = self.issue_for(identity, seconds);
            let token = token.map_err(|error| ApiError::new(Code::FailedPrecondition, error.to_string()))?;
            Ok(json!({"accessToken": token, "expireTime": Timestamp::of(self.clock.now() + seconds).text()}))
        })
    }
}
