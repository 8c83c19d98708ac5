// All checks of an evidence bundle, by the names and in the order of `spellmark verify`.

import { hex, Refused, refuse, sha256, toTime } from "./bytes.js";
import { rawEcdsa } from "./der.js";
import {
  importP256, readCertificate, readRevocations, readStatement, readTrust,
} from "./documents.js";
import { checkStatistic, isRecomputed } from "./evidence/statistic.js";
import { readTranscript } from "./evidence/transcript.js";
import { checkProof, CLOCK_SKEW } from "./log.js";
import { asksForWitnesses, checkQuorum, readPolicy } from "./policy.js";
import { verifyTimestamp } from "./timestamps.js";
import { readBundle } from "./zip.js";

export const CHECKS = [
  "bundle", "signature", "statement", "validity", "log", "witnesses", "timestamp", "revocation",
  "transcript", "answers", "statistic",
];
const NEEDED = ["bundle", "signature", "statement", "validity", "log"];

// Bytes in; { passed, checks: [{ name, passed, detail }], statement } out. `passed` of a check is
// null where it could not be taken. Throws Refused for a bad trust file, list of revocations or
// policy.
export async function verifyBundle(zip, trustFile, revocationsFile = null, policyFile = null) {
  const trust = await readTrust(trustFile);
  const listed = revocationsFile === null ? null : await readRevocations(revocationsFile);
  const policy = policyFile === null ? null : await readPolicy(policyFile);
  const report = new Report();
  const bundle = await report.take("bundle", () => {
    const read = readBundle(zip);
    return [
      `It is whole: ${read.answers.size} raw answers and ${read.probes.size} probes beside the ` +
        "certificate. README.txt and the probes are not covered by the certificate.",
      read,
    ];
  });
  if (!bundle) return report.end(null);
  let envelope = null;
  try {
    envelope = await readCertificate(bundle.certificate);
  } catch (error) {
    report.fail("signature", error);
    for (const name of CHECKS.slice(2)) {
      report.skip(name, "Not checked, because the certificate cannot be read.");
    }
    return report.end(null);
  }
  const signed = await report.take("signature", () => checkSignature(envelope, trust));
  const statement = await report.take("statement", async () => {
    const read = await readStatement(envelope.payload);
    return [`It is a well-formed ${read.kind}.`, read];
  });
  if (statement) await report.take("validity", () => checkValidity(envelope, statement, trust));
  else report.skip("validity", "Not checked, because the statement cannot be read.");
  await report.take("log", () => checkLog(bundle, envelope, statement, trust));
  await checkWitnesses(report, bundle, policy, trust);
  await checkTimestamp(report, envelope, statement, trust);
  await checkRevocation(report, bundle, listed, envelope, trust);
  await checkEvidence(report, bundle, statement, signed);
  return report.end(statement);
}

class Report {
  checks = [];

  // `step` gives the detail, or the detail and what was found.
  async take(name, step) {
    try {
      const [detail, found = true] = [await step()].flat();
      this.checks.push({ name, passed: true, detail });
      return found;
    } catch (error) {
      this.fail(name, error);
      return null;
    }
  }

  fail(name, error) {
    const detail = error instanceof Refused ? error.message : `This browser cannot check it: ${error}.`;
    this.checks.push({ name, passed: false, detail });
  }

  skip(name, detail) {
    this.checks.push({ name, passed: null, detail });
  }

  end(statement) {
    const done = this.checks.filter((check) => check.passed).map((check) => check.name);
    const failed = this.checks.some((check) => check.passed === false);
    const passed = !failed && NEEDED.every((name) => done.includes(name));
    return { passed, checks: this.checks, statement };
  }
}

async function checkSignature(envelope, trust) {
  const known = trust.keys.get(envelope.keyid);
  if (!known) refuse("The certificate was not signed by a trusted key.");
  const key = await importP256(known.spki, "The certificate's key");
  const signature = rawEcdsa(envelope.signature, 32);
  const isTrue = signature !== null &&
    await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, envelope.pae);
  if (!isTrue) {
    refuse("The certificate's signature does not fit its content: it was altered after signing.");
  }
  return `The trusted key ${envelope.keyid.slice(0, 16)}… signed the certificate.`;
}

function checkValidity(envelope, statement, trust) {
  const key = trust.keys.get(envelope.keyid);
  if (!key) refuse("The certificate's key is not a trusted one.");
  if (!isValidAt(key, statement.statedAt)) {
    refuse(`The certificate is of ${statement.stated}, but its key was not valid then.`);
  }
  return `The key was valid at ${statement.stated}, when the certificate says it was made.`;
}

const isValidAt = (key, moment) => key.from <= moment && (key.until === null || moment <= key.until);

async function checkLog(bundle, envelope, statement, trust) {
  const found = await checkProof(bundle.proof, envelope.entry, trust.logs, statement?.statedAt);
  const { index, origin, size } = found;
  const registered = statement?.registrationIndex ?? null;
  if (registered !== null && BigInt(registered) >= index) {
    refuse(
      `The verdict is entry ${index} of the log, but the registration it rests on is entry ` +
        `${registered}: the claim is older than its registration.`,
    );
  }
  return `The certificate is entry ${index} of the log ${origin}, which had ${size} entries.`;
}

