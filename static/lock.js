// Step 1 of the lock wizard: the key is made, saved and read here; only its commitment is sent.

import { commitment, dumps, loads, newKey } from "./keys.js";

const byId = (id) => document.getElementById(id);
const form = byId("make-key");
const options = byId("options");

if (options) {
  options.addEventListener("change", show);
  options.addEventListener("submit", (event) => event.preventDefault());
  byId("samples")?.addEventListener("load", picture);
  byId("samples")?.addEventListener("error", explain);
  if (byId("samples")?.complete && !byId("samples").naturalWidth) explain();
  if (new URLSearchParams(location.search).size) show();
}

if (form && globalThis.crypto?.subtle) {
  form.hidden = false;
  byId("without-script").hidden = true;
  byId("bring-file").hidden = false;
  let text = "";

  byId("make").addEventListener("click", async () => {
    if (!byId("key-name").reportValidity() || !(await isSound())) return;
    const key = newKey(form.dataset.scheme, parameters());
    text = dumps(key);
    form.elements.commitment.value = await asText(key);
    byId("made-digest").textContent = await commitment(key);
    byId("saved-as").textContent = fileName();
    save(text);
    // Other options now would not be this key's.
    for (const input of [...options.elements, byId("key-name"), byId("make")]) input.disabled = true;
    byId("make").hidden = true;
    byId("made").hidden = false;
  });

  byId("save-again").addEventListener("click", () => save(text));

  byId("own-key").addEventListener("change", async (event) => {
    tell("own-key-error", "");
    try {
      byId("id_commitment").value = await asText(loads(await event.target.files[0].text()));
    } catch (error) {
      tell("own-key-error", error.message);
    }
  });
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

// The page for these options is the one that a browser without script would ask for.
async function show() {
  if (!options.checkValidity()) return;
  const query = new URLSearchParams(new FormData(options));
  const image = byId("samples");
  if (image) image.src = `${image.src.split("?")[0]}?${query}`;
  const answer = await fetch(`?${query}`);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["lock-words", "keygen"]) {
    const [now, then] = [byId(id), page.getElementById(id)];
    if (now && then) now.replaceChildren(...then.childNodes);
  }
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

function tell(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
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
