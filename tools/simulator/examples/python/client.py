#!/usr/bin/env python3
"""Uses Cloud KMS, Pub/Sub, Cloud Storage and Secret Manager through Google's own client libraries.

The same file runs against Google and against the simulator: where the services are and who the program is come from
the environment alone. In a Confidential Space VM, GOOGLE_APPLICATION_CREDENTIALS names an external-account file whose
subject token is /run/container_launcher/attestation_verifier_claims_token; with the simulator, `simulator up` writes
one, and prints the rest of the environment.

    pip install google-cloud-kms google-cloud-pubsub google-cloud-storage google-cloud-secret-manager
    . ./simulator.env
    python client.py --key projects/…/cryptoKeys/data --topic projects/…/topics/words \
        --subscription projects/…/subscriptions/words --bucket models --secret projects/…/secrets/password

Only the services that are named are used. Prints one JSON object; exit status 1 if anything was refused or is wrong.
"""

import argparse
import json
import sys

import google.auth
import google_crc32c
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
TIMEOUT = 30


def crc32c(data: bytes) -> int:
    return int.from_bytes(google_crc32c.Checksum(data).digest(), "big")


def use_kms(credentials, key: str, transport: str) -> str:
    """Encrypts for one purpose, decrypts, and finds that the ciphertext is bound to that purpose."""
    from google.cloud import kms

    client = kms.KeyManagementServiceClient(credentials=credentials, transport=transport)
    plaintext, purpose = "größer".encode(), b"an example"
    encrypted = client.encrypt(
        request={
            "name": key,
            "plaintext": plaintext,
            "plaintext_crc32c": crc32c(plaintext),
            "additional_authenticated_data": purpose,
            "additional_authenticated_data_crc32c": crc32c(purpose),
        },
        timeout=TIMEOUT,
    )
    # Without these checks a bit that flips on the way is only noticed when it is too late.
    assert encrypted.verified_plaintext_crc32c, "the service did not check the plaintext"
    assert encrypted.ciphertext_crc32c == crc32c(encrypted.ciphertext), "the ciphertext was damaged"
    decrypted = client.decrypt(
        request={
            "name": key,
            "ciphertext": encrypted.ciphertext,
            "ciphertext_crc32c": crc32c(encrypted.ciphertext),
            "additional_authenticated_data": purpose,
        },
        timeout=TIMEOUT,
    )
    assert decrypted.plaintext == plaintext, "another plaintext came back"
    assert decrypted.plaintext_crc32c == crc32c(decrypted.plaintext), "the plaintext was damaged"
    try:
        client.decrypt(request={"name": key, "ciphertext": encrypted.ciphertext}, timeout=TIMEOUT)
    except GoogleAPICallError as error:
        return f"encrypted and decrypted; without the additional data: {error.code.name if error.code else error}"
    raise AssertionError("a ciphertext was decrypted without its additional data")


def use_pubsub(credentials, topic: str, subscription: str) -> str:
    """Publishes a message, pulls it, and acknowledges it."""
    from google.cloud import pubsub_v1

    publisher = pubsub_v1.PublisherClient(credentials=credentials)
    sent = publisher.publish(topic, b"a word", sender="client.py").result(timeout=TIMEOUT)
    with pubsub_v1.SubscriberClient(credentials=credentials) as subscriber:
        for _ in range(10):
            pulled = subscriber.pull(request={"subscription": subscription, "max_messages": 10}, timeout=TIMEOUT)
            ids = [received.ack_id for received in pulled.received_messages]
            if ids:
                subscriber.acknowledge(request={"subscription": subscription, "ack_ids": ids}, timeout=TIMEOUT)
            for received in pulled.received_messages:
                if received.message.message_id == sent:
                    assert received.message.data == b"a word" and received.message.attributes["sender"] == "client.py"
                    return f"message {sent} was published, pulled and acknowledged"
    raise AssertionError(f"message {sent} did not arrive")


def use_storage(credentials, project: str, bucket: str) -> str:
    """Stores an object once and for all, lists it, and reads it."""
    from google.cloud import storage

    client = storage.Client(project=project, credentials=credentials)
    content = b"a model of two lines\n" * 2
    blob = client.bucket(bucket).blob("examples/model.bin")
    blob.upload_from_string(content, content_type="application/octet-stream", timeout=TIMEOUT, checksum="crc32c")
    names = [found.name for found in client.list_blobs(bucket, prefix="examples/", timeout=TIMEOUT)]
    assert blob.name in names, f"the object is not among {names}"
    assert blob.download_as_bytes(timeout=TIMEOUT, checksum="crc32c") == content, "another content came back"
    return f"object {blob.name}, {len(content)} bytes, was stored, listed and read"


def use_secret(credentials, secret: str, transport: str) -> str:
    """Reads the newest version of a secret. Its value goes nowhere."""
    from google.cloud import secretmanager

    client = secretmanager.SecretManagerServiceClient(credentials=credentials, transport=transport)
    version = client.access_secret_version(request={"name": f"{secret}/versions/latest"}, timeout=TIMEOUT)
    assert version.payload.data_crc32c == crc32c(version.payload.data), "the secret was damaged"
    return f"{version.name} was read, {len(version.payload.data)} bytes"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", help="Cloud KMS key for encryption")
    parser.add_argument("--topic", help="Pub/Sub topic; needs --subscription")
    parser.add_argument("--subscription", help="a subscription of that topic")
    parser.add_argument("--bucket", help="Cloud Storage bucket")
    parser.add_argument("--secret", help="Secret Manager secret, without a version")
    parser.add_argument("--transport", choices=["grpc", "rest"], default="grpc", help="for KMS and Secret Manager")
    options = parser.parse_args()
    if (options.topic is None) != (options.subscription is None):
        parser.error("--topic and --subscription go together")

    credentials, project = google.auth.default(scopes=SCOPES)
    tasks = {
        "kms": options.key and (lambda: use_kms(credentials, options.key, options.transport)),
        "pubsub": options.topic and (lambda: use_pubsub(credentials, options.topic, options.subscription)),
        "storage": options.bucket and (lambda: use_storage(credentials, project, options.bucket)),
        "secret": options.secret and (lambda: use_secret(credentials, options.secret, options.transport)),
    }
    results, failed = {}, False
    for name, task in tasks.items():
        if not task:
            continue
        try:
            results[name] = task()
        except (GoogleAPICallError, GoogleAuthError, AssertionError) as error:
            results[name], failed = f"failed: {error}", True
    print(json.dumps(results, indent=2, ensure_ascii=False))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
