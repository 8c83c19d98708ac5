// A run by fingerprint, as in spellmark.evidence.fingerprint_replay and .fingerprint_scores.

import { fromHex, refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { AccessReader } from "./answers.js";
import { best, fsum, rounded } from "./numbers.js";
import { poolDigest, readPool, scoredPool } from "./pool.js";
import { AGREEMENT, CORRELATION, decideRanked, rankedRule, RBF, WEIGHTS } from "./ranked_rule.js";

export const FINGERPRINT_METHODS = [AGREEMENT, CORRELATION, WEIGHTS];

const LABEL_REST = 0.01;

export async function replayFingerprint(header, exchanges) {
  const rule = rankedRule(header);
  const fields = new Fields(header, "The transcript");
  const told = readPool(fields.array("pool"));
  const [owner, score] = [ownersRows(fields.array("owner")), scoreTold(fields)];
  fields.array("layers");
  if ((await poolDigest(told.map((one) => one.reference))) !== rule.poolSha256) {
    refuse("Its null pool is not the one that was registered.");
  }
  const pool = await scoredPool(told, fromHex(header.seed, "The seed of the transcript"));
  if (rule.method === WEIGHTS) return decideRanked(rule, score, pool);
  const heard = answersOf(exchanges);
  const access = accessOf([...heard.values()]);
  const classesSeen = new Set([...heard.values()].map(best)).size;
  const found = heard.size ? scoreOf(rule, owner, heard, access) : 0;
  return decideRanked(rule, found, pool, { answered: heard.size, classesSeen });
}

const scoreTold = (fields) =>
  fields.take("score", "a number or null", (value) => value === null || typeof value === "number");

function ownersRows(rows) {
  const isRow = (row) => Array.isArray(row) && row.length > 1 && row.length === rows[0].length &&
    row.every(Number.isFinite);
  return rows.every(isRow) ? rows : refuse("The owner's answers are no lists of probabilities.");
}

// By the probe what was said of it, all rows of one length; a label alone is a probability of one.
function answersOf(exchanges) {
  const answered = exchanges.filter((one) => one.state === "answered");
  const width = answered.reduce((most, one) => Math.max(most, widthOf(one)), 2);
  return new Map(answered.map((one) => [one.probe, rowOf(one, width)]));
}

export function widthOf({ labels, probabilities }) {
  if (!labels.length || labels[0] < 0) refuse("An answer tells no class.");
  return Math.max(probabilities.length, 1 + labels[0]);
}

export function rowOf({ labels, probabilities }, width) {
  const row = Array.from({ length: width }, (_, place) => probabilities[place] ?? 0);
  if (!probabilities.length) row[labels[0]] = 1;
  return row;
}

export function accessOf(rows) {
  const reader = new AccessReader(rows.length ? rows[0].length : 2);
  for (const row of rows) reader.add(row);
  return reader.access;
}

export const showsProbabilities = ({ shown }) => shown === "all";

// Probabilities as somebody would show them who shows no more than this.
export function asShown(row, access) {
  if (!showsProbabilities(access)) return labelRow(best(row), row.length);
  const { decimals } = access;
  return decimals === null ? row : row.map((value) => rounded(value, decimals));
}

function labelRow(label, classes) {
  const [first, rest] = [Math.exp(1), Math.exp(LABEL_REST)];
  const whole = first + (classes - 1) * rest;
  return Array.from({ length: classes }, (_, place) => (place === label ? first : rest) / whole);
}

function scoreOf(rule, owner, heard, access) {
  const probes = [...heard.keys()].sort((a, b) => a - b);
  if (probes.at(-1) >= owner.length) refuse("An answer is to no probe of the transcript.");
  const ours = probes.map((probe) => asShown(owner[probe], access));
  if (rule.method === AGREEMENT) {
    const agreeing = probes.filter((probe, at) => best(ours[at]) === best(heard.get(probe)));
    return agreeing.length / probes.length;
  }
  return correlationOf(ours, probes.map((probe) => asShown(heard.get(probe), access)), rule.kernel);
}

// One minus the mean distance of the two matrices of sample correlations (SAC, 2210.15427).
function correlationOf(owner, suspect, kernel) {
  const [ours, theirs] = [relations(owner, kernel), relations(suspect, kernel)];
  const total = fsum(ours.map((value, at) => Math.abs(value - theirs[at])));
  return 1 - (2 * total) / owner.length ** 2;
}

function relations(rows, kernel) {
  const units = rows.map(unit);
  const found = [];
  for (const [place, one] of units.entries()) {
    for (let other = place + 1; other < units.length; other += 1) {
      const squared = squaredDistance(one, units[other]);
      found.push(kernel === RBF ? Math.exp(-squared) : squared / 4);
    }
  }
  return found;
}

// Of length one; a row of zeros stays.
function unit(row) {
  const length = Math.hypot(...row) || 1;
  return row.map((value) => value / length);
}

function squaredDistance(one, other) {
  let sum = 0;
  for (let place = 0; place < one.length; place += 1) sum += (one[place] - other[place]) ** 2;
  return sum;
}
