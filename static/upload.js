// Sends files as raw bodies, one after the other, each with its own progress bar.
// Without this script the same forms post in the ordinary way.

for (const form of document.querySelectorAll("form[data-upload]")) {
  const input = form.querySelector("input[type=file]");
  const list = form.querySelector(".uploads");
  const button = form.querySelector("button:not([type=button])");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    list.replaceChildren();
    const rows = [...input.files].map((file) => addRow(list, file));
    let next = location.pathname;
    let isWhole = true;
    for (const row of rows) {
      try {
        next = (await send(form, row)).next ?? next;
      } catch (error) {
        isWhole = false;
        row.fail(error.message);
      }
    }
    button.disabled = false;
    if (isWhole && rows.length) location.assign(next);
  });

  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    input.files = event.dataTransfer.files;
  });
}

function addRow(list, file) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const share = document.createElement("span");
  const bar = document.createElement("progress");
  name.textContent = file.name;
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", file.name);
  item.append(name, share, bar);
  list.append(item);
  return {
    file,
    show(done) {
      bar.value = done;
      share.textContent = done < 1 ? `${Math.floor(100 * done)} %` : "checking…";
    },
    finish() {
      share.textContent = "kept";
    },
    fail(message) {
      const error = document.createElement("p");
      error.className = "error";
      error.textContent = message;
      share.textContent = "not kept";
      bar.replaceWith(error);
    },
  };
}

function send(form, row) {
  const most = Number(form.dataset.mostBytes);
  if (row.file.size > most) {
    return Promise.reject(new Error(`The file is larger than the ${most.toLocaleString()} bytes that are taken here.`));
  }
  const named = form.dataset.uploadName && document.getElementById(form.dataset.uploadName).value.trim();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", form.dataset.upload + encodeURIComponent(named || row.file.name));
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => row.show(event.loaded / event.total));
    request.addEventListener("error", () => reject(new Error("The connection broke. Nothing was kept; upload the file again.")));
    request.addEventListener("load", () => {
      if (request.status === 201) {
        row.finish();
        resolve(JSON.parse(request.responseText));
      } else {
        reject(new Error(reason(request)));
      }
    });
    row.show(0);
    request.send(row.file);
  });
}

function reason(request) {
  if (request.status === 401) return "You are no longer logged in. Log in again, then upload the file.";
  try {
    const { message, hint } = JSON.parse(request.responseText);
    return `${message}\n${hint}`;
  } catch {
    return "The server did not take the file. Try again.";
  }
}
