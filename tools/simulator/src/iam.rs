//! IAM: identities behind access tokens, and the bindings that say what each may do.
//!
//! Members are compared as whole strings; an identity knows every member string that it answers to. So a value that
//! contains `/` or is a prefix of another one can never be mistaken for it.

mod credentials;
mod policy;
mod roles;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use csign_cel::federation;

use crate::{
    audit::{Audit, Decision},
    clock::Clock,
    config::Binding,
    respond::{ApiError, Code},
};

pub(crate) use policy::{check_member, check_role, routes};

/// Seconds that an access token lives.
pub const TOKEN_LIFETIME: u64 = 3600;

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// No access token.
    Anonymous,
    /// A member of the form `user:…` or `serviceAccount:…`.
    Member(String),
    /// Whoever holds the control token, under the name of this account: the owner of everything.
    Owner(String),
    /// An identity that STS accepted for a workload identity pool.
    Federated {
        /// `projects/N/locations/global/workloadIdentityPools/P`.
        pool: String,
        /// What the token's claims became.
        identity: federation::Identity,
    },
}

impl Identity {
    /// Every member string that admits this identity.
    pub fn members(&self) -> Vec<String> {
        let mut members = vec!["allUsers".to_owned()];
        match self {
            Self::Anonymous => {}
            Self::Member(member) | Self::Owner(member) => {
                members.push("allAuthenticatedUsers".to_owned());
                members.push(member.clone());
            }
            Self::Federated { pool, identity } => members.extend(identity.members(pool)),
        }
        members
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Member(member) | Self::Owner(member) => f.write_str(member),
            Self::Federated { pool, identity } => {
                write!(f, "principal://iam.googleapis.com/{pool}/subject/{}", identity.subject)
            }
        }
    }
}

/// Bindings and live access tokens; clones share them.
#[derive(Clone, Debug)]
pub struct Iam {
    state: Arc<Mutex<State>>,
    clock: Clock,
    audit: Audit,
}

#[derive(Default)]
struct State {
    bindings: BTreeMap<(String, String), BTreeSet<String>>,
    tokens: HashMap<String, (Identity, u64)>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("bindings", &self.bindings).finish_non_exhaustive()
    }
}

/// A call of an API, before anyone asked whether it is allowed.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) permission: &'a str,
    pub(crate) resource: &'a str,
}

/// An admitted request: who it was and which binding admitted it.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    pub(crate) clause: String,
}

impl Iam {
    pub(crate) fn new(clock: Clock, audit: Audit) -> Self {
        Self { state: Arc::default(), clock, audit }
    }

    /// Lets `member` do `permission`, or all that a role such as `roles/cloudkms.cryptoKeyDecrypter` allows, on
    /// `resource` and everything below it.
    pub fn bind(&self, resource: &str, permission: &str, member: &str) {
        let key = (canonical(resource), permission.to_owned());
        self.state().bindings.entry(key).or_default().insert(member.to_owned());
    }

    /// Takes a binding back; live tokens lose the permission at once. Whether there was such a binding.
    pub fn unbind(&self, resource: &str, permission: &str, member: &str) -> bool {
        let key = (canonical(resource), permission.to_owned());
        self.state().bindings.get_mut(&key).is_some_and(|members| members.remove(member))
    }

    /// All bindings, sorted.
    pub fn bindings(&self) -> Vec<Binding> {
        let state = self.state();
        let flat = state.bindings.iter().flat_map(|((resource, permission), members)| {
            members.iter().map(|member| Binding {
                resource: resource.clone(),
                permission: permission.clone(),
                member: member.clone(),
            })
        });
        flat.collect()
    }

    /// An opaque access token for `identity`, alive for [`TOKEN_LIFETIME`] seconds.
    pub fn issue(&self, identity: Identity) -> crate::Result<String> {
        self.issue_for(identity, TOKEN_LIFETIME)
    }

    /// Whether a binding may name this permission or role.
    pub(crate) fn knows(permission: &str) -> bool {
        roles::is_known(permission)
    }

