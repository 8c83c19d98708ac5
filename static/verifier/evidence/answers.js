// How much a suspect's answers show, as in spellmark.evidence.answer_access.

import { refuse } from "../bytes.js";
import { best } from "./numbers.js";

const MOST_DECIMALS = 4;
// What a number of so many decimals may be off by in single precision.
const FLOAT_ROUNDING = 1e-7;
// Within this, numbers are the same.
const SAME_NUMBER = 1e-9;
const SUM_TOLERANCE = 1e-3;

// Whether anything can be read below the best class.
export const hasTails = ({ shown }) => shown === "all" || shown === "largest";

// Looks at answers one by one; `access` says what all of them so far have in common.
export class AccessReader {
  #classes;
  #decimals = 0;
  #counts = new Set();
  #sumsToOne = true;
  #flat;
  #labels = true;
  #seen = 0;

  constructor(classes) {
    this.#classes = classes;
    // Of two classes the second says nothing that the best one does not.
    this.#flat = classes > 2;
  }

  // Takes one more answer.
  add(row) {
    if (row.length < 2) refuse("An answer tells no classes apart.");
    if (!row.every((value) => Number.isFinite(value * 10 ** MOST_DECIMALS))) {
      refuse("An answer has numbers that are no probabilities.");
    }
    this.#seen += 1;
    const top = best(row);
    const tail = row.filter((_, place) => place !== top);
    this.#labels &&= tail.every((value) => value === 0) && row[top] >= 1 - SAME_NUMBER;
    this.#flat &&= Math.max(...tail) - Math.min(...tail) <= SAME_NUMBER;
    this.#counts.add(row.filter((value) => value > 0).length);
    const sum = row.reduce((whole, value) => whole + value, 0);
    this.#sumsToOne &&= Math.abs(sum - 1) <= SUM_TOLERANCE;
    while (this.#decimals <= MOST_DECIMALS && !hasDecimals(row, this.#decimals)) {
      this.#decimals += 1;
    }
  }

  // { shown, largest, decimals }: `shown` is “all”, the “largest” so many, the “best” one with
  // nothing told apart below it, or only “labels”. What does not apply is null.
  get access() {
    if (!this.#seen || this.#labels) return { shown: "labels", largest: null, decimals: null };
    const decimals = this.#decimals <= MOST_DECIMALS ? this.#decimals : null;
    const most = Math.max(...this.#counts);
    // Rounding leaves now more, now fewer zeros; a list of the largest is always as long.
    const few = this.#counts.size === 1 || !(this.#sumsToOne || decimals !== null);
    if (this.#flat) return { shown: "best", largest: null, decimals };
    if (few && most < this.#classes) return { shown: "largest", largest: most, decimals };
    return { shown: "all", largest: null, decimals };
  }
}

function hasDecimals(row, decimals) {
  const scale = 10 ** decimals;
  return row.every((value) =>
    Math.abs(value * scale - Math.round(value * scale)) <= scale * FLOAT_ROUNDING);
}
