//! `POST /v1/token`: the token exchange (RFC 8693) as Google's STS answers it, and the providers that it knows.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
    routing::post,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Condition, mapping};
use crate::{
    attestation::Issuer,
    audit::{Audit, Decision},
    clock::Clock,
    iam::{Iam, Identity, TOKEN_LIFETIME},
    respond,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const SUBJECT_TYPES: [&str; 2] = ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const MAX_BODY: usize = 256 * 1024;
/// Seconds by which a token may come from the future.
const LEEWAY: u64 = 30;

/// A workload identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    pub name: String,
    /// What an attestation token must say.
    pub condition: Condition,
}

/// The security token service; clones share its providers.
#[derive(Clone)]
pub struct Sts {
    providers: Arc<Mutex<BTreeMap<String, Condition>>>,
    issuer: Issuer,
    iam: Iam,
    clock: Clock,
    audit: Audit,
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sts").field("providers", &self.providers).finish_non_exhaustive()
    }
}

/// An OAuth error body.
struct Refusal {
    error: &'static str,
    description: String,
}

fn refusal(error: &'static str, description: impl Into<String>) -> Refusal {
    Refusal { error, description: description.into() }
}

impl Sts {
    pub(crate) fn new(issuer: Issuer, iam: Iam, clock: Clock, audit: Audit) -> Self {
        Self { providers: Arc::default(), issuer, iam, clock, audit }
    }

    /// Creates or replaces a provider. Tokens that were exchanged before stay alive, as they do at Google.
    ///
    /// # Errors
    /// A name of another form.
    pub fn set_provider(&self, provider: Provider) -> crate::Result<()> {
        if pool_of(&provider.name).is_none() {
            return Err(crate::Error::Config(format!(
                "{:?} is not projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
                provider.name
            )));
        }
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        providers.insert(provider.name, provider.condition);
        Ok(())
    }

    /// Steps: 1. the form; 2. the provider; 3. signature and issuer; 4. times; 5. audience; 6. condition; 7. mapping;
    /// 8. the access token.
    fn exchange(&self, form: &BTreeMap<String, String>) -> Result<Value, Refusal> {
        // 1.
        let field = |name: &str| form.get(name).map(String::as_str);
        if field("grant_type") != Some(GRANT) {
            return Err(refusal("unsupported_grant_type", format!("grant_type must be {GRANT}.")));
        }
        if field("requested_token_type") != Some(ACCESS_TOKEN) {
            return Err(refusal("invalid_request", format!("requested_token_type must be {ACCESS_TOKEN}.")));
        }
        if !field("subject_token_type").is_some_and(|t| SUBJECT_TYPES.contains(&t)) {
            return Err(refusal("invalid_request", format!("subject_token_type must be one of {SUBJECT_TYPES:?}.")));
        }
        if !field("scope").is_some_and(|scopes| scopes.split(' ').any(|scope| scope == SCOPE)) {
            return Err(refusal("invalid_scope", format!("scope must contain {SCOPE}.")));
        }
        let token = field("subject_token").ok_or_else(|| refusal("invalid_request", "subject_token is missing."))?;
        // 2.
        let name = field("audience").and_then(|a| a.strip_prefix("//iam.googleapis.com/"));
        let provider = name.filter(|name| pool_of(name).is_some()).ok_or_else(|| {
            refusal(
                "invalid_request",
                "Invalid value for \"audience\". It must be the full resource name of the provider.",
            )
        })?;
        let condition = self.providers.lock().unwrap_or_else(PoisonError::into_inner).get(provider).cloned();
        let condition = condition.ok_or_else(|| {
            refusal(
                "invalid_target",
                "The target service indicated by the \"audience\" parameters is invalid. This \
                might either be because the pool or provider is disabled or deleted or because it doesn't exist.",
            )
        })?;
        let pool = pool_of(provider).unwrap_or_default();
        // 3.
        let claims = self.issuer.verify(token).map_err(|why| {
            refusal("invalid_grant", format!("Error connecting the given credential to the issuer: {why}."))
        })?;
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.name()) {
            return Err(refusal("invalid_grant", "The issuer in ID Token does not match the expected issuer."));
        }
        // 4.
        self.check_times(&claims)?;
        // 5.
        let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
        let expected = format!("//iam.googleapis.com/{provider}");
        if audience.strip_prefix("https:").unwrap_or(audience) != expected {
            return Err(refusal(
                "invalid_grant",
                format!("The audience in ID Token [{audience}] does not match the expected audience."),
            ));
        }
        // 6.
        condition.evaluate(&claims).map_err(|clause| Refusal { error: "unauthorized_client", description: clause })?;
        // 7.
        let mapped = mapping::map(&claims).map_err(|why| refusal("invalid_grant", why))?;
        // 8.
        let identity =
            Identity::Federated { pool: pool.to_owned(), subject: mapped.subject, attributes: mapped.attributes };
        let access = self.iam.issue(identity).map_err(|e| refusal("server_error", e.to_string()))?;
        Ok(json!({
            "access_token": access,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME,
        }))
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let time = |name: &str| {
            let missing = || refusal("invalid_grant", format!("The ID Token has no valid claim {name:?}."));
            claims.get(name).and_then(Value::as_u64).ok_or_else(missing)
        };
        let now = self.clock.now();
        let (issued, not_before, expires) = (time("iat")?, time("nbf")?, time("exp")?);
        if expires <= now {
            return Err(refusal("invalid_grant", format!("ID Token issued at {issued} is stale to sign-in.")));
        }
        if issued > now + LEEWAY || not_before > now + LEEWAY {
            return Err(refusal("invalid_grant", format!("ID Token issued at {issued} is not yet valid.")));
        }
        Ok(())
    }
}

