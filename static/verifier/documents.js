// What a bundle holds: the certificate file, its statement, the trust file and the list of
// revocations; read, but not yet believed.

import {
  concat, encode, fromBase64, hex, parseCanonical, parseJson, refuse, sha256,
} from "./bytes.js";
import { Fields } from "./fields.js";
import { fromVkey } from "./log.js";
import { readAuthority } from "./timestamps.js";

const MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE = /^https:\/\/spellmark\.dev\/(registration|verdict|revocation|succession)\/v1$/;
const SUBJECTS = {
  registration: ["model"], verdict: ["model", "transcript"], revocation: ["certificate"],
  succession: ["key"],
};
const MAX_TIMESTAMPS = 4;
// Ed25519 and ML-DSA-44.
const LOG_KEY_KINDS = [1, 6];

export async function readCertificate(bytes) {
  return certificateOf(parseCanonical(bytes, "The certificate"));
}

async function certificateOf(value) {
  const file = new Fields(value, "The certificate");
  file.only(["mediaType", "verificationMaterial", "dsseEnvelope"]);
  file.choice("mediaType", [MEDIA_TYPE]);
  const material = file.inner("verificationMaterial", "The certificate's material");
  material.only(["publicKey", "timestampVerificationData"]);
  const hint = material.inner("publicKey", "The certificate's key hint");
  hint.only(["hint"]);
  const envelope = file.inner("dsseEnvelope", "The certificate's envelope");
  envelope.only(["payload", "payloadType", "signatures"]);
  const signatures = envelope.array("signatures");
  if (signatures.length !== 1) refuse("The certificate does not have exactly one signature.");
  const signed = new Fields(signatures[0], "The certificate's signature");
  signed.only(["keyid", "sig"]);
  const payload = fromBase64(envelope.text("payload"), "The certificate's payload");
  const signature = fromBase64(signed.text("sig"), "The certificate's signature");
  const keyid = signed.text("keyid");
  if (hint.text("hint") !== keyid) {
    refuse("The certificate's key hint is not the key id of its signature.");
  }
  if (envelope.text("payloadType") !== PAYLOAD_TYPE) {
    refuse(`The certificate's payload is not of the type ${PAYLOAD_TYPE}.`);
  }
  const pae = concat(encode(`DSSEv1 28 ${PAYLOAD_TYPE} ${payload.length} `), payload);
  const digest = hex(await sha256(pae));
  const entry = encode(`{"kind":"certificate/v1","sha256":"${digest}"}`);
  return { payload, keyid, signature, pae, digest, entry, timestamps: readStamps(material) };
}

function readStamps(material) {
  if (!material.has("timestampVerificationData")) return [];
  const data = material.inner("timestampVerificationData", "The certificate's timestamps");
  data.only(["rfc3161Timestamps"]);
  const found = data.array("rfc3161Timestamps").map((value) => {
    const stamp = new Fields(value, "A timestamp of the certificate");
    stamp.only(["signedTimestamp"]);
    return fromBase64(stamp.text("signedTimestamp"), "A timestamp of the certificate");
  });
  if (found.length < 1 || found.length > MAX_TIMESTAMPS) {
    refuse(`A certificate has from 1 to ${MAX_TIMESTAMPS} timestamps, or no list.`);
  }
  return found;
}

export async function readStatement(payload) {
  const fields = new Fields(parseJson(payload, "The statement"), "The statement");
  fields.choice("_type", [STATEMENT_TYPE]);
  const kind = PREDICATE.exec(fields.text("predicateType"))?.[1];
  if (!kind) refuse("The statement is of no kind that is known here.");
  const subjects = readSubjects(fields, SUBJECTS[kind]);
  const predicate = fields.inner("predicate", "The statement's predicate");
  const read = await READERS[kind](predicate, subjects);
  return { kind, subjects, predicate: predicate.values, ...read };
}

function readSubjects(fields, names) {
  const found = Object.create(null);
  for (const value of fields.array("subject")) {
    const subject = new Fields(value, "A subject of the statement");
    const name = subject.text("name");
    if (name in found) refuse("The statement names a subject twice.");
    found[name] = subject.inner("digest", "The digest of a subject").sha256("sha256");
  }
  if (Object.keys(found).sort().join() !== [...names].sort().join()) {
    refuse(`The statement's subjects are not ${names.join(" and ")}.`);
  }
  return found;
}

const READERS = {
  registration(fields) {
    fields.text("modelName");
    fields.count("version");
    fields.text("organisation");
    fields.orNull("sha256", "commitment");
    fields.orNull("hex", "binding");
    fields.orNull("text", "scheme");
    fields.object("parameters");
    return { statedAt: fields.time("registeredAt"), stated: fields.text("registeredAt") };
  },
  verdict: readVerdict,
  revocation(fields, subjects) {
    const replacedBy = fields.orNull("sha256", "replacedBy");
    if (replacedBy === subjects.certificate) refuse("The revocation replaces a certificate by itself.");
    const reason = fields.text("reason");
    return {
      reason, replacedBy, statedAt: fields.time("revokedAt"), stated: fields.text("revokedAt"),
    };
  },
  async succession(fields, subjects) {
    const spki = fromPem(fields.text("publicKey"));
    await importP256(spki, "The new key of the succession");
    if (hex(await sha256(spki)) !== subjects.key) {
      refuse("The succession names another key than the one it holds.");
    }
    return { statedAt: fields.time("validFrom"), stated: fields.text("validFrom") };
  },
};

