// The key that an editor is made from: made here, saved, and put into the form.

import { byId, saveFile } from "./keyform.js";
import { dumps, newKey } from "./keys.js";

const part = byId("make-editor-key");

if (part) {
  part.hidden = false;
  part.querySelector("button").addEventListener("click", () => {
    const named = byId("id_name").value.trim().replace(/[^\w.-]+/g, "-");
    const name = `${named || "editor"}.spellkey`;
    const text = dumps(newKey(part.dataset.scheme, {}));
    saveFile(text, name);
    const held = new DataTransfer();
    held.items.add(new File([text], name, { type: "application/json" }));
    byId("id_key_file").files = held.files;
    const notice = part.querySelector(".notice");
    notice.querySelector("span").textContent = name;
    notice.hidden = false;
  });
}
