// Certificates (RFC 5280) as far as a timestamp authority's chain needs them. What is not known
// here is refused, never passed over.

import { hex, refuse } from "./bytes.js";
import { contentOf, elements, oidOf, partsOf, rawEcdsa, readDer, TAGS, timeOf } from "./der.js";

const OF_CHAIN = "A certificate of a timestamp authority";
const CONTEXT_0 = 0xa0;
const CONTEXT_3 = 0xa3;
const CURVES = {
  "1.2.840.10045.3.1.7": ["P-256", 32],
  "1.3.132.0.34": ["P-384", 48],
  "1.3.132.0.35": ["P-521", 66],
};
const EC_KEY = "1.2.840.10045.2.1";
const RSA_KEY = "1.2.840.113549.1.1.1";
const ED25519_KEY = "1.3.101.112";
export const DIGESTS = {
  "2.16.840.1.101.3.4.2.1": "SHA-256", "2.16.840.1.101.3.4.2.2": "SHA-384",
  "2.16.840.1.101.3.4.2.3": "SHA-512",
};
// By the signature's algorithm, the key's and the digest's.
const SIGNATURES = {
  "1.2.840.10045.4.3.2": [EC_KEY, "SHA-256"], "1.2.840.10045.4.3.3": [EC_KEY, "SHA-384"],
  "1.2.840.10045.4.3.4": [EC_KEY, "SHA-512"], "1.2.840.113549.1.1.11": [RSA_KEY, "SHA-256"],
  "1.2.840.113549.1.1.12": [RSA_KEY, "SHA-384"], "1.2.840.113549.1.1.13": [RSA_KEY, "SHA-512"],
  [ED25519_KEY]: [ED25519_KEY, null],
};
const EXTENSIONS = {
  "2.5.29.15": "usage", "2.5.29.19": "constraints", "2.5.29.37": "purposes",
  // These restrict nothing that is looked at here.
  "2.5.29.14": "subjectKey", "2.5.29.35": "authorityKey", "2.5.29.17": "names",
  "2.5.29.32": "policies",
};
const TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
// Bits of a key's usage, from the first byte's highest.
const [DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_CERT_SIGN] = [0, 1, 5];

// A certificate in DER: names, serial number and key as they are written, its times in microseconds
// since 1970, what its key is for, and what was signed how.
export function readX509(der) {
  const whole = readDer(der, OF_CHAIN);
  const [body, algorithm, bits, ...more] = partsOf(whole, TAGS.sequence, OF_CHAIN);
  if (more.length) refuse(`${OF_CHAIN} is not written as it should be.`);
  const parts = partsOf(body, TAGS.sequence, OF_CHAIN);
  const version = parts[0]?.tag === CONTEXT_0 ? parts.shift() : null;
  const [serial, inner, issuer, validity, subject, spki, ...rest] = parts;
  if (version === null || hex(inner?.whole ?? []) !== hex(algorithm?.whole ?? [])) {
    refuse(`${OF_CHAIN} is not of version 3, or names two algorithms.`);
  }
  const times = partsOf(validity, TAGS.sequence, OF_CHAIN);
  const [from, until] = times.map((time) => timeOf(time, OF_CHAIN));
  contentOf(spki, TAGS.sequence, OF_CHAIN);
  return {
    der,
    serial: hex(contentOf(serial, TAGS.integer, OF_CHAIN)),
    issuer: nameOfX509(issuer),
    subject: nameOfX509(subject),
    from,
    until,
    spki: spki.whole,
    ...readExtensions(rest.find(({ tag }) => tag === CONTEXT_3)),
    signed: body.whole,
    algorithm,
    signature: bitsOf(bits),
  };
}

function nameOfX509(element) {
  contentOf(element, TAGS.sequence, OF_CHAIN);
  return hex(element.whole);
}

