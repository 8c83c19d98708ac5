// The log's side: signed checkpoints (c2sp.org/signed-note) and proofs (c2sp.org/tlog-proof).

import { concat, encode, fromBase64, hex, refuse, same, sha256, utf8 } from "./bytes.js";

const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_HASHES = 63;
const MAX_NOTE_BYTES = 1_000_000;
const MAX_SIGNATURES = 100;
const ED25519 = 1;
// How far two clocks may disagree, in microseconds.
export const CLOCK_SKEW = 300_000_000n;
// By the type: Ed25519 of a log, Ed25519 of a witness, ML-DSA-44 of either.
const KEY_BYTES = { 1: 32, 4: 32, 6: 1312 };

export async function fromVkey(vkey) {
  const found = /^([^+]+)\+([0-9a-f]{8})\+(.*)$/.exec(vkey);
  const typed = found ? fromBase64(found[3], "The key in a vkey") : new Uint8Array();
  if (!(typed[0] in KEY_BYTES)) refuse("A vkey is not of a known type: 0x01, 0x04 or 0x06.");
  const kind = typed[0];
  if (typed.length !== KEY_BYTES[kind] + 1) refuse("The key in a vkey has another length.");
  const digest = await sha256(concat(encode(`${found[1]}\n`), typed));
  const keyId = digest.subarray(0, 4);
  if (hex(keyId) !== found[2]) refuse("The key id in a vkey does not fit its name and key.");
  return { name: found[1], keyId, kind, key: typed.subarray(1) };
}

export const isSignedBy = (line, { name, keyId }) => line.name === name && same(line.keyId, keyId);

// A key that had ended when something was stated cannot have signed a checkpoint over it.
const mayCover = ({ until = null }, statedAt) =>
  until === null || statedAt === null || statedAt <= until + CLOCK_SKEW;

// The checkpoint of a trusted log that includes the entry; its `index` beside it. `statedAt` is when
// the entry was stated, in microseconds since 1970.
export async function checkProof(file, entry, logs, statedAt = null) {
  const proof = readProof(file);
  const checkpoint = await openCheckpoint(readNote(proof.checkpoint), logs, statedAt);
  await checkInclusion(await nodeHash([0], entry), proof, checkpoint);
  return { ...checkpoint, index: proof.index };
}

export function readProof(file) {
  const blank = file.findIndex((byte, place) => byte === 10 && file[place + 1] === 10);
  if (blank < 0) refuse("The log proof lacks its checkpoint.");
  const lines = utf8(file.subarray(0, blank), "The log proof").split("\n");
  if (lines.shift() !== HEADER) refuse(`The log proof is not a ${HEADER} file.`);
  if (lines[0]?.startsWith("extra ")) fromBase64(lines.shift().slice(6), "The proof's extra data");
  if (!lines[0]?.startsWith("index ")) refuse("The log proof does not say which entry it is for.");
  const index = decimal(lines.shift().slice(6), "The index of the log proof");
  if (lines.length > MAX_HASHES) refuse(`The log proof has more than ${MAX_HASHES} hashes.`);
  const hashes = lines.map((line) => fromBase64(line, "A hash of the log proof"));
  if (hashes.some((hash) => hash.length !== 32)) refuse("A hash of the log proof is not 32 bytes long.");
  return { index, hashes, checkpoint: file.subarray(blank + 2) };
}

function decimal(text, what) {
  const isNumber = /^(0|[1-9]\d{0,18})$/.test(text) && BigInt(text) < 1n << 63n;
  return isNumber ? BigInt(text) : refuse(`${what} is not a whole number.`);
}

// The text of a signed note, the checkpoint that it is, and the signatures; not yet believed.
export function readNote(file) {
  if (file.length > MAX_NOTE_BYTES) refuse("A signed note is too long.");
  const content = utf8(file, "A signed note");
  if (/[\u0000-\u0009\u000b-\u001f]/.test(content)) refuse("A signed note has control characters.");
  const blank = content.lastIndexOf("\n\n");
  if (blank < 0 || !content.endsWith("\n") || blank + 2 >= content.length) {
    refuse("A signed note lacks its blank line or its signatures.");
  }
  const text = content.slice(0, blank + 1);
  const [origin, size, root, rest, ...more] = text.split("\n");
  if (!origin || rest !== "" || more.length) {
    refuse("A checkpoint does not have exactly an origin, a size and a root.");
  }
  const checkpoint = {
    origin, size: decimal(size, "The size of a checkpoint"),
    root: fromBase64(root, "The root of a checkpoint"),
  };
  if (checkpoint.root.length !== 32) refuse("The root of a checkpoint is not 32 bytes long.");
  const signatures = content.slice(blank + 2, -1).split("\n").map(signatureLine);
  if (signatures.length > MAX_SIGNATURES) {
    refuse(`A signed note has more than ${MAX_SIGNATURES} signatures.`);
  }
  return { text, checkpoint, signatures };
}

// The checkpoint, if a key of the log that it names has signed it.
export async function openCheckpoint({ text, checkpoint, signatures }, logs, statedAt = null) {
  const { origin } = checkpoint;
  const known = logs.filter((log) => log.origin === origin);
  if (!known.length) refuse(`The log “${origin}” is not among the trusted logs.`);
  let found = 0;
  let left = false;
  for (const line of signatures) {
    const { name, signature } = line;
    const log = known.find((one) => isSignedBy(line, one) && mayCover(one, statedAt));
    if (!log) continue;
    if (log.kind !== ED25519) {
      left = true;
      continue;
    }
    const key = await crypto.subtle.importKey("raw", log.key, "Ed25519", false, ["verify"]);
    if (!(await crypto.subtle.verify("Ed25519", key, signature, encode(text)))) {
      refuse(`The signature of ${name} does not fit the text: one of them was altered after signing.`);
    }
    found += 1;
  }
  if (found) return checkpoint;
  return refuse(left
    ? "Only an ML-DSA key has signed the text, which a browser cannot check; `spellmark verify` can."
    : "No trusted key has signed the text.");
}

function signatureLine(line) {
  const [dash, name, encoded, ...rest] = line.split(" ");
  const isLine = dash === "—" && name && !/[\s+]/u.test(name) && encoded !== undefined && !rest.length;
  if (!isLine) refuse("A line under a signed note is not a signature.");
  const bytes = fromBase64(encoded, "A signature");
  if (bytes.length <= 4) refuse("A signature under a note is too short.");
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

// RFC 9162, section 2.1.3.2.
export async function checkInclusion(leaf, { index, hashes }, { size, root }) {
  if (index >= size) refuse(`Entry ${index} does not exist in a log of ${size} entries.`);
  let position = index;
  let last = size - 1n;
  let value = leaf;
  for (const sibling of hashes) {
    if (last === 0n) refuse("The inclusion proof is too long.");
    if (position % 2n || position === last) {
      value = await nodeHash([1], sibling, value);
      while (position % 2n === 0n && position) {
        position >>= 1n;
        last >>= 1n;
      }
    } else {
      value = await nodeHash([1], value, sibling);
    }
    position >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) refuse("The inclusion proof is too short.");
  if (hex(value) !== hex(root)) {
    refuse("The inclusion proof does not lead from the entry to the root.");
  }
}

export const nodeHash = (prefix, ...parts) => sha256(concat(Uint8Array.from(prefix), ...parts));
