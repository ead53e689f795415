//! Protocol buffer messages of `google.cloud.kms.v1`, as far as the simulator reads and writes them. REST requests
//! become the same messages.

use crate::respond::Timestamp;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EncryptRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) plaintext: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) additional_authenticated_data: Vec<u8>,
    #[prost(message, optional, tag = "7")]
    pub(super) plaintext_crc32c: Option<i64>,
    #[prost(message, optional, tag = "8")]
    pub(super) additional_authenticated_data_crc32c: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EncryptResponse {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ciphertext: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    pub(super) ciphertext_crc32c: Option<i64>,
    #[prost(bool, tag = "5")]
    pub(super) verified_plaintext_crc32c: bool,
    #[prost(bool, tag = "6")]
    pub(super) verified_additional_authenticated_data_crc32c: bool,
    #[prost(int32, tag = "7")]
    pub(super) protection_level: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DecryptRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ciphertext: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) additional_authenticated_data: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub(super) ciphertext_crc32c: Option<i64>,
    #[prost(message, optional, tag = "6")]
    pub(super) additional_authenticated_data_crc32c: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DecryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) plaintext: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(super) plaintext_crc32c: Option<i64>,
    #[prost(bool, tag = "3")]
    pub(super) used_primary: bool,
    #[prost(int32, tag = "4")]
    pub(super) protection_level: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AsymmetricSignRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "3")]
    pub(super) digest: Option<Digest>,
    #[prost(message, optional, tag = "4")]
    pub(super) digest_crc32c: Option<i64>,
    #[prost(bytes = "vec", tag = "6")]
    pub(super) data: Vec<u8>,
    #[prost(message, optional, tag = "7")]
    pub(super) data_crc32c: Option<i64>,
}

/// At most one member is set.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Digest {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) sha256: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) sha384: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) sha512: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AsymmetricSignResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) signature: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(super) signature_crc32c: Option<i64>,
    #[prost(bool, tag = "3")]
    pub(super) verified_digest_crc32c: bool,
    #[prost(string, tag = "4")]
    pub(super) name: String,
    #[prost(bool, tag = "5")]
    pub(super) verified_data_crc32c: bool,
    #[prost(int32, tag = "6")]
    pub(super) protection_level: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AsymmetricDecryptRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) ciphertext: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    pub(super) ciphertext_crc32c: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AsymmetricDecryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) plaintext: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(super) plaintext_crc32c: Option<i64>,
    #[prost(bool, tag = "3")]
    pub(super) verified_ciphertext_crc32c: bool,
    #[prost(int32, tag = "4")]
    pub(super) protection_level: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PublicKey {
    #[prost(string, tag = "1")]
    pub(super) pem: String,
    #[prost(int32, tag = "2")]
    pub(super) algorithm: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) pem_crc32c: Option<i64>,
    #[prost(string, tag = "4")]
    pub(super) name: String,
    #[prost(int32, tag = "5")]
    pub(super) protection_level: i32,
    #[prost(int32, tag = "7")]
    pub(super) public_key_format: i32,
}

/// Every request whose only member that matters is the name: get, destroy, restore, getPublicKey.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Name {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CryptoKey {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) primary: Option<CryptoKeyVersion>,
    #[prost(int32, tag = "3")]
    pub(super) purpose: i32,
    #[prost(message, optional, tag = "5")]
    pub(super) create_time: Option<Timestamp>,
    #[prost(message, optional, tag = "11")]
    pub(super) version_template: Option<Template>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Template {
    #[prost(int32, tag = "1")]
    pub(super) protection_level: i32,
    #[prost(int32, tag = "3")]
    pub(super) algorithm: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CryptoKeyVersion {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(message, optional, tag = "4")]
    pub(super) create_time: Option<Timestamp>,
    #[prost(message, optional, tag = "5")]
    pub(super) destroy_time: Option<Timestamp>,
    #[prost(int32, tag = "7")]
    pub(super) protection_level: i32,
    #[prost(int32, tag = "10")]
    pub(super) algorithm: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListVersionsRequest {
    #[prost(string, tag = "1")]
    pub(super) parent: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListVersionsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) crypto_key_versions: Vec<CryptoKeyVersion>,
    #[prost(int32, tag = "3")]
    pub(super) total_size: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UpdateVersionRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) crypto_key_version: Option<CryptoKeyVersion>,
    #[prost(message, optional, tag = "2")]
    pub(super) update_mask: Option<FieldMask>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FieldMask {
    #[prost(string, repeated, tag = "1")]
    pub(super) paths: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UpdatePrimaryRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) crypto_key_version_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CreateKeyRequest {
    #[prost(string, tag = "1")]
    pub(super) parent: String,
    #[prost(string, tag = "2")]
    pub(super) crypto_key_id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) crypto_key: Option<CryptoKey>,
}
