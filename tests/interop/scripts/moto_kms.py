"""moto's AWS services on 127.0.0.1, with one correction: moto hashes what it is given, whatever MessageType says, and
AWS KMS takes a message of type DIGEST for the digest. All keys here sign digests.

usage: moto_kms.py PORT          (0: the system picks one; it is printed)
"""

import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from moto.kms import utils as kms
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def sign_ecdsa(self, message, signing_algorithm):
    kms.validate_signing_algorithm(signing_algorithm, self.valid_signing_algorithms)
    digest = utils.Prehashed(HASHES[signing_algorithm[-3:]])
    return self.private_key.sign(message, ec.ECDSA(digest))


def sign_rsa(self, message, signing_algorithm):
    kms.validate_signing_algorithm(signing_algorithm, kms.SigningAlgorithm.rsa_signing_algorithms())
    algorithm = HASHES[signing_algorithm[-3:]]
    pad = padding.PKCS1v15()
    if "PSS" in signing_algorithm:
        pad = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=algorithm.digest_size)
    return self.private_key.sign(message, pad, utils.Prehashed(algorithm))


kms.ECDSAPrivateKey.sign = sign_ecdsa
kms.RSAPrivateKey.sign = sign_rsa
server = make_server("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=True)
print(f"listening on 127.0.0.1:{server.port}", flush=True)
server.serve_forever()
