// A guard's run redone from its transcript, as in spellmark.evidence.mark_replay and .mark_rule.

import { refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { hasTails } from "./answers.js";
import { MarkEvidence } from "./mark_evidence.js";
import { best, range, rounded } from "./numbers.js";
import { BitProcess, LEAST_STATED, signTest, smallestOfSigns, sumUnder } from "./signs.js";

export const DYNAMIC = "dynamic-watermark";

const MOST_MARK_ALPHA = 0.05;
const FIRST_LOOK = 16;
// A sign is read when its place leans so far, or was told of so often.
const FAR = 0.5;
const OFTEN = 4;
const UNITS = 64;
// Rounding may raise a probability above one, never so far.
const ABOVE_ANY = 2;

export function replayMark(header, exchanges) {
  const rule = markRule(header);
  const questions = markQuestions(header, rule);
  const run = new MarkRun(rule, disclosedSigns(header, rule));
  for (const exchange of exchanges) {
    if (exchange.state !== "answered" || run.isDecided) continue;
    const question = questions[exchange.probe] ?? refuse("It answers a question that it lacks.");
    run.add(question, markAnswer(exchange, rule));
  }
  const { alpha, smallestP } = rule;
  return {
    method: DYNAMIC, evidenceClass: "verified", ...run.decide(), alpha, smallestP,
    queryCap: rule.probes, told: {},
  };
}

function markRule(header) {
  const fields = new Fields(header, "The transcript").inner("rule", "The rule of the run");
  fields.only([
    "method", "alpha", "probes", "minimum_probes", "classes", "cells", "strength", "label_margin",
    "clients",
  ]);
  fields.choice("method", [DYNAMIC]);
  const whole = (name, usual) => (fields.has(name) ? fields.few(name) : usual);
  const rule = {
    alpha: fields.has("alpha") ? fields.probability("alpha") : 1e-6,
    probes: whole("probes", 256),
    minimumProbes: whole("minimum_probes", 1),
    classes: fields.count("classes"),
    cells: whole("cells", 1),
    strength: fields.count("strength"),
    labelMargin: whole("label_margin", 0),
    clients: whole("clients", 1),
  };
  const looks = looksOf(rule.probes);
  const tries = (looks.length + 1) * rule.clients;
  const smallestP = Math.min(1, tries * smallestOfSigns(mostTold(rule)));
  const { alpha, ...counts } = rule;
  const isSound = Object.values(counts).every(Number.isSafeInteger) &&
    alpha > 0 && alpha <= MOST_MARK_ALPHA && smallestP <= alpha &&
    rule.minimumProbes > 0 && rule.minimumProbes <= rule.probes &&
    rule.strength > 0 && rule.clients > 0;
  if (!isSound) refuse("No run under its rule could end in a match.");
  return { ...rule, looks, tries, smallestP };
}

// After how many answers the exact test is done: 16, 32, 64, … and the last.
function looksOf(probes) {
  const found = [];
  for (let look = FIRST_LOOK; look < probes; look *= 2) found.push(look);
  return [...found, probes];
}

// One answer tells of one row of the key.
function mostTold({ classes, cells, labelMargin, probes }) {
  const tails = cells * classes * (classes - 1);
  const pairs = labelMargin ? Math.floor(tails / 2) : 0;
  return Math.min(tails + pairs, probes * (classes - 1));
}

// What is known of each input: its cell, and what models say of it that never saw the mark, the
// owner's first.
function markQuestions(header, { classes, cells }) {
  const fields = new Fields(header, "The transcript");
  const references = fields.array("references");
  const isCell = (cell) => Number.isInteger(cell) && cell >= 0 && cell < cells;
  const given = fields.numbers("cells", isCell);
  const size = references[0]?.length;
  const isRow = (row) => Array.isArray(row) && row.length === classes &&
    row.every((value) => typeof value === "number" && value >= 0 && value <= 1);
  const isWhole = references.length === given.length && references.every((rows) =>
    Array.isArray(rows) && rows.length > 0 && rows.length === size && rows.every(isRow));
  if (!isWhole) refuse("Its reference answers are not probabilities for each question.");
  return references.map((models, place) => ({ models, cell: given[place] }));
}

// The key's sign at a place. Of one client's key is told, the one that fits best.
function disclosedSigns(header, { classes }) {
  const keys = Object.values(new Fields(header, "The transcript").object("signs"));
  if (keys.length !== 1) refuse("It does not tell the signs of one key.");
  const kinds = new Fields(keys[0], "The key of the transcript");
  return ({ kind, cell, first, other }) => {
    const row = kinds.inner(kind, "The rows of the key").text(`${cell}/${first}`);
    if (row.length !== classes || !/^[+-]*$/.test(row)) refuse("A row of its key is not of signs.");
    return row[other] === "+" ? 1 : -1;
  };
}

// A label alone is taken for a probability of one.
function markAnswer({ probabilities, labels }, { classes }) {
  if (probabilities.length) {
    const isWhole = probabilities.length >= classes &&
      probabilities.every((value) => value >= 0 && value < ABOVE_ANY);
    return isWhole ? probabilities : refuse("An answer of it is no probabilities of all classes.");
  }
  if (!labels.length) refuse("An answer of it is empty.");
  return range(classes).map((place) => Number(place === labels[0]));
}

// The rule at work: takes answers one by one, and says when enough is known.
class MarkRun {
  constructor(rule, sign) {
    this.rule = rule;
    this.sign = sign;
    this.evidence = new MarkEvidence(rule);
    this.process = new BitProcess();
    this.exact = 1;
    // The decimal logarithm of one over the smallest p-value so far; looks and keys not counted.
    this.reached = 0;
    this.answered = 0;
    this.seen = new Set();
    this.read = new Set();
  }

  get isDecided() {
    return this.reached >= Math.log10(this.rule.tries / this.rule.alpha);
  }

  add(question, answer) {
    const first = this.evidence.add(question, answer);
    this.seen.add(best(answer));
    for (const [place, lean] of this.evidence.leans(first)) this.bet(place, lean);
    this.answered += 1;
    if (this.rule.looks.includes(this.answered)) this.look();
    this.weigh();
  }

  bet(place, lean) {
    const isEarly = Math.abs(lean) < FAR && place.count < OFTEN;
    if (this.read.has(place.name) || isEarly) return;
    this.read.add(place.name);
    this.process.bet(lean, this.sign(place));
  }

  look() {
    this.exact = Math.min(this.exact, signTest(...this.units()));
  }

  // Evidence and sign at each place that was told of.
  units() {
    const leans = this.evidence.leans();
    return [
      leans.map(([, lean]) => rounded(UNITS * lean)), leans.map(([place]) => this.sign(place)),
    ];
  }

  weigh() {
    this.reached = Math.max(this.process.logMost / Math.log(10), -Math.log10(this.exact));
  }

  decide() {
    const { looks, tries, minimumProbes, alpha } = this.rule;
    if (!this.isDecided && !looks.includes(this.answered)) {
      // Some were not answered: what there is takes the place of the last look.
      this.look();
      this.weigh();
    }
    const [evidence, signs] = this.units();
    const p = tries * 10 ** -Math.min(this.reached, 299);
    const pValue = Math.max(Math.min(1, p), LEAST_STATED);
    const isShort = this.answered < minimumProbes || this.seen.size < 2;
    const without = hasTails(this.evidence.access) ? "no match" : "inconclusive";
    const verdict = isShort ? "inconclusive" : pValue <= alpha ? "match" : without;
    return { statistic: sumUnder(signs, evidence), pValue, verdict };
  }
}
