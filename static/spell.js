// Step 1 of the prompt-lock wizard: the spell goes into the key file, and to the worker that tries it.

import { byId, keyForm, tell } from "./keyform.js";

const form = byId("spell");

if (form) keyForm({ parameters, prompt, isSound, inputs: [...form.elements] });

// Everything that a commitment fixes; what the form does not offer is as recommended.
// (A field of the form is named “dataset”, which hides the property of that name.)
function parameters() {
  const data = new FormData(form);
  return {
    ...JSON.parse(form.getAttribute("data-recommended")),
    editor: data.get("editor"),
    reading: data.get("reading"),
    alpha: Number(data.get("alpha")),
    labels: data.get("labels"),
  };
}

function prompt() {
  return byId("id_prompt").value.trim();
}

async function isSound() {
  if (!form.checkValidity()) form.querySelector("details").open = true; // else it points at nothing
  if (!form.reportValidity()) return false;
  if (!prompt()) {
    tell("make-error", "Type a spell first.");
    return false;
  }
  const isWeak = byId("trial").querySelector("[role=alert]") !== null;
  tell("make-error", isWeak ? "Choose another spell: this one is too weak to lock." : "");
  return !isWeak;
}
