// Which witnesses must have cosigned a checkpoint (c2sp.org/tlog-policy, c2sp.org/tlog-cosignature),
// as in spellmark.certificates.policy.

import { concat, encode, hex, refuse, utf8 } from "./bytes.js";
import { fromVkey, isSignedBy, openCheckpoint, readNote, readProof } from "./log.js";

const NO_QUORUM = "none";
const MAX_POLICY_BYTES = 1_000_000;
const LOG_KINDS = [1, 6];
const WITNESS_KINDS = [4, 6];
const COSIGNATURE = 4;
// Before the signature stand 8 bytes of time.
const TIME_BYTES = 8;

export async function readPolicy(bytes) {
  const isText = bytes.every((byte) => byte === 9 || byte === 10 || (byte >= 32 && byte !== 127));
  if (bytes.length > MAX_POLICY_BYTES || !isText) {
    refuse("A policy is too long or has control characters.");
  }
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null };
  const members = new Set();
  for (const [number, line] of utf8(bytes, "A policy").split("\n").entries()) {
    const words = line.split(/[ \t]+/).filter((word) => word !== "");
    if (!words.length || words[0].startsWith("#")) continue;
    const no = (why) => refuse(`Line ${number + 1} of the policy: ${why}`);
    await readLine(policy, members, words, no);
  }
  if (policy.quorum === null) refuse("A policy has no quorum line.");
  return policy;
}

async function readLine(policy, members, [keyword, ...rest], no) {
  const isKnown = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  const fresh = (name) => (name === NO_QUORUM || isKnown(name)
    ? no(`the name ${name} is taken, and every witness and group needs one of its own.`)
    : name);
  const key = async (vkey, kinds, known) => {
    const log = await fromVkey(vkey);
    if (!kinds.includes(log.kind)) no("the key is not of a type for this line.");
    if (known.some((other) => hex(other.key) === hex(log.key))) no("the key is listed twice.");
    return log;
  };
  if (keyword === "log" && [1, 2].includes(rest.length)) {
    const log = await key(rest[0], LOG_KINDS, policy.logs);
    policy.logs.push({ ...log, origin: log.name });
  } else if (keyword === "witness" && [2, 3].includes(rest.length)) {
    const witness = await key(rest[1], WITNESS_KINDS, [...policy.witnesses.values()]);
    policy.witnesses.set(fresh(rest[0]), witness);
  } else if (keyword === "group" && rest.length >= 3) {
    const [name, threshold, ...names] = rest;
    for (const member of names) {
      if (!isKnown(member)) no(`${member} is not defined before it is used.`);
      if (members.has(member)) no(`${member} is a member twice.`);
      members.add(member);
    }
    const needed = threshold === "any" ? "1" : threshold === "all" ? String(names.length) : threshold;
    if (!/^[1-9][0-9]{0,5}$/.test(needed) || Number(needed) > names.length) {
      no(`${threshold} is not a number of members.`);
    }
    policy.groups.set(fresh(name), { needed: Number(needed), names });
  } else if (keyword === "quorum" && rest.length === 1) {
    if (policy.quorum !== null) no("there is a quorum line already.");
    if (rest[0] !== NO_QUORUM && !isKnown(rest[0])) no(`${rest[0]} is not defined before it is used.`);
    policy.quorum = rest[0];
  } else {
    no("it is not a log, witness, group or quorum line.");
  }
}

export const asksForWitnesses = (policy) => policy.quorum !== NO_QUORUM;

// What was found, in words. Cosignatures that a browser cannot check count as absent.
export async function checkQuorum(file, policy, trustedLogs) {
  const note = readNote(readProof(file).checkpoint);
  const { size } = await openCheckpoint(note, policy.logs.length ? policy.logs : trustedLogs);
  const names = [];
  const left = [];
  for (const [name, witness] of policy.witnesses) {
    const lines = note.signatures.filter((line) => isSignedBy(line, witness));
    if (!lines.length) continue;
    if (witness.kind !== COSIGNATURE) {
      left.push(name);
      continue;
    }
    for (const { signature } of lines) await checkCosignature(note.text, witness, signature);
    names.push(name);
  }
  if (!holds(policy, policy.quorum, names)) {
    refuse(
      `The checkpoint of ${size} entries lacks cosignatures: the quorum ${policy.quorum} is not ` +
        `reached by ${names.join(", ") || "no witness"}.` +
        (left.length ? ` A browser cannot check ${left.join(", ")}; \`spellmark verify\` can.` : ""),
    );
  }
  return (
    `${names.join(", ")} cosigned the checkpoint of ${size} entries: the quorum ${policy.quorum} ` +
    "is reached."
  );
}

async function checkCosignature(text, witness, signature) {
  const isLong = signature.length === TIME_BYTES + 64 && signature[0] < 128;
  const at = isLong ? BigInt(`0x${hex(signature.subarray(0, TIME_BYTES))}`) : 0n;
  const message = concat(encode(`cosignature/v1\ntime ${at}\n`), encode(text));
  const key = await crypto.subtle.importKey("raw", witness.key, "Ed25519", false, ["verify"]);
  const bare = signature.subarray(TIME_BYTES);
  if (!isLong || !(await crypto.subtle.verify("Ed25519", key, bare, message))) {
    refuse(
      `The signature of ${witness.name} does not fit the text: one of them was altered after signing.`,
    );
  }
}

function holds(policy, name, names) {
  const group = policy.groups.get(name);
  if (!group) return names.includes(name);
  return group.names.filter((member) => holds(policy, member, names)).length >= group.needed;
}
