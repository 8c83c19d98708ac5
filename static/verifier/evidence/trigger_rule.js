// The decision rule of a run against a trigger watermark, as in spellmark.evidence.trigger_rule and
// .binomial_test: whole numbers throughout.

import { refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { ratio } from "./numbers.js";
import { LEAST_MODELS } from "./pool.js";

export const TRIGGER = "trigger-watermark";

const EARLIEST_LOOK = 8;
const LEAST_P = 1e-300;

export function triggerRule(header) {
  const fields = new Fields(header, "The transcript").inner("rule", "The rule of the run");
  fields.only([
    "method", "alpha", "probes", "minimum_probes", "classes", "registration", "run", "triggers",
    "used", "models", "pool_sha256", "least_models",
  ]);
  const count = (name, usual) => (fields.has(name) || usual === undefined
    ? fields.few(name) : usual);
  const rule = {
    method: fields.choice("method", [TRIGGER]),
    alpha: fields.has("alpha") ? fields.probability("alpha") : 1e-6,
    probes: count("probes", 64),
    minimumProbes: count("minimum_probes", 8),
    classes: count("classes"),
    registration: count("registration", 1),
    run: count("run", 1),
    triggers: count("triggers", 256),
    used: fields.has("used") ? fields.numbers("used", Number.isInteger) : [],
    models: count("models", 0),
    poolSha256: fields.has("pool_sha256") && fields.values.pool_sha256 !== ""
      ? fields.sha256("pool_sha256") : "",
    leastModels: count("least_models", LEAST_MODELS),
  };
  rule.looks = [];
  for (let look = EARLIEST_LOOK; look < rule.probes; look *= 2) rule.looks.push(look);
  rule.looks.push(rule.probes);
  const shares = [rule.registration, rule.run].map((n) => BigInt(n) * BigInt(n + 1));
  rule.tries = BigInt(rule.looks.length) * shares[0] * shares[1];
  const isSound = rule.alpha > 0 && rule.alpha <= 0.05 && rule.minimumProbes > 0 &&
    rule.minimumProbes <= rule.probes && rule.classes > 1 && rule.registration > 0 &&
    rule.run > 0 && (rule.models > 0) === (rule.poolSha256 !== "") &&
    rule.leastModels >= LEAST_MODELS && rule.probes + rule.used.length <= rule.triggers;
  if (!isSound) refuse("No run under its rule could end in a match.");
  rule.smallestP = pValueOf(rule, [1n, BigInt(rule.classes) ** BigInt(rule.probes)]);
  return rule.smallestP <= rule.alpha ? rule : refuse("No run under its rule could end in a match.");
}

// The p-value of a binomial tail, [ways, of how many], all tries counted.
export function pValueOf({ tries }, [ways, whole]) {
  return Math.min(1, Math.max(ratio(tries * ways, whole), LEAST_P));
}

// P(X >= hits) for X ~ Binomial(trials, 1 / classes), exactly.
export function binomialTail(hits, trials, classes) {
  const others = BigInt(classes - 1);
  let ways = 0n;
  let chosen = 1n;
  for (let count = 0; count <= trials; count += 1) {
    if (count >= hits) ways += chosen * others ** BigInt(trials - count);
    chosen = (chosen * BigInt(trials - count)) / BigInt(count + 1);
  }
  return [ways, BigInt(classes) ** BigInt(trials)];
}

// The verdict on [label, answer] pairs, in the order in which they were asked for.
export function decideTriggers(rule, pairs) {
  const seen = new Set();
  let [statistic, answered, tail] = [0, 0, [1n, 1n]];
  const look = () => {
    const found = binomialTail(statistic, answered, rule.classes);
    if (found[0] * tail[1] < tail[0] * found[1]) tail = found;
  };
  const isDecided = () => pValueOf(rule, tail) <= rule.alpha;
  for (const [label, answer] of pairs) {
    statistic += Number(label === answer);
    answered += 1;
    seen.add(answer);
    if (rule.looks.includes(answered)) look();
    if (isDecided()) break;
  }
  // Some were not answered: what there is takes the place of the last look.
  if (answered && !isDecided() && !rule.looks.includes(answered)) look();
  const pValue = pValueOf(rule, tail);
  const isShort = answered < rule.minimumProbes || seen.size < 2;
  const verdict = isShort ? "inconclusive" : pValue <= rule.alpha ? "match" : "no match";
  return { statistic, answered, pValue, verdict };
}
