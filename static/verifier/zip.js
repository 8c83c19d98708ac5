// The evidence bundle: a zip is accepted only if packing its files again gives the very same bytes,
// so that no other program can see other files in it.

import { concat, encode, refuse, same } from "./bytes.js";

export const CERTIFICATE = "certificate.sigstore.json";
export const PROOF = "certificate.tlog-proof";
export const REVOCATIONS = "revocations.json";
export const TRANSCRIPT = "transcript.jsonl";
const README = "README.txt";
const MAX_BYTES = 128 * 1024 * 1024;
const MAX_FILES = 20_000;
const ANSWER = /^answers\/[0-9a-f]{64}$/;
const PROBE = /^probes\/[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
const ALTERED = "The bundle is not packed as Spellmark packs it: it was altered or packed anew.";
const LOCAL = 0x04034b50;

export function readBundle(data) {
  if (data.length > MAX_BYTES) refuse("The bundle is larger than 128 MiB.");
  const files = unpack(data);
  for (const name of [CERTIFICATE, PROOF, README]) {
    if (!files.has(name)) refuse(`The bundle lacks ${name}.`);
  }
  if (!same(pack(ordered(files)), data)) refuse(ALTERED);
  const under = (folder) =>
    new Map([...files].filter(([name]) => name.startsWith(folder)).map(([name, file]) => [
      name.slice(folder.length), file,
    ]));
  return {
    certificate: files.get(CERTIFICATE),
    proof: files.get(PROOF),
    revocations: files.get(REVOCATIONS) ?? null,
    transcript: files.get(TRANSCRIPT) ?? null,
    answers: under("answers/"),
    probes: under("probes/"),
  };
}

function ordered(files) {
  const known = [CERTIFICATE, PROOF, REVOCATIONS, TRANSCRIPT];
  const rest = [...files.keys()].filter((name) => name !== README && !known.includes(name)).sort();
  const order = [...known.filter((name) => files.has(name)), ...rest, README];
  return order.map((name) => [name, files.get(name)]);
}

function unpack(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const files = new Map();
  let at = 0;
  while (at + 30 <= data.length && view.getUint32(at, true) === LOCAL) {
    const size = view.getUint32(at + 22, true);
    const start = at + 30 + view.getUint16(at + 26, true);
    const isPlain = view.getUint16(at + 8, true) === 0 && view.getUint16(at + 28, true) === 0;
    if (!isPlain || start + size > data.length) refuse(ALTERED);
    const name = String.fromCharCode(...data.subarray(at + 30, start).subarray(0, 300));
    refuseStrange(name);
    files.set(name, data.subarray(start, start + size));
    if (files.size > MAX_FILES) refuse("The bundle holds more than 20,000 files.");
    at = start + size;
  }
  return files;
}

function refuseStrange(name) {
  const known = [CERTIFICATE, PROOF, REVOCATIONS, TRANSCRIPT, README].includes(name);
  if (name.length > 200 || !(known || ANSWER.test(name) || PROBE.test(name))) {
    refuse(`The bundle may not hold a file named “${name.slice(0, 200)}”.`);
  }
}

function pack(files) {
  const locals = [];
  const directory = [];
  let offset = 0;
  for (const [name, data] of files) {
    const title = encode(name);
    const common = fields(
      [2, 20], [2, 0], [2, 0], [2, 0], [2, 0x21], [4, crc32(data)], [4, data.length],
      [4, data.length], [2, title.length], [2, 0],
    );
    locals.push(fields([4, LOCAL]), common, title, data);
    directory.push(
      fields([4, 0x02014b50], [1, 20], [1, 3]), common,
      fields([2, 0], [2, 0], [2, 0], [4, 0o100644 * 65536], [4, offset]), title,
    );
    offset += 30 + title.length + data.length;
  }
  const listed = concat(...directory);
  const end = fields(
    [4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, listed.length],
    [4, offset], [2, 0],
  );
  return concat(...locals, listed, end);
}

// Little-endian numbers, each with its width in bytes.
function fields(...values) {
  const bytes = [];
  for (const [width, value] of values) {
    for (let place = 0; place < width; place += 1) bytes.push(Math.floor(value / 256 ** place) % 256);
  }
  return Uint8Array.from(bytes);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
