// The forms in which a key is made, saved or brought; the key stays here, its commitment is sent.

import { commitment, dumps, loads, newKey } from "./keys.js";

export const byId = (id) => document.getElementById(id);

export function tell(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

// parameters(), prompt(): what the key is made of; isSound(): whether it makes a lock; inputs: what
// cannot be changed once the key is made.
export function keyForm({ parameters, prompt = () => "", isSound, inputs }) {
  const form = byId("make-key");
  if (!form || !globalThis.crypto?.subtle) return;
  form.hidden = false;
  byId("without-script").hidden = true;
  byId("bring-file").hidden = false;
  let text = "";

  byId("make").addEventListener("click", async () => {
    if (!byId("key-name").reportValidity() || !(await isSound())) return;
    const key = newKey(form.dataset.scheme, parameters(), prompt());
    text = dumps(key);
    form.elements.commitment.value = await asText(key);
    byId("made-digest").textContent = await commitment(key);
    byId("saved-as").textContent = fileName();
    saveFile(text, fileName());
    // Others now would not be this key's.
    for (const input of [...inputs, byId("key-name"), byId("make")]) input.disabled = true;
    byId("make").hidden = true;
    byId("made").hidden = false;
  });

  byId("save-again").addEventListener("click", () => saveFile(text, fileName()));

  byId("own-key").addEventListener("change", async (event) => {
    tell("own-key-error", "");
    try {
      byId("id_commitment").value = await asText(loads(await event.target.files[0].text()));
    } catch (error) {
      tell("own-key-error", error.message);
    }
  });
}

async function asText(key) {
  const { scheme, parameters } = key;
  return JSON.stringify({ digest: await commitment(key), scheme, parameters });
}

function fileName() {
  return byId("key-name").value.trim().replace(/[^\w.-]+/g, "-") + ".spellkey";
}

// Whether a form differs from how the page came: an option may be set before a script runs, by a quick
// hand or by a browser that restores a page.
export function isTouched(form) {
  const fresh = form.cloneNode(true);
  fresh.reset();
  return asQuery(fresh) !== asQuery(form);
}

export const asQuery = (form) => new URLSearchParams(new FormData(form)).toString();

// Brings the named parts up to date with a form of options: the page for these options is the one
// that a browser without script would ask for. Of several answers under way only the last counts.
const asked = new WeakMap();
export async function bringUpToDate(form, parts) {
  const query = asQuery(form);
  asked.set(form, query);
  const answer = await fetch(`?${query}`);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (asked.get(form) !== query) return;
  for (const id of parts) {
    const [now, then] = [byId(id), page.getElementById(id)];
    if (now && then) now.replaceChildren(...then.childNodes);
  }
}

export function saveFile(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