async function checkWitnesses(report, bundle, policy, trust) {
  if (policy === null) {
    report.skip("witnesses", "Not checked: no policy was given that asks for witnesses.");
  } else if (!asksForWitnesses(policy)) {
    report.skip("witnesses", "The policy asks for no witnesses.");
  } else {
    await report.take("witnesses", () => checkQuorum(bundle.proof, policy, trust.logs));
  }
}

async function checkTimestamp(report, envelope, statement, trust) {
  if (!envelope.timestamps.length) {
    report.skip("timestamp", "The certificate has no timestamp of an outside authority.");
  } else if (!trust.authorities.length) {
    report.skip("timestamp", "Not checked: the trust file names no timestamp authority.");
  } else {
    await report.take("timestamp", () => readTimestamps(envelope, statement, trust));
  }
}

async function readTimestamps({ timestamps, signature, keyid }, statement, trust) {
  const key = trust.keys.get(keyid);
  let stampedAt = null;
  for (const response of timestamps) {
    stampedAt = await verifyTimestamp(response, signature, trust.authorities);
    if (statement && statement.statedAt > stampedAt + CLOCK_SKEW) {
      refuse(
        `The certificate says that it was made at ${statement.stated}, but its signature was ` +
          `stamped before, at ${toTime(stampedAt)}.`,
      );
    }
    if (key && !isValidAt(key, stampedAt)) {
      refuse(`The signature was stamped at ${toTime(stampedAt)}, when its key was not valid.`);
    }
  }
  return `A trusted authority saw the signature at ${toTime(stampedAt)}.`;
}

async function checkRevocation(report, bundle, listed, envelope, trust) {
  if (bundle.revocations === null && listed === null) {
    const told = "The bundle holds no revocation. A later one stands in the issuer's list only.";
    report.skip("revocation", told);
    return;
  }
  await report.take("revocation", async () => {
    const own = bundle.revocations === null ? [] : await readRevocations(bundle.revocations);
    const all = [...(listed ?? []), ...own];
    for (const one of all) {
      if (one.statement.subjects.certificate !== envelope.digest) continue;
      await checkSignature(one.envelope, trust);
      if (!isValidAt(trust.keys.get(one.envelope.keyid), one.statement.statedAt)) {
        refuse("A revocation was signed by a key outside the key's time.");
      }
      await checkProof(one.proof, one.envelope.entry, trust.logs, one.statement.statedAt);
      const { replacedBy, stated, reason } = one.statement;
      const what = replacedBy === null ? "revoked" : `replaced by ${replacedBy.slice(0, 16)}…`;
      refuse(`The certificate was ${what} at ${stated}: ${reason}`);
    }
    return `None of the ${all.length} listed revocations names the certificate.`;
  });
}

async function checkEvidence(report, bundle, statement, signed) {
  if (!statement) {
    for (const name of CHECKS.slice(-3)) {
      report.skip(name, "Not checked, because the statement cannot be read.");
    }
    return;
  }
  const whole = await report.take("transcript", () => checkTranscript(bundle, statement));
  const read = once(() => readTranscript(bundle.transcript ?? new Uint8Array()));
  await report.take("answers", () => checkAnswers(bundle, read));
  const { method } = statement.predicate;
  if (statement.kind !== "verdict") {
    report.skip("statistic", `A ${statement.kind} has none.`);
  } else if (!isRecomputed(method)) {
    report.skip("statistic", `The method “${method}” cannot be recomputed offline.`);
  } else if (!signed || !whole) {
    // Its lines may be anybody's: nothing heavy is computed from them.
    report.skip("statistic", "Not recomputed, because the transcript is not vouched for.");
  } else {
    await report.take("statistic", () => checkStatistic(read(), statement));
  }
}

function once(step) {
  let found = null;
  return () => (found ??= step());
}

async function checkTranscript({ transcript }, { kind, subjects }) {
  if (kind !== "verdict") {
    if (transcript !== null) refuse(`A ${kind} has no transcript, but the bundle holds one.`);
    return `A ${kind} has none.`;
  }
  if (transcript === null) refuse("The transcript is missing from the bundle.");
  if (hex(await sha256(transcript)) !== subjects.transcript) {
    refuse("The transcript is not the one that the certificate names: it was altered or exchanged.");
  }
  return "The transcript is the one that the certificate names.";
}

async function checkAnswers({ answers }, read) {
  if (!answers.size) return "The bundle holds no raw answers.";
  const named = new Set(read().exchanges.map((one) => one.answerSha256));
  for (const [name, answer] of answers) {
    if (hex(await sha256(answer)) !== name) refuse(`The raw answer ${name.slice(0, 16)}… was altered.`);
    if (!named.has(name)) refuse(`The transcript knows of no raw answer ${name.slice(0, 16)}….`);
  }
  return `All ${answers.size} raw answers are those that the transcript names.`;
}
