// Step 1 of the key-lock wizard: the options, and pictures of what they do.

import { asQuery, bringUpToDate, byId, isTouched, keyForm, tell } from "./keyform.js";

const options = byId("options");

if (options) {
  options.addEventListener("change", show);
  options.addEventListener("submit", (event) => event.preventDefault());
  byId("samples")?.addEventListener("load", picture);
  byId("samples")?.addEventListener("error", explain);
  if (byId("samples")?.complete && !byId("samples").naturalWidth) explain();
  keyForm({ parameters, isSound, inputs: [...options.elements] });
  if (new URLSearchParams(location.search).size || isTouched(options)) show();
}

// The options as the key file holds them: whole numbers as numbers, the steps in their one order.
function parameters() {
  const data = new FormData(options);
  const text = (name) => data.get(name);
  return {
    block: Number(text("block")),
    steps: data.getAll("steps").join("+"),
    masked: Number(text("masked")),
    tables: text("tables"),
    keys: text("keys"),
    padding: text("padding"),
    labels: text("labels"),
    subkeys: Number(text("subkeys")),
  };
}

async function isSound() {
  if (!options.checkValidity()) options.querySelector("details").open = true; // else it points at nothing
  if (!options.reportValidity()) return false;
  await show();
  const problem = byId("lock-words").querySelector("[role=alert]");
  tell("make-error", problem ? "Choose other settings: these make no lock for this model." : "");
  return !problem;
}

async function show() {
  if (!options.checkValidity()) return;
  const image = byId("samples");
  if (image) image.src = `${image.src.split("?")[0]}?${asQuery(options)}`;
  await bringUpToDate(options, ["lock-words", "keygen"]);
}

function picture() {
  byId("samples").hidden = false;
  tell("samples-error", "");
}

async function explain() {
  byId("samples").hidden = true;
  const answer = await fetch(byId("samples").src, { headers: { Accept: "application/json" } });
  if (answer.ok) return;
  const { message, hint } = await answer.json().catch(() => ({ message: "No picture could be made.", hint: "" }));
  tell("samples-error", `${message} ${hint}`);
}
