// Key files, made and read in the browser exactly as spellmark.secrets does it in Python.
// Nothing here sends anything.

const FORMAT = "spellmark-key/v1";
const KEY_BYTES = 32;

export function newKey(scheme, parameters, prompt = "") {
  const random = () => crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return { scheme, parameters, secret: random(), nonce: random(), prompt };
}

// The key file's text: the same bytes as KeyFile.dumps.
export function dumps({ scheme, parameters, secret, nonce, prompt }) {
  const file = { format: FORMAT, scheme, parameters, secret: base64(secret), nonce: base64(nonce) };
  return ascii(JSON.stringify({ ...file, ...told(prompt) }, null, 2)) + "\n";
}

// Reads a key file's text; throws an Error whose message never quotes it.
export function loads(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    file = null;
  }
  if (file?.format !== FORMAT) throw new Error("This is not a Spellmark key file.");
  const { scheme, parameters } = file;
  if (typeof scheme !== "string" || !areParameters(parameters)) {
    throw new Error("The key file's scheme or parameters are damaged.");
  }
  const prompt = file.prompt ?? "";
  if (typeof prompt !== "string" || !prompt.isWellFormed()) {
    throw new Error("The key file's prompt is damaged.");
  }
  return { scheme, parameters, secret: keyBytes(file.secret), nonce: keyBytes(file.nonce), prompt };
}

// The 64 hex digits that the registry keeps: HMAC-SHA256 of the canonical secret under the nonce.
export async function commitment({ scheme, parameters, secret, nonce, prompt }) {
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", nonce, hmac, false, ["sign"]);
  const message = canonical({ parameters, scheme, secret: hex(secret), ...told(prompt) });
  return hex(new Uint8Array(await crypto.subtle.sign(hmac, key, new TextEncoder().encode(message))));
}

// JSON with sorted keys, no spaces and ASCII only: what json.dumps(sort_keys=True) writes.
export function canonical(value) {
  if (value !== null && typeof value === "object") {
    const items = Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name])}`);
    return `{${items.join(",")}}`;
  }
  return ascii(JSON.stringify(value));
}

function ascii(text) {
  return text.replace(
    /[\u007f-\uffff]/g,
    (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}

// Key files without a prompt stay as they always were.
function told(prompt) {
  return prompt ? { prompt } : {};
}

function areParameters(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === "string" || Number.isSafeInteger(item));
}

function keyBytes(text) {
  let bytes = new Uint8Array();
  try {
    bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  } catch {
    // told below
  }
  if (bytes.length !== KEY_BYTES) {
    throw new Error("The key file is damaged: its secret or nonce is not 32 bytes.");
  }
  return bytes;
}

function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
