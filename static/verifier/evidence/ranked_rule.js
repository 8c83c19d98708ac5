// The decision rule of runs that rank a suspect in a null pool, and what a certificate tells of
// them, as in spellmark.evidence.fingerprint_rule and .fingerprint_told.

import { refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { rounded } from "./numbers.js";
import { countKinds, KINDS, rankInPool, TRAINED } from "./pool.js";

export const AGREEMENT = "agreement";
export const CORRELATION = "correlation";
export const WEIGHTS = "weights";
export const FEATURE = "external-feature";
export const FEATURE_GRADIENTS = "external-feature-gradients";
export const RBF = "rbf";
const FEATURES = [FEATURE, FEATURE_GRADIENTS];
const UNASKED = [WEIGHTS, FEATURE_GRADIENTS];
const WRONG = "wrong";
const MOST_ALPHA = 0.05;
const LEAST_OF_A_KIND = 19;
const LEAST_PROBES = 20;
const FEATURE_QUESTIONS = 3;
const LEAST_RIGHT = 0.5;
const TOLD_OF_POOL = [
  "models", "threshold", "tested", "falsePositives", "falsePositiveRateAtMost", "void",
];

export function rankedRule(header) {
  const fields = new Fields(header, "The transcript").inner("rule", "The rule of the run");
  fields.only([
    "method", "alpha", "of_a_kind", "pool_sha256", "margin", "probes", "minimum_probes", "variant",
    "kernel", "classes",
  ]);
  const or = (name, read, usual) => (fields.has(name) ? fields[read](name) : usual);
  const rule = {
    method: fields.choice("method", [AGREEMENT, CORRELATION, WEIGHTS, ...FEATURES]),
    alpha: or("alpha", "probability", MOST_ALPHA),
    ofAKind: fields.few("of_a_kind"),
    poolSha256: fields.sha256("pool_sha256"),
    margin: or("margin", "number", 1),
    probes: or("probes", "few", 400),
    minimumProbes: or("minimum_probes", "few", LEAST_PROBES),
    variant: or("variant", "text", WRONG),
    kernel: or("kernel", "text", "cosine"),
    classes: fields.few("classes"),
  };
  const { method, alpha, ofAKind, margin, probes, minimumProbes, variant, kernel } = rule;
  const areProbes = minimumProbes >= LEAST_PROBES && minimumProbes <= probes;
  const isSound = [WRONG, "mixed", "jpeg"].includes(variant) && ["cosine", RBF].includes(kernel) &&
    (method !== AGREEMENT || variant === WRONG) && (method === WEIGHTS || areProbes) &&
    alpha > 0 && alpha <= MOST_ALPHA && margin >= 0 &&
    ofAKind >= Math.max(LEAST_OF_A_KIND, othersNeeded(alpha));
  return isSound ? rule : refuse("No run under its rule could end in a match.");
}

function othersNeeded(alpha) {
  const others = Math.max(1, rounded(1 / alpha) - 1);
  return 1 / (others + 1) <= alpha ? others : others + 1;
}

// What a run found, for the certificate. score: the suspect's, null where it cannot be told. pool:
// with halves and scores. control: of an external feature, [score, pool] under a wrong style.
// right: the share of images that the suspect gets right, plain or in the style, the smaller one.
export function decideRanked(
  rule, score, pool, { answered = 0, classesSeen = 0, control = null, right = 1 } = {},
) {
  if (fewestOfAKind(rule, pool) < rule.ofAKind) {
    refuse("Its null pool has fewer models of a kind than its rule tells of.");
  }
  const isComparable = pool.some((one) => one.score !== null && one.half === "calibrate");
  const ranking = score !== null && isComparable ? rankInPool(score, pool, rule.margin) : null;
  const wrong = control === null ? null : rankInPool(...control, rule.margin);
  const outcome = { ranking, wrong, answered, classesSeen, right };
  return {
    method: rule.method,
    evidenceClass: "indicative",
    statistic: ranking?.score ?? score,
    pValue: ranking?.pValue ?? null,
    alpha: rule.alpha,
    smallestP: 1 / (rule.ofAKind + 1),
    queryCap: queryCapOf(rule),
    verdict: verdictOf(rule, outcome),
    told: toldOf(rule, outcome, pool),
  };
}

// That the platform trained. Of weights a kind that has none of the owner's architecture has no say,
// but for the closest.
function fewestOfAKind({ method }, pool) {
  const trained = pool.filter(({ reference, score }) =>
    reference.source === TRAINED && (method !== WEIGHTS || score !== null));
  const counts = Object.entries(countKinds(trained.map((one) => one.reference)));
  const isNeeded = ([kind, count]) => method !== WEIGHTS || count > 0 || kind === KINDS.at(-1);
  return Math.min(...counts.filter(isNeeded).map(([, count]) => count));
}

function verdictOf(rule, { ranking, wrong, answered, classesSeen, right }) {
  const asks = !UNASKED.includes(rule.method);
  if (asks && (answered < rule.minimumProbes || classesSeen < 2)) return "inconclusive";
  if (ranking === null || ranking.void) return "inconclusive";
  if (ranking.pValue > rule.alpha) return "no match";
  const bearsAny = rule.method === FEATURE && wrong !== null && standsOut(rule, wrong) &&
    2 * (wrong.score - wrong.threshold) >= ranking.score - ranking.threshold;
  const isClear = ranking.score > ranking.threshold && right >= LEAST_RIGHT && !bearsAny;
  return isClear ? "match" : "inconclusive";
}

const standsOut = (rule, { pValue, score, threshold }) => pValue <= rule.alpha && score > threshold;

function queryCapOf({ method, probes }) {
  if (UNASKED.includes(method)) return 0;
  return method === FEATURE ? probes * FEATURE_QUESTIONS : probes;
}

function toldOf(rule, { ranking, wrong, answered }, pool) {
  const told = {
    classes: rule.classes,
    variant: rule.variant,
    kernel: rule.kernel,
    margin: rule.margin,
    minimumProbes: rule.minimumProbes,
    answeredProbes: answered,
    queryCap: queryCapOf(rule),
    nullPool: {
      sha256: rule.poolSha256,
      kinds: countKinds(pool.map((one) => one.reference)),
      ...Object.fromEntries(TOLD_OF_POOL.map((name) => [name, ranking?.[name] ?? null])),
    },
  };
  if (!FEATURES.includes(rule.method)) return told;
  if (wrong === null) return { ...told, wrongStyle: null };
  const { score, pValue, threshold, atOrAbove } = wrong;
  return { ...told, wrongStyle: { score, pValue, threshold, atOrAbove } };
}
