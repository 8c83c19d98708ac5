// The wizard of external features: how strong the style is, and the key.

import { bringUpToDate, byId, keyForm, tell } from "./keyform.js";

const options = byId("options");

if (options) {
  options.addEventListener("change", show);
  options.addEventListener("submit", (event) => event.preventDefault());
  keyForm({ parameters, isSound, inputs: [...options.elements] });
  // An option may be set before this runs: by a quick hand, or by a browser that restores a page.
  show();
}

// The options as the key file holds them.
function parameters() {
  const fixed = (name) => Number(options.dataset[name]);
  const chosen = (name) => Number(options.elements[name].value);
  return {
    classes: fixed("classes"),
    channels: fixed("channels"),
    height: fixed("height"),
    width: fixed("width"),
    strength: chosen("strength"),
    grid: chosen("grid"),
    waves: chosen("waves"),
  };
}

async function isSound() {
  await show();
  const problem = byId("feature-words").querySelector("[role=alert]");
  tell("make-error", problem ? "Choose other numbers: these make no style for this model." : "");
  return !problem;
}

function show() {
  return bringUpToDate(options, ["feature-words", "keygen"]);
}
