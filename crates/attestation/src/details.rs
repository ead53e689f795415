//! The claims that decide nothing: what a person or a policy may want to see of the platform. The service changes their
//! forms, so one in a form that csign does not know counts as absent and never refuses a token.

use std::collections::BTreeMap;

use csign_oci::Digest;
use serde_json::Value;

/// Claims of a verified token that csign shows and does not decide by.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Details {
    /// `eat_profile`: where the claims are specified.
    pub eat_profile: Option<String>,
    /// `oemid`: 11129 is Google.
    pub oemid: Option<u64>,
    /// `attester_tcb`: whose hardware the evidence rests on, for instance `INTEL`.
    pub attester_tcb: Vec<String>,
    /// `submods.confidential_space.monitoring_enabled.memory`.
    pub memory_monitoring: Option<bool>,
    /// `submods.container.image_id`: digest of the image's configuration.
    pub image_id: Option<Digest>,
    /// `submods.nvidia_gpu.cc_mode`: `ON`, `OFF` or `DEVTOOLS`.
    pub gpu_cc_mode: Option<String>,
    /// `tdx`.
    pub tdx: Option<Tdx>,
    /// `https://aws.amazon.com/tags`, of AWS tokens only.
    pub aws_principal_tags: BTreeMap<String, Vec<String>>,
}

/// State of the TDX platform when the token was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tdx {
    /// `gcp_attester_tcb_status`: Intel's word for the level, for instance `UpToDate`.
    pub tcb_status: Option<String>,
    /// `gcp_attester_tcb_date`: RFC 3339, UTC.
    pub tcb_date: Option<String>,
}

impl Details {
    pub(crate) fn from_payload(payload: &Value) -> Self {
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Self {
            eat_profile: text("/eat_profile"),
            oemid: payload.get("oemid").and_then(Value::as_u64),
            attester_tcb: payload.get("attester_tcb").map(texts).unwrap_or_default(),
            memory_monitoring: payload
                .pointer("/submods/confidential_space/monitoring_enabled/memory")
                .and_then(Value::as_bool),
            image_id: text("/submods/container/image_id").and_then(|digest| Digest::parse(&digest).ok()),
            gpu_cc_mode: text("/submods/nvidia_gpu/cc_mode"),
            tdx: payload.get("tdx").or_else(|| payload.pointer("/submods/tdx")).and_then(Tdx::from_claim),
            aws_principal_tags: payload
                .get("https://aws.amazon.com/tags")
                .and_then(|tags| tags.get("principal_tags")?.as_object())
                .map(|tags| tags.iter().map(|(name, values)| (name.clone(), texts(values))).collect())
                .unwrap_or_default(),
        }
    }
}

impl Tdx {
    /// Documented as an array of one object, seen as an object, beside `submods` and in it.
    fn from_claim(claim: &Value) -> Option<Self> {
        let object = match claim {
            Value::Array(one) => one.first()?,
            other => other,
        };
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        object.as_object()?;
        Some(Self { tcb_status: text("gcp_attester_tcb_status"), tcb_date: text("gcp_attester_tcb_date") })
    }
}

/// A string or the strings of an array.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}
