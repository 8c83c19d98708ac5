// A verdict's figures computed anew from its transcript, as in spellmark.evidence.recompute.

import { Refused, refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { FEATURE_METHODS, replayFeature } from "./features.js";
import { FINGERPRINT_METHODS, replayFingerprint } from "./fingerprints.js";
import { LOCK_METHODS, replayLock } from "./locks.js";
import { DYNAMIC, replayMark } from "./marks.js";
import { replayTriggers, TRIGGER_METHODS } from "./triggers.js";

// Sums in another order on another machine may differ in the last digits, never in more.
const TOLERANCE = 1e-9;
// Each takes a transcript's header and exchanges and gives { method, evidenceClass, statistic,
// pValue, alpha, smallestP, queryCap, verdict, told }; it throws whatever it likes at what it cannot
// use.
const REPLAYS = new Map([
  ...LOCK_METHODS.map((method) => [method, replayLock]),
  [DYNAMIC, replayMark],
  ...TRIGGER_METHODS.map((method) => [method, replayTriggers]),
  ...FINGERPRINT_METHODS.map((method) => [method, replayFingerprint]),
  ...FEATURE_METHODS.map((method) => [method, replayFeature]),
]);

export const isRecomputed = (method) => REPLAYS.has(method);

// What was found, in words. Throws Refused where the statement says anything else.
export async function checkStatistic({ header, exchanges }, statement) {
  const found = await recompute(header, exchanges);
  const stated = statement.predicate;
  for (const [name, told] of [["method", "method"], ["evidenceClass", "evidence class"]]) {
    if (found[name] === stated[name]) continue;
    refuse(
      `The certificate says “${stated[name]}”, but its transcript is of the ${told} ` +
        `“${found[name]}”.`,
    );
  }
  for (const name of ["statistic", "pValue", "alpha", "smallestP"]) {
    const [own, other] = [found[name] ?? null, stated[name] ?? null];
    if (own === null ? other === null : other !== null && isClose(own, other)) continue;
    refuse(`The certificate says ${name} ${other}, but its transcript gives ${own}.`);
  }
  if (found.verdict !== stated.verdict) {
    refuse(
      `The certificate says “${stated.verdict}”, but its transcript gives “${found.verdict}”.`,
    );
  }
  for (const [name, told] of Object.entries(found.told)) {
    const differing = firstDifference(name, told, stated.parameters[name]);
    if (differing !== null) {
      refuse(`The certificate's ${differing} is not the one that its transcript tells.`);
    }
  }
  if (stated.queries !== exchanges.length) {
    refuse(
      `The certificate says ${stated.queries} queries, but its transcript has ${exchanges.length}.`,
    );
  }
  return `Recomputed from the transcript: statistic ${stated.statistic}, p ${stated.pValue}.`;
}

export async function recompute(header, exchanges) {
  try {
    const found = await REPLAYS.get(header.rule.method)(header, exchanges);
    const asked = new Set(exchanges.map((one) => `${one.probe} ${one.firstSlot}`));
    if (exchanges.length > found.queryCap || asked.size < exchanges.length) {
      refuse("More was asked than its rule allows, or something was asked twice.");
    }
    const figures = [found.statistic, found.pValue, found.alpha, found.smallestP];
    if (figures.some(Number.isNaN)) throw new TypeError("a figure that is no number");
    const fields = new Fields(header, "The transcript");
    const tries = fields.has("tries") ? fields.object("tries") : {};
    const earlier = fields.orNull("count", "earlierRegistration");
    // The earlier registration wins, as in spellmark.evidence.earlier.
    const isOvertaken = earlier !== null && found.verdict === "match";
    return {
      ...found,
      verdict: isOvertaken ? "inconclusive" : found.verdict,
      told: { ...tries, earlierRegistration: earlier, ...found.told },
    };
  } catch (error) {
    if (error instanceof RangeError) {
      refuse("It is too large for this browser; `spellmark verify` can compute it.");
    }
    const why = error instanceof Refused ? ` ${error.message}` : "";
    return refuse(`The transcript does not hold what its test needs.${why}`);
  }
}

const isClose = (a, b) => Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));

// The first name, dotted, under which two values differ; what one of them lacks is null.
function firstDifference(name, told, stated) {
  if (isPlain(told) && isPlain(stated)) {
    for (const part of new Set([...Object.keys(told), ...Object.keys(stated)])) {
      const found = firstDifference(`${name}.${part}`, told[part], stated[part]);
      if (found !== null) return found;
    }
    return null;
  }
  return isSame(told ?? null, stated ?? null) ? null : name;
}

const isPlain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function isSame(told, stated) {
  if (Array.isArray(told) && Array.isArray(stated)) {
    return told.length === stated.length &&
      told.every((one, place) => firstDifference("", one, stated[place]) === null);
  }
  const areFractions = typeof told === "number" && typeof stated === "number" &&
    !(Number.isInteger(told) && Number.isInteger(stated));
  return areFractions ? isClose(told, stated) : told === stated;
}
