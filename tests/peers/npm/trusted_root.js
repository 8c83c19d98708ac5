// Says what Sigstore's own readers make of a trusted root: node trusted_root.js TRUSTED_ROOT
import { readFileSync } from "node:fs";

import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toTrustMaterial } from "@sigstore/verify";

const root = TrustedRoot.fromJSON(JSON.parse(readFileSync(process.argv[2], "utf8")));
const { tlogs } = toTrustMaterial(root);
console.log(JSON.stringify({ root: TrustedRoot.toJSON(root), times: tlogs.map((log) => log.validFor) }));
