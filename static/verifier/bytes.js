// Bytes, base64, JSON and times, each with exactly one accepted spelling, as in
// spellmark.certificates.encoding.

export class Refused extends Error {}

export function refuse(message) {
  throw new Refused(message);
}

export function utf8(bytes, what) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse(`${what} is not UTF-8 text.`);
  }
}

export const encode = (text) => new TextEncoder().encode(text);

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function fromHex(text, what) {
  if (typeof text !== "string" || !/^([0-9a-f]{2})*$/.test(text)) refuse(`${what} is not hex.`);
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const same = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index]);

export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

export function fromBase64(text, what) {
  let bytes = null;
  try {
    bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  } catch {
    // told below
  }
  if (bytes === null || toBase64(bytes) !== text) refuse(`${what} is not written in base64.`);
  return bytes;
}

// Microseconds since 1970 as a BigInt, from RFC 3339 in UTC with the letter Z.
export function fromTime(text, what) {
  const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z$/.exec(text);
  const milliseconds = found ? Date.parse(`${found[1]}Z`) : NaN;
  if (Number.isNaN(milliseconds) || new Date(milliseconds).toISOString().slice(0, 19) !== found[1]) {
    refuse(`${what} is not a time such as 2026-01-31T12:00:00Z.`);
  }
  return BigInt(milliseconds) * 1000n + BigInt((found[2] ?? "").padEnd(6, "0"));
}

// The time of so many microseconds since 1970, as fromTime takes it.
export function toTime(microseconds) {
  const parts = [microseconds / 1_000_000n, microseconds % 1_000_000n];
  const seconds = new Date(Number(parts[0]) * 1000).toISOString().slice(0, 19);
  return parts[1] ? `${seconds}.${String(parts[1]).padStart(6, "0")}Z` : `${seconds}Z`;
}

const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS = { true: true, false: false, null: null };
const DEPTH = 200;

// JSON without what programs read differently: doubled keys, infinities, halves of characters.
export function parseJson(bytes, what) {
  const text = utf8(bytes, what);
  let at = 0;
  const take = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) refuse(`${what} is not JSON.`);
    at += found[0].length;
    return found[0];
  };
  const next = (sign) => {
    take(SPACE);
    if (text[at] !== sign) return false;
    at += 1;
    return true;
  };
  const expect = (sign) => next(sign) || refuse(`${what} is not JSON.`);
  const string = () => {
    const value = JSON.parse(take(STRING));
    return value.isWellFormed() ? value : refuse(`${what} has text that is not Unicode.`);
  };
  const value = (depth) => {
    if (depth > DEPTH) refuse(`${what} is not JSON.`);
    if (next("{")) {
      const found = Object.create(null);
      if (next("}")) return found;
      do {
        take(SPACE);
        const name = string();
        if (name in found) refuse(`${what} has the same JSON key twice.`);
        expect(":");
        found[name] = value(depth + 1);
      } while (next(","));
      expect("}");
      return found;
    }
    if (next("[")) {
      const found = [];
      if (next("]")) return found;
      do found.push(value(depth + 1));
      while (next(","));
      expect("]");
      return found;
    }
    if (text[at] === '"') return string();
    for (const word in WORDS) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return WORDS[word];
      }
    }
    const number = Number(take(NUMBER));
    return Number.isFinite(number) ? number : refuse(`${what} has a number that JSON cannot hold.`);
  };
  const whole = value(0);
  take(SPACE);
  return at === text.length ? whole : refuse(`${what} is not JSON.`);
}

// Sorted keys, no spaces. Only for files without numbers: two languages write those differently.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const names = Object.keys(value).sort();
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

export function parseCanonical(bytes, what) {
  const value = parseJson(bytes, what);
  if (!same(encode(canonical(value)), bytes)) {
    refuse(`${what} is not written as Spellmark writes it: it was altered or laid out anew.`);
  }
  return value;
}