function readExtensions(element) {
  const found = { usage: null, isAuthority: false, mostBelow: Infinity, mayStamp: false };
  if (!element) return found;
  const [list] = elements(element.content, OF_CHAIN);
  const seen = new Set();
  for (const extension of partsOf(list, TAGS.sequence, OF_CHAIN)) {
    const parts = partsOf(extension, TAGS.sequence, OF_CHAIN);
    const name = oidOf(parts[0], OF_CHAIN);
    const isCritical = parts.length === 3 && contentOf(parts[1], TAGS.boolean, OF_CHAIN)[0] !== 0;
    const value = readDer(contentOf(parts.at(-1), TAGS.octets, OF_CHAIN), OF_CHAIN);
    const kind = EXTENSIONS[name];
    if ((isCritical && !kind) || seen.has(name)) refuse(`${OF_CHAIN} has an unknown extension.`);
    seen.add(name);
    if (kind === "usage") found.usage = bitsOf(value, true);
    if (kind === "purposes") {
      const purposes = partsOf(value, TAGS.sequence, OF_CHAIN).map((one) => oidOf(one, OF_CHAIN));
      found.mayStamp = isCritical && purposes.join() === TIME_STAMPING;
    }
    if (kind === "constraints") {
      const [isAuthority, most] = partsOf(value, TAGS.sequence, OF_CHAIN);
      found.isAuthority = isAuthority?.tag === TAGS.boolean && isAuthority.content[0] !== 0;
      if (most) found.mostBelow = Number(`0x${hex(contentOf(most, TAGS.integer, OF_CHAIN))}`);
    }
  }
  return found;
}

function bitsOf(element, mayBeCut = false) {
  const content = contentOf(element, TAGS.bits, OF_CHAIN);
  const isSound = content.length > 0 && (mayBeCut ? content[0] < 8 : content[0] === 0);
  return isSound ? content.subarray(1) : refuse(`${OF_CHAIN} is not written as it should be.`);
}

const hasUsage = ({ usage }, bit) =>
  usage === null || ((usage[bit >> 3] ?? 0) & (128 >> (bit & 7))) !== 0;

// Whether a chain, own certificate first and root last, lets the first stamp at that moment.
export async function isChain(chain, moment) {
  const [own, root] = [chain[0], chain.at(-1)];
  const maySign = hasUsage(own, DIGITAL_SIGNATURE) || hasUsage(own, NON_REPUDIATION);
  if (!own.mayStamp || !maySign || root.issuer !== root.subject) return false;
  if (chain.some(({ from, until }) => moment < from || moment > until)) return false;
  for (const [place, issuer] of chain.slice(1).entries()) {
    const { issuer: name, algorithm, signature, signed } = chain[place];
    // So many authorities stand between this issuer and the first certificate.
    const mayIssue = issuer.isAuthority && hasUsage(issuer, KEY_CERT_SIGN) &&
      issuer.mostBelow >= place;
    if (!mayIssue || name !== issuer.subject) return false;
    if (!(await isSignedWith(issuer, algorithm, signature, signed))) return false;
  }
  return true;
}

// digest: by which the algorithm is completed where it does not name one itself.
export async function isSignedWith({ spki }, algorithm, signature, data, digest = null) {
  const [algorithms] = partsOf(readDer(spki, OF_CHAIN), TAGS.sequence, OF_CHAIN);
  const [kind, curve] = partsOf(algorithms, TAGS.sequence, OF_CHAIN);
  const keyKind = oidOf(kind, OF_CHAIN);
  const name = oidOf(partsOf(algorithm, TAGS.sequence, OF_CHAIN)[0], OF_CHAIN);
  const [needed, hash] = SIGNATURES[name] ?? [name, digest];
  if (needed !== keyKind || (hash === null && keyKind !== ED25519_KEY)) return false;
  let [settings, bytes] = [{ name: "Ed25519" }, signature];
  if (keyKind === RSA_KEY) settings = { name: "RSASSA-PKCS1-v1_5", hash };
  if (keyKind === EC_KEY) {
    const [namedCurve, size] = CURVES[oidOf(curve, OF_CHAIN)] ?? [];
    settings = { name: "ECDSA", namedCurve, hash };
    bytes = rawEcdsa(signature, size);
  }
  if (bytes === null || (keyKind === EC_KEY && !settings.namedCurve)) return false;
  const key = await crypto.subtle.importKey("spki", spki, settings, false, ["verify"]);
  return crypto.subtle.verify(settings, key, bytes, data);
}
