// Says what @sigstore/verify makes of a bundle, of which it asks for so many timestamps and log entries:
// node verify.js BUNDLE KEY.pem KEYID TRUSTED_ROOT TIMESTAMPS ENTRIES
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";

import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";

const [bundlePath, keyPath, keyid, rootPath, timestamps, entries] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const publicKey = createPublicKey(readFileSync(keyPath));
const keys = (hint) => {
  if (hint !== keyid) throw new Error(`no key ${hint}`);
  return { publicKey, validFor: () => true };
};
try {
  const trust = toTrustMaterial(TrustedRoot.fromJSON(read(rootPath)), keys);
  const thresholds = {
    ctlogThreshold: 0, tlogThreshold: Number(entries), timestampThreshold: Number(timestamps),
  };
  new Verifier(trust, thresholds).verify(toSignedEntity(bundleFromJSON(read(bundlePath))));
  console.log("accepted");
} catch (error) {
  console.log(error.code ?? error.message);
}
