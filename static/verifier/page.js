// The page around the checks: files come in by drop or choice, nothing goes out.

import { Refused, refuse } from "./bytes.js";
import { verifyBundle } from "./checks.js";

const MARKS = { true: "pass", false: "FAIL", null: "–" };
const held = { bundle: null, trust: null, revocations: null, policy: null };

export async function show(place, zip, trust, revocations = null, policy = null) {
  const output = place.querySelector("[data-verdict]");
  const rows = place.querySelector("[data-checks]");
  let report = null;
  rows.closest("table").hidden = true;
  delete output.dataset.passed;
  output.hidden = false;
  output.className = "notice";
  output.textContent = "Checking…";
  // A long transcript takes seconds: let it be seen that they pass.
  await new Promise((seen) => setTimeout(seen));
  try {
    report = await verifyBundle(zip, trust, revocations, policy);
  } catch (error) {
    tell(place, error);
    return;
  }
  rows.replaceChildren();
  for (const { name, passed, detail } of report.checks) {
    const row = document.createElement("tr");
    row.dataset.check = name;
    row.dataset.passed = String(passed);
    for (const text of [MARKS[passed], name, detail]) {
      row.append(Object.assign(document.createElement("td"), { textContent: text }));
    }
    rows.append(row);
  }
  rows.closest("table").hidden = false;
  const failed = report.checks.filter((check) => check.passed === false).map((check) => check.name);
  output.className = report.passed ? "notice good" : "notice bad";
  output.textContent = report.passed
    ? "Accepted: every check that could be taken has passed."
    : `Refused: do not rely on this bundle. It fails at: ${failed.join(", ") || "what was not checked"}.`;
  output.dataset.passed = String(report.passed);
}

// What kept the checks from being made, in the verdict's place.
function tell(place, error) {
  place.querySelector("[data-checks]").closest("table").hidden = true;
  const output = place.querySelector("[data-verdict]");
  output.hidden = false;
  output.className = "notice bad";
  output.textContent = error instanceof Refused ? error.message : String(error);
}

function kindOf(bytes) {
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return "bundle";
  const start = new TextDecoder().decode(bytes.subarray(0, 200));
  return /spellmark-revocations\/v/.test(start) ? "revocations"
    : /spellmark-trust\/v/.test(start) ? "trust"
    : /^\s*(#|(log|witness|group|quorum)\b)/.test(start) ? "policy" : "bundle";
}

async function take(place, files) {
  for (const file of files) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const kind = kindOf(bytes);
    held[kind] = bytes;
    place.querySelector(`[data-held=${kind}]`).textContent = file.name;
  }
  if (held.bundle && held.trust) {
    await show(place, held.bundle, held.trust, held.revocations, held.policy);
  }
}

async function fetched(address) {
  const response = await fetch(address, { cache: "no-store" }).catch(() => null);
  const why = response === null ? "does not answer"
    : response.redirected ? "asks you to log in"
    : `answers with ${response.status}`;
  if (!response?.ok || response.redirected) {
    refuse(`${address} cannot be had: the registry ${why}. Reload this page and try again.`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

const dropPlace = document.querySelector("[data-verifier]");
if (dropPlace) {
  const input = dropPlace.querySelector("input[type=file]");
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    take(dropPlace, files);
  });
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => event.preventDefault());
  }
  document.addEventListener("drop", (event) => take(dropPlace, event.dataTransfer.files));
}

const livePlace = document.querySelector("[data-verify-live]");
if (livePlace) {
  const { bundle, trust, revocations, policy } = livePlace.dataset;
  const addresses = [bundle, trust, revocations, ...(policy ? [policy] : [])];
  const button = livePlace.querySelector("button");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await show(livePlace, ...await Promise.all(addresses.map(fetched)));
    } catch (error) {
      tell(livePlace, error);
    }
  });
}
