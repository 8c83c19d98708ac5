// A trigger run, as in spellmark.evidence.trigger_replay, .trigger_leaves and .trigger_pool.

import { concat, encode, fromHex, refuse } from "../bytes.js";
import { Fields } from "../fields.js";
import { checkInclusion, nodeHash } from "../log.js";
import { rounded } from "./numbers.js";
import { countKinds, poolDigest, readReference, TRAINED } from "./pool.js";
import { permutation, subkey } from "./secrets.js";
import { binomialTail, decideTriggers, pValueOf, TRIGGER, triggerRule } from "./trigger_rule.js";

export const TRIGGER_METHODS = [TRIGGER];

const LEAF = encode("spellmark trigger\0");

export async function replayTriggers(header, exchanges) {
  const rule = triggerRule(header);
  const told = disclosed(header);
  const drawn = await drawnLeaves(fromHex(header.seed, "The seed of the transcript"), rule);
  if (exchanges.some((one, place) => one.probe !== place)) {
    refuse("An answer was left out, or the answers stand in another order.");
  }
  for (const one of exchanges) await checkOpening(one, drawn, rule, told);
  const answered = exchanges.filter((one) => one.state === "answered");
  const found = decideTriggers(rule, answered.map((one) => [one.label, firstLabel(one)]));
  // Cut off behind a lucky answer, a run would have more looks than its p-value counts.
  const isEnded = found.pValue <= rule.alpha && rule.looks.includes(found.answered);
  if (exchanges.length < rule.probes && !isEnded) refuse("The answers end before the rule does.");
  const control = await askedPool(rule, told.pool, exchanges.map((one) => one.label));
  const isEnough = control.models >= control.least && Object.values(control.kinds).every(Boolean);
  const isLost = control.void || (found.verdict === "match" && !isEnough);
  return {
    method: TRIGGER,
    evidenceClass: "verified",
    statistic: found.statistic,
    pValue: found.pValue,
    alpha: rule.alpha,
    smallestP: rule.smallestP,
    queryCap: rule.probes,
    verdict: isLost ? "inconclusive" : found.verdict,
    told: {
      owner: told.owner,
      triggerRoot: told.root,
      registrationNumber: rule.registration,
      runNumber: rule.run,
      classes: rule.classes,
      triggers: rule.triggers,
      digits: digitsOf(rule.alpha),
      minimumProbes: rule.minimumProbes,
      answeredProbes: found.answered,
      queryCap: rule.probes,
      nullPool: control,
    },
  };
}

const firstLabel = ({ labels }) => labels[0] ?? refuse("An answer tells no class.");

// The n of an alpha of 10 to the minus n, which trigger keys commit to.
function digitsOf(alpha) {
  const digits = rounded(-Math.log10(alpha));
  return alpha === Number(`1e-${digits}`) ? digits : refuse("No key commits to its alpha.");
}

function disclosed(header) {
  const fields = new Fields(header, "The transcript");
  const openings = new Map(Object.entries(fields.object("openings")).map(([leaf, value]) => {
    if (!/^(0|[1-9]\d{0,9})$/.test(leaf)) refuse("A trigger of the transcript has no number.");
    const opening = new Fields(value, "An opened trigger");
    const path = opening.texts("path").map((node) => fromHex(node, "A hash of an opened trigger"));
    const salt = fromHex(opening.values.salt, "The salt of an opened trigger");
    return [Number(leaf), { label: opening.count("label"), salt, path }];
  }));
  return {
    openings,
    root: fields.text("root"),
    owner: fields.text("owner"),
    pool: fields.array("pool").map((row) => {
      const one = new Fields(row, "A model of the null pool");
      return {
        reference: readReference(row.kind, one.sha256("sha256"), row.source),
        answers: one.numbers("answers", Number.isInteger),
        hits: one.count("hits"),
      };
    }),
  };
}

// Fresh triggers, in the order in which they are asked.
async function drawnLeaves(seed, { triggers, used, probes }) {
  const scheme = { binding: new Uint8Array(), scheme: "trigger-run/v1", purpose: "leaves" };
  const order = permutation(await subkey(seed, scheme), triggers);
  const gone = new Set(used);
  const fresh = order.filter((leaf) => !gone.has(leaf));
  if (fresh.length < probes) refuse("Too few of its triggers are still unopened.");
  return fresh.slice(0, probes);
}

async function checkOpening(exchange, drawn, rule, { openings, root }) {
  const leaf = exchange.imageIndex;
  if (drawn[exchange.probe] !== leaf) refuse(`Trigger ${leaf} was not drawn for this run.`);
  const opening = openings.get(leaf) ?? refuse(`Trigger ${leaf} was not opened.`);
  if (opening.label !== exchange.label) {
    refuse(`The label of trigger ${leaf} is not the registered one.`);
  }
  const image = fromHex(exchange.imageSha256, "The digest of an image");
  const told = [bytesOf(leaf), opening.salt, image, bytesOf(opening.label)];
  const hash = await nodeHash([0], concat(LEAF, ...told));
  const tree = { size: BigInt(rule.triggers), root: fromHex(root, "The root of the triggers") };
  await checkInclusion(hash, { index: BigInt(leaf), hashes: opening.path }, tree);
}

function bytesOf(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

// What asking the null pool came to.
async function askedPool(rule, pool, labels) {
  const references = pool.map((one) => one.reference);
  const digest = references.length ? await poolDigest(references) : "";
  const trained = new Set(
    references.filter((one) => one.source === TRAINED).map((one) => one.sha256),
  );
  if (digest !== rule.poolSha256 || references.length !== rule.models) {
    refuse("Its null pool is not the one that was registered.");
  }
  if (trained.size < references.length) {
    refuse("A model stands in its null pool twice, or was not trained by the platform.");
  }
  const passed = pool.filter((one) => isAccused(rule, one, labels)).length;
  return {
    sha256: rule.poolSha256,
    models: rule.models,
    kinds: countKinds(references),
    least: rule.leastModels,
    passed,
    void: passed > 0,
  };
}

// Whether the rule would call this innocent model a match: by the answers that were taken from the
// suspect, or by those to all triggers of the run.
function isAccused(rule, { answers, hits }, labels) {
  const known = answers.filter((answer, place) => answer === labels[place]).length;
  const most = known + rule.probes - labels.length;
  if (answers.length !== labels.length || hits < known || hits > most) {
    refuse("A model of its null pool has more or fewer hits than it can have.");
  }
  const pairs = labels.map((label, place) => [label, answers[place]]);
  const tail = binomialTail(hits, rule.probes, rule.classes);
  return decideTriggers(rule, pairs).verdict === "match" || pValueOf(rule, tail) <= rule.alpha;
}