/// The pool of a provider's resource name, if the name has the right form.
fn pool_of(provider: &str) -> Option<&str> {
    let parts: Vec<&str> = provider.split('/').collect();
    let ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", id] = parts[..] else {
        return None;
    };
    let id_like =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let number_like = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (number_like && id_like(pool) && id_like(id)).then(|| &provider[..provider.len() - "/providers/".len() - id.len()])
}

/// The STS endpoint.
pub(crate) fn routes(sts: &Sts) -> Router {
    Router::new().route("/v1/token", post(handle)).with_state(sts.clone())
}

async fn handle(State(sts): State<Sts>, request: Request) -> Response<Body> {
    let outcome = match parse(request).await {
        Ok(form) => {
            let provider = form.get("audience").map_or("none", String::as_str).to_owned();
            let outcome = sts.exchange(&form);
            let subject =
                form.get("subject_token").map_or_else(|| "none".to_owned(), |token| unverified_subject(token));
            let decision = Decision { service: "sts", method: "exchange", principal: &subject, resource: &provider };
            match &outcome {
                Ok(_) => sts.audit.allow(decision, "the provider's condition holds"),
                Err(refused) => sts.audit.deny(decision, refused.description.clone()),
            }
            outcome
        }
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(body) => respond::json(StatusCode::OK, &body),
        Err(Refusal { error, description }) => {
            // The clause is for the provider's owner, who reads the audit log, not for whoever tries.
            let description = match error {
                "unauthorized_client" => "The given credential is rejected by the attribute condition.".to_owned(),
                _ => description,
            };
            respond::json(StatusCode::BAD_REQUEST, &json!({"error": error, "error_description": description}))
        }
    }
}

async fn parse(request: Request) -> Result<BTreeMap<String, String>, Refusal> {
    let body = respond::body(request.into_body(), MAX_BODY).await.map_err(|e| refusal("invalid_request", e.message))?;
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(&body) {
        if form.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(refusal("invalid_request", format!("{name} is given more than once.")));
        }
    }
    Ok(form)
}

/// Who the token claims to be, for the log only: nothing is verified here.
fn unverified_subject(token: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let claims: Option<Value> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let subject = claims.as_ref().and_then(|claims| claims.get("sub")).and_then(Value::as_str);
    subject.map_or_else(|| "unreadable token".to_owned(), |subject| subject.chars().take(300).collect())
}
