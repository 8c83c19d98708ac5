// DER (X.690) as certificates and timestamps are written in it: definite lengths in their shortest
// form, nothing left over.

import { refuse } from "./bytes.js";

export const TAGS = {
  boolean: 0x01, integer: 0x02, bits: 0x03, octets: 0x04, null: 0x05, oid: 0x06, utcTime: 0x17,
  generalizedTime: 0x18, sequence: 0x30, set: 0x31,
};

// The one element that the bytes are: { tag, content, whole }.
export function readDer(bytes, what) {
  const [element, ...more] = elements(bytes, what);
  return element && !more.length ? element : refuse(`${what} is not written in DER.`);
}

// The elements one behind the other.
export function elements(bytes, what) {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const [start, end] = extent(bytes, at) ?? refuse(`${what} is not written in DER.`);
    found.push({
      tag: bytes[at], content: bytes.subarray(start, end), whole: bytes.subarray(at, end),
    });
    at = end;
  }
  return found;
}

function extent(bytes, at) {
  const first = bytes[at + 1];
  const more = first > 128 ? first - 128 : 0;
  const isSound = (bytes[at] & 31) !== 31 && first !== undefined && first !== 128 && more <= 4;
  if (!isSound || at + 2 + more > bytes.length) return null;
  const written = bytes.subarray(at + 2, at + 2 + more);
  const size = more ? written.reduce((sum, byte) => sum * 256 + byte, 0) : first;
  const isShortest = !more || (written[0] > 0 && size > 127);
  const start = at + 2 + more;
  return isShortest && start + size <= bytes.length ? [start, start + size] : null;
}

// The parts of an element that must have this tag.
export function partsOf(element, tag, what) {
  return elements(contentOf(element, tag, what), what);
}

export function contentOf(element, tag, what) {
  return element?.tag === tag ? element.content : refuse(`${what} is not written as it should be.`);
}

// An object identifier's dotted name.
export function oidOf(element, what) {
  const content = contentOf(element, TAGS.oid, what);
  const numbers = [];
  let number = 0;
  for (const byte of content) {
    number = number * 128 + (byte & 127);
    if (byte > 127) continue;
    numbers.push(number);
    number = 0;
  }
  if (!content.length || content.at(-1) > 127) refuse(`${what} is not written as it should be.`);
  const first = Math.min(2, Math.floor(numbers[0] / 40));
  return [first, numbers[0] - 40 * first, ...numbers.slice(1)].join(".");
}

// Microseconds since 1970 as a BigInt, from UTCTime or GeneralizedTime.
export function timeOf(element, what) {
  const text = String.fromCharCode(...(element?.content ?? []));
  const isShort = element?.tag === TAGS.utcTime;
  if (!isShort && element?.tag !== TAGS.generalizedTime) refuse(`${what} has no time.`);
  const century = isShort ? (text < "5" ? "20" : "19") : "";
  const found = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d*[1-9]))?Z$/.exec(century + text);
  if (!found || (isShort && found[7])) refuse(`${what} has no time.`);
  const [, year, month, day, hour, minute, second, fraction = ""] = found;
  const milliseconds = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(milliseconds)) refuse(`${what} has no time.`);
  return BigInt(milliseconds) * 1000n + BigInt(fraction.slice(0, 6).padEnd(6, "0"));
}

// WebCrypto wants the two numbers of an ECDSA signature side by side, `size` bytes each; null for
// what is no signature.
export function rawEcdsa(der, size) {
  try {
    const parts = partsOf(readDer(der, "A signature"), TAGS.sequence, "A signature");
    const raw = new Uint8Array(2 * size);
    if (parts.length !== 2) return null;
    for (const [place, part] of parts.entries()) {
      let number = contentOf(part, TAGS.integer, "A signature");
      if (!number.length || number[0] > 127) return null;
      if (number.length > 1 && number[0] === 0) {
        if (number[1] < 128) return null;
        number = number.subarray(1);
      }
      if (number.length > size) return null;
      raw.set(number, (place + 1) * size - number.length);
    }
    return raw;
  } catch {
    return null;
  }
}
