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
    http::{Response, StatusCode, header},
    routing::post,
};
use csign_cel::federation;
use serde_json::{Map, Value, json};

use super::{Provider, provider::Parsed};
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
/// What every scope begins with. The simulator's tokens are good for every service, whatever their scope.
const SCOPES: &str = "https://www.googleapis.com/auth/";
const MAX_BODY: usize = 256 * 1024;
/// Seconds by which a token may come from the future.
const LEEWAY: u64 = 30;

/// The security token service; clones share its providers.
#[derive(Clone)]
pub struct Sts {
    providers: Arc<Mutex<BTreeMap<String, Arc<Parsed>>>>,
    issuer: Issuer,
    iam: Iam,
    clock: Clock,
    audit: Audit,
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sts").finish_non_exhaustive()
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
    /// A name of another form; a mapping or condition that Google would not accept.
    pub fn set_provider(&self, provider: Provider) -> crate::Result<()> {
        let parsed = Parsed::new(provider)?;
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        providers.insert(parsed.provider.name.clone(), Arc::new(parsed));
        Ok(())
    }

    /// The provider's settings, if there is one of this name.
    pub fn provider(&self, name: &str) -> Option<Provider> {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        providers.get(name).map(|parsed| parsed.provider.clone())
    }

    /// All providers, by name.
    pub fn providers(&self) -> Vec<Provider> {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        providers.values().map(|parsed| parsed.provider.clone()).collect()
    }

    /// Steps: 1. the form; 2. the provider; 3. signature and issuer; 4. times; 5. audience; 6. mapping; 7. condition;
    /// 8. the access token. Returns it with the clause that admitted.
    fn exchange(&self, form: &BTreeMap<String, String>) -> Result<(Value, String), Refusal> {
        // 1.
        let field = |name: &str| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
        if field("grant_type") != Some(GRANT) {
            return Err(refusal("unsupported_grant_type", format!("grant_type must be {GRANT}.")));
        }
        if field("requested_token_type") != Some(ACCESS_TOKEN) {
            return Err(refusal("invalid_request", format!("requested_token_type must be {ACCESS_TOKEN}.")));
        }
        if !field("subject_token_type").is_some_and(|t| SUBJECT_TYPES.contains(&t)) {
            return Err(refusal("invalid_request", format!("subject_token_type must be one of {SUBJECT_TYPES:?}.")));
        }
        if !field("scope").is_some_and(|scopes| scopes.split(' ').all(|scope| scope.starts_with(SCOPES))) {
            return Err(refusal("invalid_scope", format!("scope must contain {SCOPES}cloud-platform.")));
        }
        let token = form.get("subject_token").map(String::as_str);
        let token = token.ok_or_else(|| refusal("invalid_request", "subject_token is missing."))?;
        // 2.
        let name = field("audience").and_then(|a| a.strip_prefix("//iam.googleapis.com/"));
        let name = name.filter(|name| federation::pool_of(name).is_some()).ok_or_else(|| {
            refusal(
                "invalid_request",
                "Invalid value for \"audience\". This value should be the full resource name of the Identity Provider. \
                 See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible \
                 formats.",
            )
        })?;
        let provider = self.providers.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let provider = provider.filter(|parsed| !parsed.provider.disabled).ok_or_else(|| {
            refusal(
                "invalid_target",
                "The target service indicated by the \"audience\" parameters is invalid. This \
                might either be because the pool or provider is disabled or deleted or because it doesn't exist.",
            )
        })?;
        // 3.
        let claims = self.issuer.verify(token).map_err(|why| {
            refusal("invalid_grant", format!("Error connecting the given credential to the issuer: {why}."))
        })?;
        let expected = provider.provider.issuer.as_deref().unwrap_or(self.issuer.name());
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        if issuer != expected {
            return Err(refusal(
                "invalid_grant",
                format!("The issuer in ID Token {issuer} does not match the expected ones: {expected}."),
            ));
        }
        // 4.
        self.check_times(&claims)?;
        // 5.
        let audiences = match claims.get("aud") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !audiences.iter().any(|audience| provider.rules.is_for(audience)) {
            let audiences = audiences.join(", ");
            return Err(refusal(
                "invalid_grant",
                format!("The audience in ID Token [{audiences}] does not match the expected audience."),
            ));
        }
        // 6.
        let claims = Value::Object(claims);
        let identity = provider.rules.identity(&claims).map_err(|why| refusal("invalid_grant", why.to_string()))?;
        // 7.
        let clause = match provider.rules.condition() {
            None => "the provider has no condition: every token of its issuer is accepted".to_owned(),
            Some(condition) => {
                let explanation = condition.explain(&identity.variables(&claims));
                if !explanation.admits() {
                    return Err(refusal("unauthorized_client", explanation.to_string()));
                }
                "the provider's condition holds".to_owned()
            }
        };
        // 8.
        let identity = Identity::Federated { pool: provider.rules.pool().to_owned(), identity };
        let access = self.iam.issue(identity).map_err(|e| refusal("server_error", e.to_string()))?;
        let reply = json!({
            "access_token": access,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME,
        });
        Ok((reply, clause))
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
                Ok((_, clause)) => sts.audit.allow(decision, clause.clone()),
                Err(refused) => sts.audit.deny(decision, refused.description.clone()),
            }
            outcome
        }
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok((body, _)) => respond::json(StatusCode::OK, &body),
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

/// The request as a form (RFC 8693) or as JSON, whose members have the API's names.
async fn parse(request: Request) -> Result<BTreeMap<String, String>, Refusal> {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json");
    let body = respond::body(body, MAX_BODY).await.map_err(|e| refusal("invalid_request", e.message))?;
    if is_json {
        let Members { members } = csign_oci::json::from_slice(&body)
            .map_err(|e| refusal("invalid_request", format!("Invalid JSON payload received: {e}.")))?;
        return Ok(members.into_iter().map(|(name, value)| (snake(&name), value)).collect());
    }
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(&body) {
        if form.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(refusal("invalid_request", format!("{name} is given more than once.")));
        }
    }
    Ok(form)
}

#[derive(serde::Deserialize)]
struct Members {
    #[serde(flatten)]
    members: BTreeMap<String, String>,
}

/// `grantType` as `grant_type`.
fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

/// Who the token claims to be, for the log only: nothing is verified here.
fn unverified_subject(token: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let claims: Option<Value> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let subject = claims.as_ref().and_then(|claims| claims.get("sub")).and_then(Value::as_str);
    subject.map_or_else(|| "unreadable token".to_owned(), |subject| subject.chars().take(300).collect())
}
