// A guard's run redone from its transcript, as in spellmark.evidence.mark_replay, .mark_rule and
// .mark_evidence.

import { refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { AccessReader, hasTails } from "./answers.js";
import { best, fmean, median, range, rounded } from "./numbers.js";
import { BitProcess, LEAST_STATED, signTest, smallestOfSigns, sumUnder } from "./signs.js";

export const DYNAMIC = "dynamic-watermark";

const MOST_MARK_ALPHA = 0.05;
const FIRST_LOOK = 16;
// A sign is read when its place leans so far, or was told of so often.
const FAR = 0.5;
const OFTEN = 4;
// A lean is measured in this and in how far the references differ among themselves. Alone, a
// reference stands for both.
const LEAN_SCALE = 0.25;
const SPREAD_ALONE = 0.25;
const MOST_OF_ONE = 0.5;
const UNITS = 64;
const LEAST_CENTRED = 3;
// Rounding may raise a probability above one, never so far.
const ABOVE_ANY = 2;
// The two kinds of places where a sign of the key shows.
const IN_TAIL = "tail";
const IN_LABEL = "label";

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
    method: DYNAMIC, evidenceClass: "verified", ...run.decide(), alpha, smallestP, told: {},
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

// What the answers so far say, place by place.
class MarkEvidence {
  constructor({ classes, strength, labelMargin }) {
    this.classes = classes;
    this.strength = strength;
    this.labelMargin = labelMargin;
    this.reader = new AccessReader(classes);
    this.access = this.reader.access;
    this.answers = [];
    // By the first class of places, then by their names.
    this.places = new Map();
  }

  // The class under which the places stand that the answer may tell of.
  add(question, answer) {
    this.answers.push([question, answer]);
    this.reader.add(answer);
    const { access } = this.reader;
    if (isSameAccess(access, this.access)) {
      this.weigh(question, answer);
    } else {
      this.access = access;
      this.places.clear();
      for (const [asked, given] of this.answers) this.weigh(asked, given);
    }
    const [top, second] = bestPair(question.models[0]);
    return this.isCloseCall(question.models[0]) ? Math.min(top, second) : top;
  }

  // Each place with how the suspect leans there, in (-1, 1); of one first class, or of all.
  leans(first = null) {
    const firsts = first === null ? [...this.places.keys()] : [first];
    return firsts.flatMap((one) => {
      const named = this.places.get(one) ?? new Map();
      const sorted = [...named.values()].sort((a, b) => a.cell - b.cell || a.other - b.other);
      const tails = sorted.filter(({ kind }) => kind === IN_TAIL);
      const labels = sorted.filter(({ kind }) => kind === IN_LABEL);
      const values = fromMiddle(tails.map(({ total, count }) => total / count));
      const spreads = spreadsOf(tails.map(({ apart, count }) => apart.map((sum) => sum / count)));
      return [
        ...labels.map((place) => [
          place, Math.tanh((place.total / place.count) * Math.sqrt(place.count)),
        ]),
        ...tails.map((place, n) => [place, Math.tanh(values[n] / (LEAN_SCALE + spreads[n]))]),
      ];
    });
  }

  isCloseCall(reference) {
    const [top, second] = bestPair(reference);
    return this.labelMargin > 0 &&
      reference[second] > reference[top] * Math.exp(-this.labelMargin / 100);
  }

  weigh(question, answer) {
    for (const [kind, first, other, lean, apart] of this.told(question, answer)) {
      const { cell } = question;
      const name = `${kind} ${cell} ${first} ${other}`;
      if (!this.places.has(first)) this.places.set(first, new Map());
      const named = this.places.get(first);
      const before = named.get(name) ?? { total: 0, count: 0, apart: apart.map(() => 0) };
      named.set(name, {
        name, kind, cell, first, other,
        total: before.total + lean,
        count: before.count + 1,
        apart: before.apart.map((sum, model) => sum + apart[model]),
      });
    }
  }

  // What an answer tells of: kind, first and other class of the places, the suspect's lean there
  // and each reference's.
  told({ models }, answer) {
    const [top, second] = bestPair(models[0]);
    const given = best(answer);
    if (this.isCloseCall(models[0])) {
      const [low, high] = [Math.min(top, second), Math.max(top, second)];
      if (given !== low && given !== high) return [];
      const share = models.filter((row) => row[high] > row[low]).length / models.length;
      return [[IN_LABEL, low, high, Number(given === high) - share, []]];
    }
    if (given !== top || !hasTails(this.access)) return [];
    const others = range(this.classes).filter((other) => other !== top);
    const floor = floorOf(answer, this.access, this.classes);
    const soft = this.softening();
    const logs = (shown) => others.map((other) => Math.log(Math.max(shown(other), floor) + soft));
    const references = models.map((row) => logs((other) => this.asShown(row[other])));
    const expected = others.map((_, place) => fmean(references.map((row) => row[place])));
    const leans = fromExpected(logs((other) => answer[other]), expected);
    const apart = references.map((row) => fromExpected(row, expected));
    return others.map((other, place) => [
      IN_TAIL, top, other, leans[place], apart.map((row) => row[place]),
    ]);
  }

  // What is added before logarithms: differences far below the mark's mass say nothing.
  softening() {
    const soft = this.strength / 50_000;
    const { decimals } = this.access;
    return decimals === null ? soft : Math.max(soft, 0.5 * 10 ** -decimals);
  }

  // The owner's probability as a suspect would show it that rounds as this one does.
  asShown(value) {
    return this.access.decimals === null ? value : rounded(value, this.access.decimals);
  }
}

const isSameAccess = (one, other) =>
  ["shown", "largest", "decimals"].every((name) => one[name] === other[name]);

// The places of the two largest, the first of several.
function bestPair(row) {
  const top = best(row);
  return [top, best(row.map((value, place) => (place === top ? -1 : value)))];
}

// What a class may have at the most that is not among the largest shown; else zero.
function floorOf(answer, access, classes) {
  if (access.largest === null) return 0;
  const shown = answer.filter((value) => value > 0);
  const left = Math.max(1 - answer.reduce((a, b) => a + b, 0), 0);
  const least = shown.length ? shown.reduce((a, b) => Math.min(a, b)) : 0;
  return Math.min(least, left / Math.max(classes - shown.length, 1));
}

// How far one answer is from what is expected, class by class, its confidence taken away.
function fromExpected(row, expected) {
  const leans = fromMiddle(row.map((value, place) => value - expected[place]));
  return leans.map((value) => Math.max(-MOST_OF_ONE, Math.min(MOST_OF_ONE, value)));
}

function fromMiddle(values) {
  const middle = values.length >= LEAST_CENTRED ? median(values) : 0;
  return values.map((value) => value - middle);
}

// Place by place, how far the references are apart: their standard deviation.
function spreadsOf(apart) {
  const models = apart[0]?.length ?? 0;
  if (models < 2) return apart.map(() => SPREAD_ALONE);
  const columns = range(models).map((model) => fromMiddle(apart.map((row) => row[model])));
  const squares = columns.map((column) => column.map((value) => value * value));
  return apart.map((_, place) => Math.sqrt(fmean(squares.map((column) => column[place]))));
}
