// Reads sigstore bundles with sigstore-js: one JSON request per line, one JSON answer per line.
//
// Request: {"document": bundle, "key": PEM of the public key}. Answer: {"sigstore-js": null or why it refuses}.
"use strict";
const { createHash, createPublicKey } = require("crypto");
const { createInterface } = require("readline");
const { bundleFromJSON } = require("@sigstore/bundle");
const { toSignedEntity, toTrustMaterial, Verifier } = require("@sigstore/verify");

function verify({ document, key }) {
  const publicKey = createPublicKey(key);
  const hint = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
  const root = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
  // The hint has to name this key, as a key finder with many keys would need it.
  const finder = (asked) => {
    if (asked !== hint) throw new Error(`the hint is ${asked}, the key is ${hint}`);
    return { publicKey, validFor: () => true };
  };
  const verifier = new Verifier(toTrustMaterial(root, finder), { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
  verifier.verify(toSignedEntity(bundleFromJSON(document)));
}

createInterface({ input: process.stdin }).on("line", (line) => {
  let refused = null;
  try {
    verify(JSON.parse(line));
  } catch (error) {
    refused = String(error.message || error);
  }
  console.log(JSON.stringify({ "sigstore-js": refused }));
});
