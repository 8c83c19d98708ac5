// How a suspect leans at each place of a guard's mark, as in spellmark.evidence.mark_evidence.

import { AccessReader, hasTails } from "./answers.js";
import { best, fmean, median, range, rounded } from "./numbers.js";

// A lean is measured in this and in how far the references differ among themselves. Alone, a
// reference stands for both.
const LEAN_SCALE = 0.25;
const SPREAD_ALONE = 0.25;
const MOST_OF_ONE = 0.5;
const LEAST_CENTRED = 3;
// The two kinds of places where a sign of the key shows.
const IN_TAIL = "tail";
const IN_LABEL = "label";

// What the answers so far say, place by place.
export class MarkEvidence {
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