    /// Replaces all bindings of one resource.
    fn replace(&self, resource: &str, bindings: BTreeSet<(String, String)>) {
        let resource = canonical(resource);
        let mut state = self.state();
        state.bindings.retain(|(bound, _), _| *bound != resource);
        for (permission, member) in bindings {
            state.bindings.entry((resource.clone(), permission)).or_default().insert(member);
        }
    }

    pub(crate) fn issue_for(&self, identity: Identity, seconds: u64) -> crate::Result<String> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|e| crate::Error::Key(format!("no randomness: {e}")))?;
        let token = format!("ya29.simulated.{}", hex(&random));
        let now = self.clock.now();
        let mut state = self.state();
        state.tokens.retain(|_, (_, expires)| *expires > now);
        state.tokens.insert(token.clone(), (identity, now + seconds));
        Ok(token)
    }

    /// Asks whether the call is allowed, does its work, and writes the outcome to the log.
    pub(crate) fn perform<T>(&self, call: Call<'_>, work: impl FnOnce() -> Result<T, ApiError>) -> Result<T, ApiError> {
        let Call { service, method, token, permission, resource } = call;
        let admitted = self.authorize(service, method, token, permission, resource)?;
        let principal = admitted.identity.to_string();
        let decision = Decision { service, method, principal: &principal, resource };
        let outcome = work();
        match &outcome {
            Ok(_) => self.audit.allow(decision, admitted.clause),
            Err(error) => self.audit.deny(decision, error.message.clone()),
        }
        outcome
    }

    /// Decides whether the bearer of `token` may do `permission` on `resource`, and writes the decision to the log.
    pub(crate) fn authorize(
        &self,
        service: &str,
        method: &str,
        token: Option<&str>,
        permission: &str,
        resource: &str,
    ) -> Result<Admitted, ApiError> {
        let identity = self.identity(token).inspect_err(|_| {
            let decision = Decision { service, method, principal: "unknown", resource };
            self.audit.deny(decision, "the access token is unknown or has expired");
        })?;
        let principal = identity.to_string();
        let decision = Decision { service, method, principal: &principal, resource };
        match self.admitting(&identity, permission, resource) {
            Some(clause) => Ok(Admitted { identity, clause }),
            None if identity == Identity::Anonymous => {
                self.audit.deny(decision, format!("no access token, and no binding of {permission} to allUsers"));
                Err(ApiError::new(
                    Code::Unauthenticated,
                    "Request is missing required authentication credential. Expected OAuth 2 access token, login \
                     cookie or other valid authentication credential.",
                ))
            }
            None => {
                self.audit.deny(decision, format!("no binding of {permission} to any of {:?}", identity.members()));
                Err(ApiError::new(
                    Code::PermissionDenied,
                    format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist)."),
                ))
            }
        }
    }

    fn identity(&self, token: Option<&str>) -> Result<Identity, ApiError> {
        let Some(token) = token else { return Ok(Identity::Anonymous) };
        match self.state().tokens.get(token) {
            Some((identity, expires)) if *expires > self.clock.now() => Ok(identity.clone()),
            _ => Err(ApiError::new(
                Code::Unauthenticated,
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                 other valid authentication credential.",
            )),
        }
    }

    /// The binding on `resource` or a parent of it that admits `identity`.
    fn admitting(&self, identity: &Identity, permission: &str, resource: &str) -> Option<String> {
        if let Identity::Owner(_) = identity {
            return Some("the control token".to_owned());
        }
        let members = identity.members();
        let resource = canonical(resource);
        let state = self.state();
        let mut level = Some(resource.as_str());
        while let Some(current) = level {
            let from = (current.to_owned(), String::new());
            for ((_, held), bound) in state.bindings.range(from..).take_while(|((bound, _), _)| bound == current) {
                let member = members.iter().find(|member| bound.contains(*member));
                if let Some(member) = member.filter(|_| roles::allows(held, permission)) {
                    let role = if held == permission { "" } else { &format!(" through {held}") };
                    return Some(format!("{member} has {permission}{role} on {current}"));
                }
            }
            level = current.rsplit_once('/').map(|(parent, _)| parent);
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A service account belongs to the project of its address, whichever project a request names, `-` included.
fn canonical(resource: &str) -> String {
    let account = resource.strip_prefix("projects/").and_then(|rest| rest.split_once("/serviceAccounts/"));
    let project = account.and_then(|(_, email)| {
        let domain = email.split('/').next()?.split_once('@')?.1;
        domain.strip_suffix(".iam.gserviceaccount.com")
    });
    match (account, project) {
        (Some((_, email)), Some(project)) => format!("projects/{project}/serviceAccounts/{email}"),
        _ => resource.to_owned(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "projects/1/locations/global/workloadIdentityPools/p";

    fn iam() -> Iam {
        let clock = Clock::default();
        Iam::new(clock.clone(), Audit::new(clock))
    }

    fn federated(value: &str) -> Identity {
        let attributes = BTreeMap::from([("image".to_owned(), value.to_owned())]);
        let identity = federation::Identity { subject: "s".to_owned(), groups: Vec::new(), attributes };
        Identity::Federated { pool: POOL.to_owned(), identity }
    }

    fn allowed(iam: &Iam, identity: Identity, resource: &str) -> bool {
        let token = iam.issue(identity).expect("token");
        iam.authorize("kms", "decrypt", Some(&token), "use", resource).is_ok()
    }

    #[test]
    fn an_attribute_value_that_is_a_prefix_of_the_bound_one_is_not_admitted() {
        let iam = iam();
        iam.bind("keys/a", "use", &format!("principalSet://iam.googleapis.com/{POOL}/attribute.image/x/y"));
        assert!(allowed(&iam, federated("x/y"), "keys/a"));
        for other in ["x", "x/", "x/y/z", "x/y ", "X/y"] {
            assert!(!allowed(&iam, federated(other), "keys/a"), "{other:?} was admitted");
        }
    }

    #[test]
    fn a_binding_covers_children_but_no_sibling_with_the_same_prefix() {
        let iam = iam();
        iam.bind("keys/a", "use", "user:x@example.com");
        let user = || Identity::Member("user:x@example.com".to_owned());
        assert!(allowed(&iam, user(), "keys/a/versions/1"));
        assert!(!allowed(&iam, user(), "keys/ab"));
        assert!(!allowed(&iam, user(), "keys"));
    }

    #[test]
    fn a_removed_binding_and_an_expired_token_stop_working_at_once() {
        let iam = iam();
        iam.bind("keys/a", "use", "user:x@example.com");
        let token = iam.issue(Identity::Member("user:x@example.com".to_owned())).expect("token");
        assert!(iam.authorize("kms", "decrypt", Some(&token), "use", "keys/a").is_ok());
        assert!(iam.unbind("keys/a", "use", "user:x@example.com"));
        let error = iam.authorize("kms", "decrypt", Some(&token), "use", "keys/a").expect_err("unbound");
        assert_eq!(error.code, Code::PermissionDenied);
        iam.bind("keys/a", "use", "user:x@example.com");
        iam.clock.advance(std::time::Duration::from_secs(TOKEN_LIFETIME));
        let error = iam.authorize("kms", "decrypt", Some(&token), "use", "keys/a").expect_err("expired");
        assert_eq!(error.code, Code::Unauthenticated);
    }

    #[test]
    fn without_a_token_only_all_users_is_admitted() {
        let iam = iam();
        iam.bind("keys/a", "use", "allAuthenticatedUsers");
        assert!(iam.authorize("kms", "decrypt", None, "use", "keys/a").is_err());
        iam.bind("keys/a", "use", "allUsers");
        assert!(iam.authorize("kms", "decrypt", None, "use", "keys/a").is_ok());
    }
}
