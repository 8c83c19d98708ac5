// Small comforts; every page works without them.

// Forms that cannot be undone ask first.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

async function copy(element, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return; // not a secure page: selecting and copying by hand still works
  }
  element.classList.add("copied");
  setTimeout(() => element.classList.remove("copied"), 1200);
}

document.addEventListener("click", (event) => {
  const digest = event.target.closest(".digest[data-copy]");
  if (digest) copy(digest, digest.textContent);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches(".digest[data-copy]")) event.target.click();
});

for (const block of document.querySelectorAll(".command[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  const text = block.textContent;
  button.addEventListener("click", () => copy(button, text));
  const frame = document.createElement("div");
  frame.className = "copyable";
  block.replaceWith(frame);
  frame.append(block, button);
}
