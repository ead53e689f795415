//! Errors that carry details, as gRPC packs them.

use prost::Message as _;
use tonic::{Code, Status};

use super::messages as pb;

/// What an acknowledgement that came too late is told under exactly-once delivery: which ids failed, and that trying
/// again is no use. Every other id of the request was acknowledged.
pub(super) fn invalid_ack_ids(ids: &[String]) -> Status {
    let message = "Some acknowledgement ids in the request were invalid. This could be because the acknowledgement ids \
                   have expired or the acknowledgement ids were malformed.";
    let info = pb::ErrorInfo {
        reason: "EXACTLY_ONCE_ACKID_FAILURE".to_owned(),
        domain: "pubsub.googleapis.com".to_owned(),
        metadata: ids.iter().map(|id| (id.clone(), "PERMANENT_FAILURE_INVALID_ACK_ID".to_owned())).collect(),
    };
    let status = pb::RpcStatus {
        code: Code::InvalidArgument.into(),
        message: message.to_owned(),
        details: vec![pb::Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: info.encode_to_vec(),
        }],
    };
    Status::with_details(Code::InvalidArgument, message, status.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_that_failed_is_named_as_one_that_trying_again_does_not_help() {
        let status = invalid_ack_ids(&["ack-1".to_owned(), "ack-2".to_owned()]);
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = pb::RpcStatus::decode(status.details()).expect("google.rpc.Status");
        let info = pb::ErrorInfo::decode(details.details[0].value.as_slice()).expect("google.rpc.ErrorInfo");
        assert_eq!((details.code, info.domain.as_str()), (3, "pubsub.googleapis.com"));
        let mut failed: Vec<_> = info.metadata.into_iter().collect();
        failed.sort();
        let wanted = ["ack-1", "ack-2"].map(|id| (id.to_owned(), "PERMANENT_FAILURE_INVALID_ACK_ID".to_owned()));
        assert_eq!(failed, wanted);
    }
}
