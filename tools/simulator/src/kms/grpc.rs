//! The gRPC side of Cloud KMS v1, which Google's clients for Python, Go and Java speak.

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::Response,
    routing::post,
};

use super::{keyring::Kms, messages as pb};
use crate::grpc::{unary, unknown};

/// The gRPC routes.
pub(crate) fn routes(kms: &Kms) -> Router {
    Router::new().route("/google.cloud.kms.v1.KeyManagementService/{method}", post(handle)).with_state(kms.clone())
}

async fn handle(State(kms): State<Kms>, Path(method): Path<String>, request: Request) -> Response<Body> {
    match method.as_str() {
        "Encrypt" => unary(request, move |token, q| kms.encrypt(token, q)).await,
        "Decrypt" => unary(request, move |token, q| kms.decrypt(token, q)).await,
        "AsymmetricSign" => unary(request, move |token, q| kms.asymmetric_sign(token, q)).await,
        "AsymmetricDecrypt" => unary(request, move |token, q| kms.asymmetric_decrypt(token, q)).await,
        "GetPublicKey" => unary(request, move |token, q: pb::Name| kms.public_key(token, q)).await,
        "GetCryptoKey" => unary(request, move |token, q| kms.get_key(token, q)).await,
        "CreateCryptoKey" => unary(request, move |token, q| kms.create_key_call(token, q)).await,
        "GetCryptoKeyVersion" => unary(request, move |token, q| kms.get_version(token, q)).await,
        "ListCryptoKeyVersions" => unary(request, move |token, q| kms.list_versions(token, q)).await,
        "CreateCryptoKeyVersion" => unary(request, move |token, q| kms.create_version_call(token, q)).await,
        "UpdateCryptoKeyVersion" => unary(request, move |token, q| kms.update_version(token, q)).await,
        "UpdateCryptoKeyPrimaryVersion" => unary(request, move |token, q| kms.update_primary(token, q)).await,
        "DestroyCryptoKeyVersion" => unary(request, move |token, q| kms.destroy(token, q)).await,
        "RestoreCryptoKeyVersion" => unary(request, move |token, q| kms.restore(token, q)).await,
        _ => unknown(&method),
    }
}
