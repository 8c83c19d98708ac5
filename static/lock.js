// Step 1 of the key-lock wizard: the options, and pictures of what they do.

import { asQuery, bringUpToDate, byId, isTouched, keyForm, tell } from "./keyform.js";

const options = byId("options");

if (options) {
  options.addEventListener("change", show);
  options.addEventListener("submit", (event) => event.preventDefault());
  draw(byId("samples")?.src);
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

// Done when nothing on the page moves any more: a click that is under way then meets its aim.
async function show() {
  if (!options.checkValidity()) return;
  const samples = `${byId("samples")?.src.split("?")[0]}?${asQuery(options)}`;
  await Promise.all([draw(samples), bringUpToDate(options, ["lock-words", "keygen"])]);
}

// The picture, or why there is none. Of several under way only the last counts.
async function draw(source) {
  const image = byId("samples");
  if (!image) return;
  if (image.src !== source) image.src = source;
  const problem = await image.decode().then(() => "", () => why(source));
  if (image.src !== source) return;
  image.hidden = Boolean(problem);
  tell("samples-error", problem);
}

async function why(source) {
  const answer = await fetch(source, { headers: { Accept: "application/json" } });
  const nothing = { message: "No picture could be made.", hint: "" };
  const { message, hint } = answer.ok ? nothing : await answer.json().catch(() => nothing);
  return `${message} ${hint}`;
}
