//! Policies over the wire: `getIamPolicy`, `setIamPolicy`, `testIamPermissions`, REST and gRPC (`google.iam.v1`).

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::Response,
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Call, Iam, canonical, roles};
use crate::{
    fields::Fields,
    grpc::{unary, unknown},
    respond::{ApiError, Code, Rest},
};

/// What members may begin with.
const MEMBERS: [&str; 6] = ["user:", "serviceAccount:", "group:", "domain:", "principal://", "principalSet://"];
const EVERYONE: [&str; 2] = ["allUsers", "allAuthenticatedUsers"];

#[derive(Clone, PartialEq, prost::Message)]
struct Policy {
    #[prost(int32, tag = "1")]
    version: i32,
    #[prost(bytes = "vec", tag = "3")]
    etag: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    bindings: Vec<PolicyBinding>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PolicyBinding {
    #[prost(string, tag = "1")]
    role: String,
    #[prost(string, repeated, tag = "2")]
    members: Vec<String>,
    /// A condition is refused: the simulator would not evaluate it.
    #[prost(message, optional, tag = "3")]
    condition: Option<()>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SetRequest {
    #[prost(string, tag = "1")]
    resource: String,
    #[prost(message, optional, tag = "2")]
    policy: Option<Policy>,
}

/// Of `getIamPolicy` and `testIamPermissions`.
#[derive(Clone, PartialEq, prost::Message)]
struct GetRequest {
    #[prost(string, tag = "1")]
    resource: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TestRequest {
    #[prost(string, tag = "1")]
    resource: String,
    #[prost(string, repeated, tag = "2")]
    permissions: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TestResponse {
    #[prost(string, repeated, tag = "1")]
    permissions: Vec<String>,
}

impl Iam {
    fn policy_call(&self, token: Option<&str>, request: &GetRequest) -> Result<Policy, ApiError> {
        let permission = permission(&request.resource, "getIamPolicy")?;
        let call = Call {
            service: "iam",
            method: "getIamPolicy",
            token,
            permission: &permission,
            resource: &request.resource,
        };
        self.perform(call, || Ok(self.policy(&request.resource)))
    }

    fn policy(&self, resource: &str) -> Policy {
        let resource = canonical(resource);
        let mut bindings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for binding in self.bindings() {
            if binding.resource == resource {
                bindings.entry(binding.permission).or_default().push(binding.member);
            }
        }
        let mut hash = Sha256::new();
        for (role, members) in &bindings {
            hash.update(format!("{role}\n{members:?}\n"));
        }
        let etag = hash.finalize().iter().take(8).copied().collect();
        let bindings = bindings.into_iter().map(|(role, members)| PolicyBinding { role, members, condition: None });
        Policy { version: 1, etag, bindings: bindings.collect() }
    }

    fn set_policy_call(&self, token: Option<&str>, request: SetRequest) -> Result<Policy, ApiError> {
        let resource = &request.resource;
        let permission = permission(resource, "setIamPolicy")?;
        let call = Call { service: "iam", method: "setIamPolicy", token, permission: &permission, resource };
        self.perform(call, || {
            let policy = request.policy.ok_or_else(|| invalid("The policy is missing."))?;
            self.set_policy(resource, policy)
        })
    }

    /// Replaces the policy of a resource, if nobody else has changed it since it was read.
    fn set_policy(&self, resource: &str, policy: Policy) -> Result<Policy, ApiError> {
        if !policy.etag.is_empty() && policy.etag != self.policy(resource).etag {
            return Err(ApiError::new(
                Code::Aborted,
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential \
                     backoff.",
            ));
        }
        let mut bindings = BTreeSet::new();
        for binding in policy.bindings {
            if binding.condition.is_some() {
                return Err(invalid("The simulator has no conditions on bindings."));
            }
            check_role(&binding.role)?;
            for member in binding.members {
                check_member(&member)?;
                bindings.insert((binding.role.clone(), member));
            }
        }
        self.replace(resource, bindings);
        Ok(self.policy(resource))
    }

    /// The policy of a resource of any kind, without asking who wants to know.
    pub(crate) fn policy_json(&self, resource: &str) -> Value {
        to_json(&self.policy(resource))
    }

    /// Replaces the policy of a resource of any kind, without asking who wants to.
    pub(crate) fn set_policy_json(&self, resource: &str, policy: &Fields) -> Result<Value, ApiError> {
        self.set_policy(resource, from_json(policy)?).map(|policy| to_json(&policy))
    }

    /// Forgets who may do what on a resource that is gone.
    pub(crate) fn forget(&self, resource: &str) {
        self.replace(resource, BTreeSet::new());
    }

    /// Asks for no permission: everyone may know what they may do.
    fn test_permissions(&self, token: Option<&str>, request: TestRequest) -> Result<TestResponse, ApiError> {
        let identity = self.identity(token)?;
        let resource = canonical(&request.resource);
        let held = |permission: &String| self.admitting(&identity, permission, &resource).is_some();
        Ok(TestResponse { permissions: request.permissions.into_iter().filter(held).collect() })
    }

    /// Answers a REST call, if it is one of these.
    pub(crate) fn policy_rest(&self, call: &Rest<'_>) -> Option<Result<Value, ApiError>> {
        let (resource, verb) = call.resource.rsplit_once(':')?;
        let resource = resource.to_owned();
        let is_post = call.method == axum::http::Method::POST;
        match verb {
            "getIamPolicy" => Some(self.read_policy(call.token, resource)),
            "setIamPolicy" if is_post => Some(self.set_from_json(call, resource)),
            "testIamPermissions" if is_post => Some(self.test_from_json(call, resource)),
            _ => None,
        }
    }

    fn set_from_json(&self, call: &Rest<'_>, resource: String) -> Result<Value, ApiError> {
        let body = Fields::parse(call.body)?;
        let policy = if body.get("policy").is_some() { Some(body.object("policy")?) } else { None };
        self.write_policy(call.token, resource, policy.as_ref())
    }

    fn test_from_json(&self, call: &Rest<'_>, resource: String) -> Result<Value, ApiError> {
        self.held_permissions(call.token, resource, Fields::parse(call.body)?.texts("permissions")?)
    }

    /// The policy of a resource, for whoever may read it.
    pub(crate) fn read_policy(&self, token: Option<&str>, resource: String) -> Result<Value, ApiError> {
        self.policy_call(token, &GetRequest { resource }).map(|policy| to_json(&policy))
    }

    /// Replaces the policy of a resource, for whoever may.
    pub(crate) fn write_policy(
        &self,
        token: Option<&str>,
        resource: String,
        policy: Option<&Fields>,
    ) -> Result<Value, ApiError> {
        let policy = policy.map(from_json).transpose()?;
        self.set_policy_call(token, SetRequest { resource, policy }).map(|policy| to_json(&policy))
    }

    /// Which of these permissions the caller has.
    pub(crate) fn held_permissions(
        &self,
        token: Option<&str>,
        resource: String,
        permissions: Vec<String>,
    ) -> Result<Value, ApiError> {
        let reply = self.test_permissions(token, TestRequest { resource, permissions })?;
        Ok(json!({"permissions": reply.permissions}))
    }
}

/// Refuses a role that Google does not have, as far as the simulator knows.
pub(crate) fn check_role(role: &str) -> Result<(), ApiError> {
    if roles::is_known(role) {
        return Ok(());
    }
    Err(invalid(format!("Role {role} is not supported for this resource.")))
}

/// Refuses a member of a kind that there is not.
pub(crate) fn check_member(member: &str) -> Result<(), ApiError> {
    let known = EVERYONE.contains(&member)
        || MEMBERS.iter().any(|kind| member.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()));
    if known { Ok(()) } else { Err(invalid(format!("The member {member} is of an unknown type."))) }
}

fn to_json(policy: &Policy) -> Value {
    let bindings = policy.bindings.iter().map(|b| json!({"role": b.role, "members": b.members}));
    json!({"version": 1, "etag": STANDARD.encode(&policy.etag), "bindings": bindings.collect::<Vec<_>>()})
}

fn from_json(policy: &Fields) -> Result<Policy, ApiError> {
    let mut bindings = Vec::new();
    for binding in policy.get("bindings").and_then(Value::as_array).into_iter().flatten() {
        let binding = Fields::parse(binding.to_string().as_bytes())?;
        bindings.push(PolicyBinding {
            role: binding.text("role")?,
            members: binding.texts("members")?,
            condition: binding.get("condition").map(|_| ()),
        });
    }
    Ok(Policy { version: 1, etag: policy.bytes("etag")?, bindings })
}

/// The permission to read or write the policy of a resource, by the kind of the resource.
fn permission(resource: &str, verb: &str) -> Result<String, ApiError> {
    const KINDS: [(&str, &str); 7] = [
        ("buckets", "storage.buckets"),
        ("cryptoKeys", "cloudkms.cryptoKeys"),
        ("keyRings", "cloudkms.keyRings"),
        ("secrets", "secretmanager.secrets"),
        ("topics", "pubsub.topics"),
        ("subscriptions", "pubsub.subscriptions"),
        ("serviceAccounts", "iam.serviceAccounts"),
    ];
    let mut segments = resource.rsplit('/');
    let kind = segments.next().and(segments.next());
    let kind = KINDS.iter().find(|(name, _)| kind == Some(name)).map(|(_, kind)| format!("{kind}.{verb}"));
    kind.ok_or_else(|| invalid(format!("The simulator keeps no policy of {resource:?}.")))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}

/// The gRPC routes.
pub(crate) fn routes(iam: &Iam) -> Router {
    Router::new().route("/google.iam.v1.IAMPolicy/{method}", post(handle)).with_state(iam.clone())
}

async fn handle(State(iam): State<Iam>, Path(method): Path<String>, request: Request) -> Response<Body> {
    match method.as_str() {
        "GetIamPolicy" => unary(request, move |token, q| iam.policy_call(token, &q)).await,
        "SetIamPolicy" => unary(request, move |token, q| iam.set_policy_call(token, q)).await,
        "TestIamPermissions" => unary(request, move |token, q| iam.test_permissions(token, q)).await,
        _ => unknown(&method),
    }
}
