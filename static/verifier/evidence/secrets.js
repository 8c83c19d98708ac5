// What is drawn from a secret, as in spellmark.secrets.

import { concat, encode } from "../bytes.js";

const ROUNDS = 10;
const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];
const QUARTERS = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

// A 32-byte key for one purpose: HKDF-SHA256 (RFC 5869).
export async function subkey(secret, { binding, scheme, purpose, index = 0 }) {
  const parts = ["spellmark", scheme, purpose, String(index)].map((text) => encode(text));
  const info = concat(
    ...parts.flatMap((part) => [Uint8Array.of(part.length >> 8, part.length & 255), part]),
  );
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const settings = { name: "HKDF", hash: "SHA-256", salt: binding, info };
  return new Uint8Array(await crypto.subtle.deriveBits(settings, key, 256));
}

// A uniform permutation of range(size): Fisher–Yates on the keystream.
export function permutation(key, size, row = 0) {
  const words = keyWords(key, row);
  const items = Array.from({ length: size }, (_, place) => place);
  for (let last = size - 1; last > 0; last -= 1) {
    const other = fair(words, last + 1);
    [items[last], items[other]] = [items[other], items[last]];
  }
  return items;
}

// A uniform integer in range(below), at most 2 ** 32.
export const uniform = (key, below) => fair(keyWords(key, 0), below);

function fair(words, below) {
  const most = 2 ** 32 - (2 ** 32 % below);
  for (;;) {
    const word = words.next().value;
    if (word < most) return word % below;
  }
}

// Words of 32 bits of the ChaCha20 keystream (RFC 8439) from block zero, without end. The row is
// the nonce, little-endian, below 2 ** 32.
function* keyWords(key, row) {
  const view = new DataView(key.buffer, key.byteOffset, 32);
  const state = Uint32Array.of(
    ...CONSTANTS, ...Array.from({ length: 8 }, (_, place) => view.getUint32(4 * place, true)),
    0, row, 0, 0,
  );
  for (;; state[12] += 1) {
    const block = Uint32Array.from(state);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const quarter of QUARTERS) turn(block, ...quarter);
    }
    for (let place = 0; place < 16; place += 1) yield (block[place] + state[place]) >>> 0;
  }
}

function turn(block, a, b, c, d) {
  const mix = (to, from, other, bits) => {
    block[to] += block[from];
    const mixed = block[other] ^ block[to];
    block[other] = (mixed << bits) | (mixed >>> (32 - bits));
  };
  mix(a, b, d, 16);
  mix(c, d, b, 12);
  mix(a, b, d, 8);
  mix(c, d, b, 7);
}
