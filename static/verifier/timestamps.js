// RFC 3161 timestamps, as in spellmark.certificates.timestamps: an authority's word that a
// signature existed by some time.

import { fromBase64, hex, refuse } from "./bytes.js";
import { contentOf, elements, oidOf, partsOf, readDer, TAGS, timeOf } from "./der.js";
import { DIGESTS, isChain, isSignedWith, readX509 } from "./x509.js";

const RESPONSE = "A timestamp";
const SIGNED_DATA = "1.2.840.113549.1.7.2";
const TST_INFO = "1.2.840.113549.1.9.16.1.4";
const CONTENT_TYPE = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST = "1.2.840.113549.1.9.4";
const FIRST_CONTEXT = 0xa0;
const PEM = /-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END CERTIFICATE-----/g;

// An authority's certificates from PEM, own first, root last.
export function readAuthority(pem) {
  const found = [...pem.matchAll(PEM)].map(([, text]) => text.replaceAll(/\s/g, ""));
  if (!found.length) refuse("A timestamp authority is not given as certificates in PEM form.");
  return found.map((text) => readX509(fromBase64(text, "A certificate of a timestamp authority")));
}

// When one of the authorities stamped the signature, in microseconds since 1970.
export async function verifyTimestamp(response, signature, authorities) {
  const token = readToken(response);
  for (const chain of authorities) {
    if (await isStampedBy(chain, token, signature)) return token.stampedAt;
  }
  return refuse(
    "A timestamp was not made by a trusted authority for this signature: it was altered, or " +
      "belongs to another certificate.",
  );
}

const listOf = (element) => partsOf(element, TAGS.sequence, RESPONSE);

function readToken(response) {
  const [status, token] = listOf(readDer(response, RESPONSE));
  const [kind, wrapped] = listOf(token);
  if (!isNumber(listOf(status)[0], 0) || oidOf(kind, RESPONSE) !== SIGNED_DATA) {
    refuse("A timestamp was not granted.");
  }
  const inner = readDer(contentOf(wrapped, FIRST_CONTEXT, RESPONSE), RESPONSE);
  const [version, digests, content, ...rest] = listOf(inner);
  const [contentKind, contentWrapped] = listOf(content);
  const octets = readDer(contentOf(contentWrapped, FIRST_CONTEXT, RESPONSE), RESPONSE);
  const info = contentOf(octets, TAGS.octets, RESPONSE);
  const signers = partsOf(rest.at(-1), TAGS.set, RESPONSE);
  const signer = readSigner(listOf(signers[0]));
  const embedded = rest.slice(0, -1);
  const isSound = signers.length === 1 && oidOf(contentKind, RESPONSE) === TST_INFO &&
    isNumber(version, 3) && embedded.length < 2 &&
    embedded.every(({ tag }) => tag === FIRST_CONTEXT) &&
    partsOf(digests, TAGS.set, RESPONSE).some((one) => digestOf(one) === signer.digestName);
  if (!isSound) refuse("A timestamp is not an RFC 3161 response.");
  const [, , imprint, , genTime] = listOf(readDer(info, RESPONSE));
  const [algorithm, digest] = listOf(imprint);
  const stampedAt = timeOf(genTime, RESPONSE);
  return {
    info,
    certificates: embedded.flatMap((one) => elements(one.content, RESPONSE))
      .map(({ whole }) => hex(whole)),
    imprintName: digestOf(algorithm),
    imprint: hex(contentOf(digest, TAGS.octets, RESPONSE)),
    // In whole seconds, as the command reads it.
    stampedAt: stampedAt - (stampedAt % 1_000_000n),
    ...signer,
  };
}

function isNumber(element, number) {
  return hex(contentOf(element, TAGS.integer, RESPONSE)) === number.toString(16).padStart(2, "0");
}

// The name of a digest by its algorithm, which has no settings.
function digestOf(element) {
  const [name, settings, ...more] = listOf(element);
  const isBare = !settings || (settings.tag === TAGS.null && !settings.content.length);
  const known = DIGESTS[oidOf(name, RESPONSE)];
  return known && isBare && !more.length ? known : refuse("A timestamp is of an unknown digest.");
}

function readSigner([version, sid, algorithm, attributes, signatureAlgorithm, signature]) {
  if (!isNumber(version, 1)) refuse("A timestamp is not an RFC 3161 response.");
  const [issuer, serial] = listOf(sid);
  const content = contentOf(attributes, FIRST_CONTEXT, RESPONSE);
  const signed = attributes.whole.slice();
  // What is signed is written as the set that it is.
  signed[0] = TAGS.set;
  return {
    issuer: hex(issuer.whole),
    serial: hex(contentOf(serial, TAGS.integer, RESPONSE)),
    digestName: digestOf(algorithm),
    attributes: readAttributes(content),
    signed,
    algorithm: signatureAlgorithm,
    signature: contentOf(signature, TAGS.octets, RESPONSE),
  };
}

// The value of each attribute that has one, by its name.
function readAttributes(content) {
  const found = new Map();
  for (const element of elements(content, RESPONSE)) {
    const [name, values] = listOf(element);
    const given = partsOf(values, TAGS.set, RESPONSE);
    const known = oidOf(name, RESPONSE);
    if (given.length !== 1 || found.has(known)) refuse("A timestamp is not an RFC 3161 response.");
    found.set(known, given[0]);
  }
  return found;
}

async function isStampedBy(chain, token, signature) {
  const [own] = chain;
  const { attributes, digestName, imprintName } = token;
  const isOwn = token.issuer === own.issuer && token.serial === own.serial &&
    (!token.certificates.length || token.certificates.includes(hex(own.der)));
  const told = attributes.get(MESSAGE_DIGEST);
  const isTyped = attributes.has(CONTENT_TYPE) &&
    oidOf(attributes.get(CONTENT_TYPE), RESPONSE) === TST_INFO;
  if (!isOwn || !isTyped || told?.tag !== TAGS.octets) return false;
  const [imprint, message] = await Promise.all([
    crypto.subtle.digest(imprintName, signature), crypto.subtle.digest(digestName, token.info),
  ]);
  if (hex(new Uint8Array(imprint)) !== token.imprint) return false;
  if (hex(new Uint8Array(message)) !== hex(told.content)) return false;
  return (await isSignedWith(own, token.algorithm, token.signature, token.signed, digestName)) &&
    isChain(chain, token.stampedAt);
}
