// The two exact tests of a lock's key, as in spellmark.evidence.decision, .keyed_label_test,
// .random_key_test and .draws.

import { fromHex, refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { permutations, range, ratio } from "./numbers.js";
import { permutation, subkey, uniform } from "./secrets.js";
import { completeAnswers } from "./transcript.js";

const KEYED_LABELS = "keyed-labels";
const RANDOM_KEY_TEST = "random-key-test";
export const LOCK_METHODS = [KEYED_LABELS, RANDOM_KEY_TEST];

const MOST_CLASSES = 12;
const SMALLEST_STATED = 1e-300;
const MOST_DIGITS = 2 ** 18;
const NO_BINDING = new Uint8Array();

export async function replayLock(header, exchanges) {
  const rule = lockRule(header);
  const [labels, answers] = completeAnswers(exchanges, rule.slots);
  const keys = labelPermutations(header);
  const seed = fromHex(header.seed, "The seed of the transcript");
  const { statistic, pValue } = rule.method === KEYED_LABELS
    ? keyedLabelTest(labels, answers, keys)
    : await randomKeyTest(rule, seed, keys, labels, answers);
  const seen = new Set(exchanges.flatMap((one) => one.labels));
  const isShort = labels.length < rule.minimumProbes || seen.size < 2;
  const verdict = isShort ? "inconclusive" : pValue <= rule.alpha ? "match" : "no match";
  const { method, alpha, smallestP, queryCap } = rule;
  const figures = { statistic, pValue, alpha, smallestP, queryCap };
  return { method, evidenceClass: "verified", ...figures, verdict, told: {} };
}

function lockRule(header) {
  const fields = new Fields(header, "The transcript").inner("rule", "The rule of the run");
  fields.only([
    "method", "alpha", "probes", "query_cap", "minimum_probes", "classes", "subkeys", "decoys",
  ]);
  const method = fields.choice("method", LOCK_METHODS);
  const alpha = fields.probability("alpha");
  const [probes, minimumProbes, classes] = ["probes", "minimum_probes", "classes"].map((name) =>
    fields.few(name));
  const queryCap = fields.few("query_cap");
  const subkeys = fields.has("subkeys") ? fields.few("subkeys") : 1;
  const decoys = fields.has("decoys") ? fields.few("decoys") : 0;
  const smallestP = method === KEYED_LABELS
    ? smallestOfLabels(classes, probes, subkeys)
    : 1 / (decoys + 1);
  const isSound = minimumProbes > 0 && minimumProbes <= probes && alpha > 0 && alpha <= 0.05 &&
    smallestP <= alpha;
  if (!isSound) refuse("No run under its rule could end in a match.");
  return { method, alpha, queryCap, minimumProbes, decoys, slots: subkeys + decoys, smallestP };
}

function smallestOfLabels(classes, probes, subkeys) {
  const shown = Math.min(classes, probes, MOST_CLASSES);
  return Math.max(ratio(1n, permutations(classes, shown) ** BigInt(subkeys)), SMALLEST_STATED);
}

// Of the true sub-keys that were asked; none where labels are plain.
function labelPermutations(header) {
  const isClasses = (given) => Array.isArray(given) &&
    [...given].sort((a, b) => a - b).every((label, place) => label === place);
  const given = new Fields(header, "The transcript").array("labels");
  if (!given.every(isClasses)) refuse("Its label permutations are none.");
  return given;
}

function keyedLabelTest(labels, answers, keys) {
  const classes = keys[0]?.length ?? 0;
  const shown = new Set(labels);
  const isWhole = answers.length === keys.length && classes > 0 &&
    keys.every((key) => key.length === classes) && shown.size <= MOST_CLASSES &&
    labels.every((label) => label < classes);
  if (!isWhole) refuse("Its probes, answers and label permutations do not belong together.");
  let hits = 0;
  let ways = [1n];
  for (const [place, given] of answers.entries()) {
    hits += labels.filter((label, probe) => keys[place][label] === given[probe]).length;
    ways = product(ways, waysToHit(labels, given, classes));
  }
  const total = sumOf(ways);
  const pValue = Math.max(ratio(sumOf(ways.slice(hits)), total), SMALLEST_STATED);
  return { statistic: hits, pValue };
}

// How many injections of the probes' classes into all classes give 0, 1, 2, … hits.
function waysToHit(labels, answers, classes) {
  const seen = [...new Set(labels)].sort((a, b) => a - b);
  const digits = digitsFor(permutations(classes, seen.length));
  // By the answer, how often each class was given it.
  const columns = new Map();
  for (const [probe, answer] of answers.entries()) {
    if (answer < 0 || answer >= classes) continue;
    if (!columns.has(answer)) columns.set(answer, new Map());
    const column = columns.get(answer);
    const row = 1 << seen.indexOf(labels[probe]);
    column.set(row, (column.get(row) ?? 0) + 1);
  }
  let sets = new Map([[0, 1n]]);
  for (const column of columns.values()) {
    const grown = new Map(sets);
    for (const [row, count] of column) {
      for (const [chosen, value] of sets) {
        if (chosen & row) continue;
        const term = (value << BigInt(4 * count * digits)) - value;
        grown.set(chosen | row, (grown.get(chosen | row) ?? 0n) + term);
      }
    }
    sets = grown;
  }
  let whole = 0n;
  for (const [chosen, value] of sets) {
    const size = range(seen.length).filter((place) => chosen & (1 << place)).length;
    whole += value * permutations(classes - size, seen.length - size);
  }
  return unpacked(whole, digits);
}

// The coefficients of a product, a block of either at a time: Firefox holds whole numbers of
// 2 ** 20 bits at the most.
function product(left, right) {
  const digits = digitsFor(sumOf(left) * sumOf(right));
  const size = Math.max(1, Math.floor(MOST_DIGITS / 2 / digits));
  const found = Array(left.length + right.length - 1).fill(0n);
  for (let a = 0; a < left.length; a += size) {
    const one = packed(left.slice(a, a + size), digits);
    for (let b = 0; b < right.length; b += size) {
      const both = one * packed(right.slice(b, b + size), digits);
      for (const [place, value] of unpacked(both, digits).entries()) found[a + b + place] += value;
    }
  }
  return found;
}

// In hexadecimal, where a number is cut in time that grows with its length alone.
const digitsFor = (most) => most.toString(16).length;

const packed = (coefficients, digits) =>
  BigInt(`0x${coefficients.map((n) => n.toString(16).padStart(digits, "0")).reverse().join("")}`);

function unpacked(value, digits) {
  const text = value.toString(16);
  const coefficients = [];
  for (let end = text.length; end > 0; end -= digits) {
    coefficients.push(BigInt(`0x${text.slice(Math.max(0, end - digits), end)}`));
  }
  return coefficients;
}

const sumOf = (values) => values.reduce((sum, value) => sum + value, 0n);

// The true key's statistic ranked among the decoys'; ties count against the claim.
async function randomKeyTest(rule, seed, keys, labels, answers) {
  const { decoys } = rule;
  const slot = uniform(await drawn(seed, "true-slot"), decoys + 1);
  let bySlot = answers.map(() => null);
  if (keys.length) {
    bySlot = await Promise.all(range(decoys).map((number) =>
      decoyLabels(seed, number, keys[0].length)));
    bySlot.splice(slot, 0, keys[0]);
  }
  if (bySlot.length !== answers.length) refuse("Its answers are not one for each key.");
  const hits = answers.map((given, place) => explained(labels, given, bySlot[place]));
  const above = hits.filter((value, place) => place !== slot && value >= hits[slot]).length;
  return { statistic: hits[slot], pValue: (1 + above) / (decoys + 1) };
}

// Answers that a slot's key explains: by its own labels, or by the plain ones.
function explained(labels, answers, key) {
  const agreeing = (expected) =>
    answers.filter((answer, probe) => answer === expected(probe)).length;
  const plain = agreeing((probe) => labels[probe]);
  if (key === null) return plain;
  if (labels.some((label) => label >= key.length)) refuse("Its probes are of unknown classes.");
  return Math.max(plain, agreeing((probe) => key[labels[probe]]));
}

async function decoyLabels(seed, number, classes) {
  const secret = await drawn(seed, "decoy", number);
  const scheme = { binding: NO_BINDING, scheme: "key-lock/v1", purpose: "labels" };
  return permutation(await subkey(secret, scheme), classes);
}

const drawn = (seed, purpose, index = 0) =>
  subkey(seed, { binding: NO_BINDING, scheme: "verification/v1", purpose, index });
