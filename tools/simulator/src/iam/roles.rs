//! Google's predefined roles, as far as the simulated services ask for their permissions.

/// Roles and what they allow.
const ROLES: [(&str, &[&str]); 26] = [
    ("roles/cloudkms.cryptoKeyEncrypter", &["cloudkms.cryptoKeyVersions.useToEncrypt"]),
    ("roles/cloudkms.cryptoKeyDecrypter", &["cloudkms.cryptoKeyVersions.useToDecrypt"]),
    (
        "roles/cloudkms.cryptoKeyEncrypterDecrypter",
        &["cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"],
    ),
    ("roles/cloudkms.signer", &["cloudkms.cryptoKeyVersions.useToSign"]),
    (
        "roles/cloudkms.signerVerifier",
        &["cloudkms.cryptoKeyVersions.useToSign", "cloudkms.cryptoKeyVersions.viewPublicKey"],
    ),
    ("roles/cloudkms.publicKeyViewer", &["cloudkms.cryptoKeyVersions.viewPublicKey"]),
    (
        "roles/cloudkms.viewer",
        &["cloudkms.cryptoKeys.get", "cloudkms.cryptoKeyVersions.get", "cloudkms.cryptoKeyVersions.list"],
    ),
    // It manages keys and may not use them.
    (
        "roles/cloudkms.admin",
        &[
            "cloudkms.cryptoKeys.create",
            "cloudkms.cryptoKeys.get",
            "cloudkms.cryptoKeys.getIamPolicy",
            "cloudkms.cryptoKeys.setIamPolicy",
            "cloudkms.cryptoKeys.update",
            "cloudkms.cryptoKeyVersions.create",
            "cloudkms.cryptoKeyVersions.destroy",
            "cloudkms.cryptoKeyVersions.get",
            "cloudkms.cryptoKeyVersions.list",
            "cloudkms.cryptoKeyVersions.restore",
            "cloudkms.cryptoKeyVersions.update",
            "cloudkms.keyRings.getIamPolicy",
            "cloudkms.keyRings.setIamPolicy",
        ],
    ),
    ("roles/pubsub.publisher", &["pubsub.topics.publish"]),
    ("roles/pubsub.subscriber", &["pubsub.subscriptions.consume", "pubsub.topics.attachSubscription"]),
    (
        "roles/pubsub.viewer",
        &["pubsub.topics.get", "pubsub.topics.list", "pubsub.subscriptions.get", "pubsub.subscriptions.list"],
    ),
    (
        "roles/pubsub.editor",
        &[
            "pubsub.subscriptions.consume",
            "pubsub.subscriptions.create",
            "pubsub.subscriptions.delete",
            "pubsub.subscriptions.get",
            "pubsub.subscriptions.list",
            "pubsub.subscriptions.update",
            "pubsub.topics.attachSubscription",
            "pubsub.topics.create",
            "pubsub.topics.delete",
            "pubsub.topics.get",
            "pubsub.topics.list",
            "pubsub.topics.publish",
            "pubsub.topics.update",
        ],
    ),
    ("roles/storage.objectViewer", &["storage.objects.get", "storage.objects.list"]),
    ("roles/storage.objectCreator", &["storage.objects.create"]),
    ("roles/storage.objectUser", OBJECTS),
    ("roles/storage.objectAdmin", OBJECTS),
    ("roles/storage.legacyBucketReader", &["storage.buckets.get", "storage.objects.list"]),
    (
        "roles/storage.admin",
        &[
            "storage.buckets.create",
            "storage.buckets.get",
            "storage.buckets.getIamPolicy",
            "storage.buckets.list",
            "storage.buckets.setIamPolicy",
            "storage.objects.create",
            "storage.objects.delete",
            "storage.objects.get",
            "storage.objects.list",
        ],
    ),
    ("roles/secretmanager.secretAccessor", &["secretmanager.versions.access"]),
    ("roles/secretmanager.secretVersionAdder", &["secretmanager.versions.add"]),
    ("roles/secretmanager.viewer", &["secretmanager.secrets.get", "secretmanager.versions.get"]),
    (
        "roles/secretmanager.secretVersionManager",
        &[
            "secretmanager.versions.add",
            "secretmanager.versions.destroy",
            "secretmanager.versions.disable",
            "secretmanager.versions.enable",
            "secretmanager.versions.get",
        ],
    ),
    (
        "roles/secretmanager.admin",
        &[
            "secretmanager.secrets.create",
            "secretmanager.secrets.delete",
            "secretmanager.secrets.get",
            "secretmanager.secrets.getIamPolicy",
            "secretmanager.secrets.setIamPolicy",
            "secretmanager.versions.access",
            "secretmanager.versions.add",
            "secretmanager.versions.destroy",
            "secretmanager.versions.disable",
            "secretmanager.versions.enable",
            "secretmanager.versions.get",
        ],
    ),
    ("roles/iam.serviceAccountTokenCreator", &["iam.serviceAccounts.getAccessToken"]),
    ("roles/iam.workloadIdentityUser", &["iam.serviceAccounts.getAccessToken"]),
    ("roles/iam.serviceAccountAdmin", &["iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.setIamPolicy"]),
];

const OBJECTS: &[&str] =
    &["storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list"];

/// Roles that a deployment binds and that allow nothing which a simulated service asks for.
const WITHOUT_COUNTERPART: [&str; 22] = [
    "roles/artifactregistry.admin",
    "roles/artifactregistry.createOnPushWriter",
    "roles/artifactregistry.reader",
    "roles/artifactregistry.repoAdmin",
    "roles/artifactregistry.writer",
    "roles/browser",
    "roles/cloudbuild.builds.builder",
    "roles/cloudbuild.builds.editor",
    "roles/cloudkms.cryptoKeyDecrypterViaDelegation",
    "roles/cloudkms.cryptoKeyEncrypterDecrypterViaDelegation",
    "roles/cloudkms.cryptoKeyEncrypterViaDelegation",
    "roles/compute.instanceAdmin.v1",
    "roles/compute.viewer",
    "roles/confidentialcomputing.workloadUser",
    "roles/iam.securityReviewer",
    "roles/iam.serviceAccountUser",
    "roles/iap.tunnelResourceAccessor",
    "roles/logging.logWriter",
    "roles/logging.viewer",
    "roles/monitoring.metricWriter",
    "roles/monitoring.viewer",
    "roles/viewer",
];
/// The owner of a project may do everything in it, decrypting included.
const OWNER: &str = "roles/owner";

/// Whether a binding of `held`, a role or a single permission, allows `permission`.
pub(super) fn allows(held: &str, permission: &str) -> bool {
    held == permission
        || held == OWNER
        || permissions(held).is_some_and(|permissions| permissions.contains(&permission))
}

/// Whether bindings may name it: a known role, or something of the form of a permission.
pub(super) fn is_known(held: &str) -> bool {
    held == OWNER
        || WITHOUT_COUNTERPART.contains(&held)
        || permissions(held).is_some()
        || (!held.starts_with("roles/") && held.split('.').count() == 3)
}

fn permissions(role: &str) -> Option<&'static [&'static str]> {
    ROLES.iter().find(|(name, _)| *name == role).map(|(_, permissions)| *permissions)
}
