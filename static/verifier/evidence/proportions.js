// How far a share that was counted may be off, as in spellmark.evidence.proportions.

import { fsum } from "./numbers.js";

const STEPS = 60;
const CONFIDENCE = 0.95;

// The largest share that `hits` of `trials` leave open (Clopper and Pearson, one-sided, 95 %).
export function atMost(hits, trials) {
  if (hits === trials) return 1;
  // Logarithms of the ways to choose 0, 1, … hits.
  const ways = [0];
  for (let k = 1; k <= hits; k += 1) ways.push(ways[k - 1] + Math.log((trials - k + 1) / k));
  const tail = (p) => fsum(ways.map((logarithm, k) =>
    Math.exp(logarithm + k * Math.log(p) + (trials - k) * Math.log1p(-p))));
  let [low, high] = [0, 1];
  for (let step = 0; step < STEPS; step += 1) {
    const middle = (low + high) / 2;
    if (tail(middle) > 1 - CONFIDENCE) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
