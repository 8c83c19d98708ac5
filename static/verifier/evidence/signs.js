// Evidence against the signs of a key: the exact test and the bets, as in
// spellmark.evidence.sign_test and .bit_process.

import { ratio } from "./numbers.js";

// Beyond so many places a bound is taken instead of counting.
const MOST_COUNTED = 600;
export const LEAST_STATED = 1e-300;
const WORD = 2 ** 32;
// The capital is split over these.
const STAKES = [0.1, 0.3, 0.5, 0.7, 0.9];

// The smallest p-value that so many places can show.
export const smallestOfSigns = (places) => Math.max(2 ** -Math.min(places, 1000), LEAST_STATED);

// The sum of evidence × sign.
export const sumUnder = (signs, evidence) =>
  evidence.reduce((sum, value, place) => sum + value * signs[place], 0);

// P(sum >= the one under the key's signs) of whole-number evidence under random signs.
export function signTest(evidence, signs) {
  const statistic = sumUnder(signs, evidence);
  const sizes = evidence.filter((value) => value !== 0).map(Math.abs);
  const isBounded = statistic <= 0 || sizes.length > MOST_COUNTED;
  const p = isBounded ? chernoffBound(sizes, statistic) : countedP(sizes, statistic);
  return Math.max(p, LEAST_STATED);
}

// The sum is the total less twice the sizes that got a minus, so small subsets are counted.
function countedP(sizes, statistic) {
  const most = (sizes.reduce((a, b) => a + b, 0) - statistic) / 2;
  return ratio(subsetsUpTo(sizes, most), 1n << BigInt(sizes.length));
}

// How many subsets sum up to `most` or less, by the coefficients of Π (1 + x^size): exact, each in
// its own row of words, the lowest first. Python packs them all into one integer, which can take
// ten million bits; Firefox ends a BigInt at one million.
function subsetsUpTo(sizes, most) {
  const words = wordsFor(sizes.length);
  const ways = new Uint32Array((most + 1) * words);
  ways[0] = 1;
  let reach = 0;
  for (const [done, size] of sizes.entries()) {
    reach = Math.min(reach + size, most);
    const used = wordsFor(done + 1);
    for (let sum = reach; sum >= size; sum -= 1) {
      addRow(ways, sum * words, (sum - size) * words, used);
    }
  }
  let total = 0n;
  for (let word = 0; word < words; word += 1) {
    let column = 0;
    for (let at = word; at < ways.length; at += words) column += ways[at];
    total += BigInt(column) << BigInt(32 * word);
  }
  return total;
}

// Subsets of so many sizes are at most 2 to their number, which takes a bit more.
const wordsFor = (sizes) => Math.floor(sizes / 32) + 1;

function addRow(ways, to, from, words) {
  let carry = 0;
  for (let word = 0; word < words; word += 1) {
    const sum = ways[to + word] + ways[from + word] + carry;
    ways[to + word] = sum;
    carry = sum >= WORD ? 1 : 0;
  }
}

// min over t of E[exp(t Σ ±size)] exp(-t statistic).
function chernoffBound(sizes, statistic) {
  const chosen = new Map();
  for (const size of sizes) chosen.set(size, (chosen.get(size) ?? 0) + 1);
  let energy = 0;
  for (const [size, count] of chosen) energy += count * size * size;
  if (statistic <= 0 || energy === 0) return 1;
  const exponent = (t) => {
    let sum = 0;
    for (const [size, count] of chosen) sum += count * logCosh(t * size);
    return sum - t * statistic;
  };
  // Convex in t: the best one lies between zero and a few times where Hoeffding's lies.
  let [low, high] = [0, statistic / energy];
  while (exponent(2 * high) < exponent(high) && high < 1e6) high *= 2;
  high *= 2;
  for (let step = 0; step < 100; step += 1) {
    const third = (high - low) / 3;
    if (exponent(low + third) < exponent(high - third)) high -= third;
    else low += third;
  }
  return Math.min(1, Math.exp(Math.max(exponent((low + high) / 2), -700)));
}

const logCosh = (x) => Math.abs(x) + Math.log1p(Math.exp(-2 * Math.abs(x))) - Math.log(2);

// The fortune of bets on a key's signs, which starts at 1: exp(-logMost) is a p-value.
export class BitProcess {
  logs = STAKES.map(() => 0);
  logMost = 0;

  bet(lean, sign) {
    this.logs = this.logs.map((log, place) => log + Math.log1p(STAKES[place] * sign * lean));
    const most = Math.max(...this.logs);
    const sum = this.logs.reduce((total, log) => total + Math.exp(log - most), 0);
    this.logMost = Math.max(this.logMost, most + Math.log(sum / STAKES.length));
  }
}
