//! Who a token's bearer is after the exchange, and the members of IAM bindings that mean him.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Variables;

/// What a token's claims became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The mapped `google.subject`.
    pub subject: String,
    /// The mapped `google.groups`.
    pub groups: Vec<String>,
    /// The mapped attributes, without the prefix `attribute.`.
    pub attributes: BTreeMap<String, String>,
}

impl Identity {
    /// What a condition sees.
    pub fn variables(&self, claims: &Value) -> Variables {
        let google = json!({"subject": self.subject, "groups": self.groups});
        Variables::new().with("assertion", claims).with("google", &google).with("attribute", &json!(self.attributes))
    }

    /// Every `principal://` and `principalSet://` member that means this identity in `pool`
    /// (`projects/N/locations/global/workloadIdentityPools/P`). Members are compared whole, so no value is mistaken for
    /// one that it begins with.
    pub fn members(&self, pool: &str) -> Vec<String> {
        let mut members = vec![
            format!("principal://iam.googleapis.com/{pool}/subject/{}", self.subject),
            format!("principalSet://iam.googleapis.com/{pool}/*"),
        ];
        members
            .extend(self.groups.iter().map(|group| format!("principalSet://iam.googleapis.com/{pool}/group/{group}")));
        let attributes = self.attributes.iter();
        members.extend(
            attributes
                .map(|(name, value)| format!("principalSet://iam.googleapis.com/{pool}/attribute.{name}/{value}")),
        );
        members
    }
}
