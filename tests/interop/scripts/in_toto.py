"""Reads DSSE envelopes with securesystemslib and in-toto-attestation: one JSON request and one JSON answer per line.

Request: {"document": envelope, or a bundle that holds one, "key": PEM of the public key}.
Answer: {"securesystemslib": null or why it refuses, "in-toto-attestation": the same}.
"""

import base64
import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey


def verify(envelope, pem):
    """The signature, by securesystemslib."""
    # DSSE makes keyid optional; this library asks for one, and compares it with the key's.
    for signature in envelope["signatures"]:
        signature["keyid"] = "key"
    key = SSlibKey.from_crypto(load_pem_public_key(pem.encode()), keyid="key")
    Envelope.from_dict(envelope).verify([key], 1)


def validate(envelope):
    """The statement, by in-toto-attestation."""
    if envelope["payloadType"] != "application/vnd.in-toto+json":
        raise ValueError("wrong payload type")
    statement = base64.b64decode(envelope["payload"], validate=True)
    Statement.copy_from_pb(json_format.Parse(statement, statement_pb2.Statement())).validate()


def refusal(check, *arguments):
    """None, or why the check refuses."""
    try:
        check(*arguments)
    except Exception as error:  # whatever the library raises is its verdict
        return f"{type(error).__name__}: {error}"
    return None


for line in sys.stdin:
    request = json.loads(line)
    envelope = request["document"].get("dsseEnvelope", request["document"])
    answer = {
        "in-toto-attestation": refusal(validate, envelope),
        "securesystemslib": refusal(verify, envelope, request["key"]),
    }
    print(json.dumps(answer), flush=True)
