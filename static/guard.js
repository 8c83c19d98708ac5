// The guard wizard: the mark and its key. The guard's page: the server's file, made here.

import { byId, keyForm, saveFile, tell } from "./keyform.js";
import { commitment, dumps, loads } from "./keys.js";

const options = byId("options");
const configuration = byId("configuration");

if (options) {
  options.elements.strength.addEventListener("input", (event) => {
    byId("strength-shown").textContent = `${event.target.value} ‰`;
  });
  options.addEventListener("change", show);
  options.addEventListener("submit", (event) => event.preventDefault());
  keyForm({ parameters, isSound, inputs: [...options.elements] });
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

// The page for these options is the one that a browser without script would ask for.
async function show() {
  const answer = await fetch(`?${new URLSearchParams(new FormData(options))}`);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["guard-words", "keygen"]) {
    const [now, then] = [byId(id), page.getElementById(id)];
    if (now && then) now.replaceChildren(...then.childNodes);
  }
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
