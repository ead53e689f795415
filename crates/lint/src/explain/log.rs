//! Audit logs: the simulator's (JSON lines) and Cloud Audit Logs (`gcloud logging read --format=json`).

use serde::Serialize;
use serde_json::Value;

use super::of_reason;
use crate::{error::LintError, finding::printable, read::MAX_DOCUMENT};

/// Longest member of an entry in characters.
const MAX_MEMBER: usize = 600;
/// Most entries that are read; a log that has more is refused, so that no answer is about half of one.
const MAX_ENTRIES: usize = 200_000;

/// One decision that a service wrote down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Number of the entry in the log, from 0.
    pub number: usize,
    /// When, as the log says it.
    pub time: String,
    /// `sts`, `kms`, …
    pub service: String,
    /// What was asked for.
    pub method: String,
    /// Who asked.
    pub principal: String,
    /// Of what: a provider, a key, …
    pub resource: String,
    /// The verdict; absent if the entry does not say.
    pub allowed: Option<bool>,
    /// Why, in the service's words.
    pub reason: String,
    /// What to do about a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

/// The entries of a log, in its order.
///
/// # Errors
/// It is too large, or an entry is of neither form.
pub fn log_entries(file: &str, bytes: &[u8]) -> Result<Vec<LogEntry>, LintError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(LintError::TooLarge { file: file.to_owned(), limit: MAX_DOCUMENT });
    }
    let json = |bytes: &[u8]| {
        csign_oci::json::value_from_slice(bytes).map_err(|source| LintError::Json { file: file.to_owned(), source })
    };
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let values = if first == Some(&b'[') {
        match json(bytes)? {
            Value::Array(values) => values,
            other => vec![other],
        }
    } else if let Ok(one) = csign_oci::json::value_from_slice(bytes) {
        vec![one]
    } else {
        let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
        lines.map(json).collect::<Result<_, _>>()?
    };
    if values.is_empty() || values.len() > MAX_ENTRIES {
        return Err(LintError::Unknown { file: file.to_owned() });
    }
    let unknown = || LintError::Unknown { file: file.to_owned() };
    values.iter().enumerate().map(|(number, value)| entry(number, value).ok_or_else(unknown)).collect()
}

fn entry(number: usize, value: &Value) -> Option<LogEntry> {
    let mut entry = if value.get("clause").is_some() { of_simulator(value)? } else { of_google(value)? };
    entry.number = number;
    if entry.allowed == Some(false) {
        entry.advice = of_reason(&entry.reason);
    }
    Some(entry)
}

/// The simulator's: `docs/simulator.md`.
fn of_simulator(value: &Value) -> Option<LogEntry> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(|text| printable(text, MAX_MEMBER));
    Some(LogEntry {
        number: 0,
        time: value.get("time")?.as_u64()?.to_string(),
        service: text("service")?,
        method: text("method")?,
        principal: text("principal")?,
        resource: text("resource")?,
        allowed: Some(value.get("allowed")?.as_bool()?),
        reason: text("clause")?,
        advice: None,
    })
}

/// A `LogEntry` whose payload is a `google.cloud.audit.AuditLog`.
fn of_google(value: &Value) -> Option<LogEntry> {
    let payload = value.get("protoPayload")?;
    let at = |path: &str| payload.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = |text: Option<&str>| printable(text.unwrap_or("-"), MAX_MEMBER);
    let service = at("/serviceName")?;
    let granted = || payload.get("authorizationInfo").and_then(Value::as_array).into_iter().flatten();
    let denied = granted().find(|info| info.get("granted") != Some(&Value::Bool(true)));
    let code = payload.pointer("/status/code").and_then(Value::as_i64).unwrap_or_default();
    let message = at("/status/message");
    let allowed = code == 0 && denied.is_none();
    let permission = denied.and_then(|info| info.get("permission")).and_then(Value::as_str);
    let reason = match (message, permission) {
        (Some(message), _) => message.to_owned(),
        (None, Some(permission)) => format!("Permission '{permission}' denied on resource"),
        (None, None) if allowed => "granted".to_owned(),
        (None, None) => format!("status code {code}"),
    };
    let resource = at("/request/audience").or_else(|| at("/resourceName"));
    Some(LogEntry {
        number: 0,
        time: text(value.get("timestamp").and_then(Value::as_str)),
        service: text(Some(service.strip_suffix(".googleapis.com").unwrap_or(service))),
        method: text(at("/methodName").map(|method| method.rsplit('.').next().unwrap_or(method))),
        principal: text(
            at("/metadata/mapped_principal")
                .or_else(|| at("/metadata/mappedPrincipal"))
                .or_else(|| at("/authenticationInfo/principalSubject"))
                .or_else(|| at("/authenticationInfo/principalEmail")),
        ),
        resource: text(resource.map(|name| name.strip_prefix("//iam.googleapis.com/").unwrap_or(name))),
        allowed: Some(allowed),
        reason: printable(&reason, MAX_MEMBER),
        advice: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCHANGE: &str = r#"[{
      "timestamp": "2026-01-02T03:04:05Z", "severity": "ERROR",
      "protoPayload": {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "serviceName": "sts.googleapis.com",
        "methodName": "google.identity.sts.v1.SecurityTokenService.ExchangeToken",
        "resourceName": "projects/1/locations/global/workloadIdentityPools/p/providers/x",
        "request": {"audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"},
        "status": {"code": 3, "message": "The given credential is rejected by the attribute condition."}}},
     {"timestamp": "2026-01-02T03:04:06Z",
      "protoPayload": {
        "serviceName": "cloudkms.googleapis.com", "methodName": "Decrypt",
        "resourceName": "projects/a/locations/global/keyRings/r/cryptoKeys/k",
        "authenticationInfo": {"principalSubject": "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s"},
        "authorizationInfo": [{"permission": "cloudkms.cryptoKeyVersions.useToDecrypt", "resource": "r"}]}}]"#;

    #[test]
    fn refusals_of_sts_and_kms_are_named_with_what_to_do() {
        let entries = log_entries("log", EXCHANGE.as_bytes()).expect("a log");
        let [sts, kms] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((sts.service.as_str(), sts.method.as_str(), sts.allowed), ("sts", "ExchangeToken", Some(false)));
        assert_eq!(sts.resource, "projects/1/locations/global/workloadIdentityPools/p/providers/x");
        assert!(sts.advice.is_some_and(|advice| advice.contains("clause")));
        assert!(kms.principal.ends_with("/subject/s") && kms.allowed == Some(false));
        assert!(kms.advice.is_some_and(|advice| advice.contains("cryptoKeyDecrypter")), "{kms:?}");
    }

    #[test]
    fn a_permission_that_is_not_said_to_be_granted_was_denied() {
        let granted = EXCHANGE.replace("\"resource\": \"r\"", "\"resource\": \"r\", \"granted\": true");
        let entries = log_entries("log", granted.as_bytes()).expect("a log");
        assert_eq!(entries[1].allowed, Some(true));
    }

    #[test]
    fn what_is_no_entry_refuses_the_whole_log() {
        for text in ["", "[]", "{}", "[1]", "{\"clause\":1}", "{\"protoPayload\":{}}", "x"] {
            assert!(log_entries("log", text.as_bytes()).is_err(), "{text}");
        }
        let half = format!(
            "{}\n{{\"clause\":",
            r#"{"time":1,"service":"sts","method":"m","principal":"p","resource":"r","allowed":true,"clause":"c"}"#
        );
        assert!(log_entries("log", half.as_bytes()).is_err());
    }
}
