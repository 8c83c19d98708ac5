// The transcript of a run, as in spellmark.evidence.transcript.

import { encode, parseJson, refuse, utf8 } from "../bytes.js";
import { Fields } from "../fields.js";

const FORMAT = "spellmark-transcript/v1";
const WHAT = "The transcript";
const REQUIRED = [
  "number", "probe", "image_index", "image_sha256", "label", "first_slot", "request_sha256", "state",
];
const OPTIONAL = [
  "status", "seconds", "answer_sha256", "tls_certificate_sha256", "level", "labels",
  "probabilities", "error",
];

const isLabel = (value) => Number.isInteger(value) && Math.abs(value) <= 1_000_000;

// { header, exchanges }: the header's values as JSON gives them, and the exchanges with their types
// checked. Throws Refused.
export function readTranscript(bytes) {
  const lines = utf8(bytes, WHAT).split("\n");
  if (lines.at(-1) === "") lines.pop();
  if (lines.some((line) => line === "" || line.includes("\r"))) refuse("The transcript cannot be read.");
  const [header, ...rows] = lines.map((line) => parseJson(encode(line), WHAT));
  if (header?.format !== FORMAT) refuse("The transcript cannot be read.");
  return { header, exchanges: rows.map(exchangeOf) };
}

function exchangeOf(row) {
  const fields = new Fields(row, "An exchange of the transcript");
  fields.only([...REQUIRED, ...OPTIONAL]);
  for (const name of ["number", "probe", "image_index", "label", "first_slot"]) fields.few(name);
  return {
    number: row.number,
    probe: row.probe,
    imageIndex: row.image_index,
    imageSha256: fields.text("image_sha256"),
    label: row.label,
    firstSlot: row.first_slot,
    requestSha256: fields.text("request_sha256"),
    state: fields.choice("state", ["answered", "failed", "lost"]),
    answerSha256: fields.orNull("text", "answer_sha256"),
    labels: fields.has("labels") ? fields.numbers("labels", isLabel) : [],
    probabilities: fields.has("probabilities") ? fields.numbers("probabilities") : [],
  };
}

// The classes of the probes that count, and the answers to them by slot: only probes that every
// slot was answered for.
export function completeAnswers(exchanges, slots) {
  const labels = new Map();
  const answers = new Map();
  for (const one of exchanges) {
    if (one.state !== "answered") continue;
    labels.set(one.probe, one.label);
    if (!answers.has(one.probe)) answers.set(one.probe, new Map());
    const heard = answers.get(one.probe);
    const expected = heard.size + one.labels.length;
    one.labels.forEach((label, place) => heard.set(one.firstSlot + place, label));
    if (heard.size !== expected || one.firstSlot + one.labels.length > slots) {
      refuse("A key was asked about a probe twice, or there is no such key.");
    }
  }
  const complete = [...labels.keys()].filter((probe) => answers.get(probe).size === slots);
  const bySlot = Array.from({ length: slots }, (_, slot) =>
    complete.map((probe) => answers.get(probe).get(slot)));
  return [complete.map((probe) => labels.get(probe)), bySlot];
}
