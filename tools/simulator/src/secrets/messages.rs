//! Protocol buffer messages of `google.cloud.secretmanager.v1`, as far as the simulator reads and writes them.

use crate::respond::Timestamp;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Name {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CreateSecretRequest {
    #[prost(string, tag = "1")]
    pub(super) parent: String,
    #[prost(string, tag = "2")]
    pub(super) secret_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Secret {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "3")]
    pub(super) create_time: Option<Timestamp>,
}

/// Its debug form leaves the data out.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct Payload {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) data: Vec<u8>,
    #[prost(int64, optional, tag = "2")]
    pub(super) data_crc32c: Option<i64>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AddVersionRequest {
    #[prost(string, tag = "1")]
    pub(super) parent: String,
    #[prost(message, optional, tag = "2")]
    pub(super) payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SecretVersion {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) create_time: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    pub(super) destroy_time: Option<Timestamp>,
    #[prost(int32, tag = "4")]
    pub(super) state: i32,
    #[prost(bool, tag = "7")]
    pub(super) client_specified_payload_checksum: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AccessResponse {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) payload: Option<Payload>,
}
