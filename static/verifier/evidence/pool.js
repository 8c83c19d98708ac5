// The null pool: independent models that tell how close an innocent one comes, as in
// spellmark.evidence.null_pool.

import { concat, encode, fromHex, hex, refuse, sha256 } from "../bytes.js";
import { Fields } from "../fields.js";
import { median, rounded } from "./numbers.js";
import { atMost } from "./proportions.js";

export const KINDS = ["other data", "same data", "same data and architecture"];
export const TRAINED = "trained";
export const LEAST_MODELS = 30;
const SOURCES = [TRAINED, "uploaded", "weak"];
const CALIBRATE = "calibrate";
const TEST = "test";
const DIGITS = 6;
const SPLIT = encode("spellmark null pool split v1");
const POOL = "spellmark null pool v1";

export function readReference(kind, sha256Hex, source) {
  const isKnown = KINDS.includes(kind) && SOURCES.includes(source);
  const isSound = isKnown && /^[0-9a-f]{64}$/.test(sha256Hex);
  if (!isSound) refuse("Its null pool has a model of no kind.");
  return { kind, sha256: sha256Hex, source };
}

// 64 hex digits that stand for this very pool.
export async function poolDigest(references) {
  const lines = references.map((one) => `${one.sha256} ${one.kind} ${one.source}`).sort();
  return hex(await sha256(encode([POOL, ...lines].join("\n"))));
}

export const countKinds = (references) =>
  Object.fromEntries(KINDS.map((kind) => [
    kind, references.filter((one) => one.kind === kind).length,
  ]));

// A pool as a transcript tells it: { reference, score }, null for one that cannot be compared.
export function readPool(rows) {
  const seen = new Set();
  return rows.map((row) => {
    const fields = new Fields(row, "A model of the null pool");
    const reference = readReference(row.kind, fields.sha256("sha256"), row.source);
    if (seen.has(reference.sha256)) refuse("A model stands in its null pool twice.");
    seen.add(reference.sha256);
    return { reference, score: row.score === null ? null : fields.number("score") };
  });
}

// With the halves that the run's nonce draws. Nothing that is told hangs on the order of models.
export async function scoredPool(pool, nonce) {
  const halves = new Map();
  for (const kind of KINDS) {
    for (const source of SOURCES) {
      const mine = pool.filter(({ reference }) =>
        reference.kind === kind && reference.source === source);
      const keyed = await Promise.all(mine.map(async ({ reference }) => ({
        sha256: reference.sha256, key: await splitKey(nonce, reference),
      })));
      keyed.sort((a, b) => (a.key < b.key ? -1 : 1));
      const first = Math.ceil(keyed.length / 2);
      keyed.forEach((one, place) => halves.set(one.sha256, place < first ? CALIBRATE : TEST));
    }
  }
  return pool.map(({ reference, score }) => ({
    reference,
    half: halves.get(reference.sha256),
    score: score === null ? null : rounded(score, DIGITS),
  }));
}

const splitKey = async (nonce, reference) =>
  hex(await sha256(concat(SPLIT, nonce, fromHex(reference.sha256, "A digest of the null pool"))));

// Where a suspect's score stands, higher for closer.
export function rankInPool(score, pool, margin) {
  const own = rounded(score, DIGITS);
  const known = pool.filter((one) => one.score !== null);
  const trained = known.filter((one) => one.reference.source === TRAINED);
  // Uploaded ones may raise the threshold. A kind that they fill up would lower it.
  const threshold = Math.max(
    thresholdOf(known, margin), thresholdOf(trained.length ? trained : known, margin),
  );
  const shares = KINDS.flatMap((kind) => {
    const isKind = ({ reference }) => reference.kind === kind;
    const above = known.filter((one) => isKind(one) && one.score >= own).length;
    const models = trained.filter(isKind).length;
    return above || models ? [(1 + above) / (models + 1)] : [];
  });
  if (!shares.length) refuse("Its null pool has no model to rank the suspect among.");
  const tested = trained.filter((one) => one.half === TEST);
  const wrong = tested.filter((one) => one.score > threshold).length;
  return {
    score: own,
    pValue: Math.min(1, Math.max(...shares)),
    atOrAbove: known.filter((one) => one.score >= own).length,
    models: trained.length,
    threshold,
    tested: tested.length,
    falsePositives: wrong,
    falsePositiveRateAtMost: rounded(atMost(wrong, tested.length), DIGITS),
    void: known.some((one) => one.score > threshold),
  };
}

// Above the highest score of each kind by `margin` times its distance from the kind's median.
function thresholdOf(pool, margin) {
  const lines = KINDS.flatMap((kind) => {
    const scores = pool.filter((one) => one.half === CALIBRATE && one.reference.kind === kind)
      .map((one) => one.score);
    const highest = Math.max(...scores);
    return scores.length ? [highest + margin * (highest - median(scores))] : [];
  });
  return lines.length ? rounded(Math.max(...lines), DIGITS)
    : refuse("The calibrating half of its null pool has no score.");
}
