// Step 1 of the lock wizard: the key is made, saved and read here; only its commitment is sent.

import { commitment, dumps, loads, newKey } from "./keys.js";

const byId = (id) => document.getElementById(id);
const form = byId("make-key");

if (form && !globalThis.crypto?.subtle) {
  byId("insecure").hidden = false;
} else if (form) {
  form.hidden = false;
  byId("bring-file").hidden = false;
  let text = "";

  byId("make").addEventListener("click", async () => {
    if (!byId("key-name").reportValidity()) return;
    const block = Number(new FormData(form).get("block"));
    const key = newKey(form.dataset.scheme, { block });
    text = dumps(key);
    form.elements.commitment.value = await asText(key);
    byId("made-digest").textContent = await commitment(key);
    byId("saved-as").textContent = fileName();
    save(text);
    // Another block now would not be this key's.
    for (const input of form.querySelectorAll("[name=block], #key-name, #make")) input.disabled = true;
    byId("make").hidden = true;
    byId("made").hidden = false;
  });

  byId("save-again").addEventListener("click", () => save(text));

  byId("own-key").addEventListener("change", async (event) => {
    const problem = byId("own-key-error");
    problem.hidden = true;
    try {
      byId("id_commitment").value = await asText(loads(await event.target.files[0].text()));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
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

function save(text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