function readVerdict(fields) {
  const suspect = fields.inner("suspect", "The verdict's suspect");
  suspect.text("kind");
  if (suspect.orNull("text", "url") === null) suspect.sha256("sha256");
  for (const name of ["method", "scheme", "accessLevel", "reason"]) fields.text(name);
  for (const name of ["decoys", "probes", "queries"]) fields.count(name);
  fields.object("parameters");
  fields.texts("limits");
  const evidence = fields.choice("evidenceClass", ["verified", "indicative"]);
  const statistic = fields.orNull("number", "statistic");
  const p = fields.orNull("probability", "pValue");
  const alpha = fields.probability("alpha");
  const smallest = fields.orNull("probability", "smallestP");
  const verdict = fields.choice("verdict", ["match", "no match", "inconclusive"]);
  const registration = fields.inner("registration", "The verdict's registration");
  const registrationIndex = registration.orNull("count", "logIndex");
  const registrationDigest = registration.orNull("sha256", "sha256");
  const statedAt = fields.time("finishedAt");
  if (statedAt < fields.time("startedAt")) refuse("The verdict's run finished before it started.");
  if (registrationIndex === null && registrationDigest === null) {
    refuse("The verdict does not say which registration it rests on.");
  }
  if (p !== null && smallest !== null && p < smallest) {
    refuse("The verdict's p-value is below the smallest that its run could give.");
  }
  if (evidence === "verified" && verdict === "match") {
    if (p === null || statistic === null) {
      refuse("The verdict is a verified match without a statistic or p-value.");
    }
    if (p > alpha) refuse("The verdict is a verified match, but its p-value is above alpha.");
  }
  return { statedAt, stated: fields.text("finishedAt"), registrationIndex };
}

export async function importP256(spki, what) {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  try {
    return await crypto.subtle.importKey("spki", spki, algorithm, false, ["verify"]);
  } catch {
    return refuse(`${what} is not a P-256 key.`);
  }
}

export async function readTrust(bytes) {
  const fields = new Fields(parseJson(bytes, "The trust file"), "The trust file");
  fields.choice("format", ["spellmark-trust/v1"]);
  fields.only(["format", "certificateKeys", "logs", "timestampAuthorities"]);
  const keys = new Map();
  for (const value of fields.array("certificateKeys")) {
    const key = new Fields(value, "A certificate key of the trust file");
    key.only(["keyid", "publicKey", "validFrom", "validUntil"]);
    if (!key.has("validUntil")) refuse("A certificate key of the trust file lacks “validUntil”.");
    const spki = fromPem(key.text("publicKey"));
    const keyid = hex(await sha256(spki));
    if (keyid !== key.sha256("keyid")) {
      refuse("A key id in the trust file is not that of the key beside it.");
    }
    if (keys.has(keyid)) refuse("The trust file lists a certificate key twice.");
    keys.set(keyid, { spki, from: key.time("validFrom"), until: key.orNull("time", "validUntil") });
  }
  const logs = [];
  const vkeys = new Set();
  for (const value of fields.array("logs")) {
    const log = new Fields(value, "A log of the trust file");
    log.only(["origin", "vkey", "validFrom", "validUntil"]);
    const vkey = log.text("vkey");
    if (vkeys.has(vkey)) refuse("The trust file lists a log key twice.");
    vkeys.add(vkey);
    const key = await fromVkey(vkey);
    if (!LOG_KEY_KINDS.includes(key.kind)) {
      refuse("A log key of the trust file is a witness's, of the type 0x04.");
    }
    logs.push({ origin: log.text("origin"), ...key, until: endOf(log) });
  }
  const pems = fields.has("timestampAuthorities") ? fields.texts("timestampAuthorities") : [];
  return { keys, logs, authorities: pems.map(readAuthority) };
}

// With a beginning an end has to be written, were it as null.
function endOf(log) {
  if (log.has("validFrom") && !log.has("validUntil")) {
    refuse("A log of the trust file lacks “validUntil”.");
  }
  log.orNull("time", "validFrom");
  return log.orNull("time", "validUntil");
}

function fromPem(pem) {
  const found = /^-----BEGIN PUBLIC KEY-----\n([\s\S]*)\n-----END PUBLIC KEY-----\n?$/.exec(pem);
  if (!found) refuse("This is not a public key in PEM form.");
  return fromBase64(found[1].replaceAll("\n", ""), "A public key");
}

export async function readRevocations(bytes) {
  const what = "The list of revocations";
  const fields = new Fields(parseCanonical(bytes, what), what);
  fields.only(["format", "revocations"]);
  fields.choice("format", ["spellmark-revocations/v1"]);
  return Promise.all(fields.array("revocations").map(async (value) => {
    const one = new Fields(value, "A revocation of the list");
    one.only(["certificate", "proof"]);
    const envelope = await certificateOf(one.object("certificate"));
    const statement = await readStatement(envelope.payload);
    if (statement.kind !== "revocation") {
      refuse("The list of revocations holds something that is none.");
    }
    return { envelope, statement, proof: encode(one.text("proof")) };
  }));
}
