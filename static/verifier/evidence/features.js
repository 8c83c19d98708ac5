// A run against an external feature, as in spellmark.evidence.feature_replay and .feature_scores.

import { fromHex, refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { accessOf, asShown, rowOf, showsProbabilities, widthOf } from "./fingerprints.js";
import { best, fsum } from "./numbers.js";
import { poolDigest, readPool, scoredPool } from "./pool.js";
import { decideRanked, FEATURE, FEATURE_GRADIENTS, rankedRule } from "./ranked_rule.js";

export const FEATURE_METHODS = [FEATURE, FEATURE_GRADIENTS];

// What each image is asked as: as it is, in the owner's style, in a style that nobody holds.
const [PLAIN, STYLED, CONTROL] = [0, 1, 2];
const LEAST_PROBABILITY = 1e-4;

export async function replayFeature(header, exchanges) {
  const rule = rankedRule(header);
  const fields = new Fields(header, "The transcript");
  const nonce = fromHex(header.seed, "The seed of the transcript");
  const [pool, wrong] = await Promise.all(["pool", "control"].map((name) =>
    registeredPool(fields.array(name), rule, nonce)));
  if (rule.method === FEATURE_GRADIENTS) {
    const scores = fields.numbers("scores");
    if (scores.length < 2) refuse("The suspect has no score.");
    const control = [scores[1], wrong];
    return decideRanked(rule, scores[0], pool, { answered: rule.probes, control });
  }
  fields.take("scores", "null", (value) => value === null);
  return byAnswers(rule, pool, wrong, exchanges);
}

async function registeredPool(rows, rule, nonce) {
  const told = readPool(rows);
  const digest = await poolDigest(told.map((one) => one.reference));
  if (digest !== rule.poolSha256 || told.some((one) => one.score === null)) {
    refuse("Its null pool is not the one that was registered, or lacks scores.");
  }
  return scoredPool(told, nonce);
}

function byAnswers(rule, pool, wrong, exchanges) {
  const probes = wholeProbes(exchanges);
  if (!probes.length) return decideRanked(rule, null, pool);
  const access = accessOf(probes.flatMap(({ rows }) => rows));
  const labels = probes.map(({ label }) => label);
  const [plain, styled, control] = [PLAIN, STYLED, CONTROL].map((slot) =>
    probes.map(({ rows }) => rows[slot]));
  return decideRanked(rule, styleScore(labels, plain, styled, access), pool, {
    answered: probes.length,
    classesSeen: new Set(plain.map(best)).size,
    control: [styleScore(labels, plain, control, access), wrong],
    right: Math.min(shareRight(labels, plain), shareRight(labels, styled)),
  });
}

// The probes that were answered in all slots: their class, and a row for each slot.
function wholeProbes(exchanges) {
  const heard = new Map();
  for (const one of exchanges) {
    if (one.state !== "answered") continue;
    if (!heard.has(one.probe)) heard.set(one.probe, new Map());
    heard.get(one.probe).set(one.firstSlot, one);
  }
  const isWhole = (slots) =>
    slots.size === 3 && [PLAIN, STYLED, CONTROL].every((slot) => slots.has(slot));
  const whole = [...heard].filter(([, slots]) => isWhole(slots)).sort(([a], [b]) => a - b);
  const parts = whole.flatMap(([, slots]) => [...slots.values()]);
  const width = parts.reduce((most, one) => Math.max(most, widthOf(one), 1 + one.label), 2);
  return whole.map(([, slots]) => ({
    label: slots.get(PLAIN).label,
    rows: [PLAIN, STYLED, CONTROL].map((slot) => rowOf(slots.get(slot), width)),
  }));
}

// How much better the suspect bears the style: higher is closer to the owner's model.
function styleScore(labels, plain, styled, access) {
  const measure = showsProbabilities(access)
    ? (row, label) => Math.log(Math.max(row[label], LEAST_PROBABILITY))
    : (row, label) => Number(best(row) === label);
  const gains = labels.map((label, at) =>
    measure(asShown(styled[at], access), label) - measure(asShown(plain[at], access), label));
  return fsum(gains) / gains.length;
}

const shareRight = (labels, rows) =>
  labels.filter((label, at) => best(rows[at]) === label).length / labels.length;
