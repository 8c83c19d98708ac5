// The guard wizard: the mark and its key. The guard's page: the server's file, made here.

import { bringUpToDate, byId, isTouched, keyForm, saveFile, tell } from "./keyform.js";
import { commitment, dumps, loads } from "./keys.js";

const options = byId("options");
const configuration = byId("configuration");

if (options) {
  const strength = () => (byId("strength-shown").textContent = `${options.elements.strength.value} ‰`);
  options.elements.strength.addEventListener("input", strength);
  options.addEventListener("change", show);
  options.addEventListener("submit", (event) => event.preventDefault());
  keyForm({ parameters, isSound, inputs: [...options.elements] });
  strength();
  if (isTouched(options)) show();
}

// The options as the key file holds them.
function parameters() {
  const number = (name) => Number(options.elements[name].value);
  return {
    classes: Number(options.dataset.classes),
    strength: number("strength"),
    cells: number("cells"),
    label_margin: number("label_margin"),
  };
}

async function isSound() {
  await show();
  const problem = byId("guard-words").querySelector("[role=alert]");
  tell("make-error", problem ? "Choose other settings: these make no guard for this model." : "");
  return !problem;
}

function show() {
  return bringUpToDate(options, ["guard-words", "keygen"]);
}

// Without script the key goes to the server for one answer; here it need not.
if (configuration && globalThis.crypto?.subtle) {
  byId("in-browser").hidden = false;
  byId("by-request").hidden = true;
  byId("id_download-key_file_helptext").hidden = true;
  configuration.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell("configuration-error", "");
    try {
      const key = loads(await byId("id_download-key_file").files[0].text());
      if ((await commitment(key)) !== configuration.dataset.digest) {
        throw new Error("This key file does not open the registered commitment. Choose the guard’s own.");
      }
      const told = { ...JSON.parse(configuration.dataset.configuration), key: JSON.parse(dumps(key)) };
      saveFile(`${JSON.stringify(told, null, 2)}\n`, configuration.dataset.file);
    } catch (error) {
      tell("configuration-error", error.message);
    }
  });
}
