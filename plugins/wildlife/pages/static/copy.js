// Buttons that copy a text. A browser lets only secure pages (https, or this machine) use the
// clipboard; elsewhere there are no buttons, and one click on the text marks it whole.
"use strict";

if (navigator.clipboard) {
  const told = document.getElementById("copied");
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        told.textContent = `Copied: ${button.dataset.copy}`;
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling);
        told.textContent = "The browser does not allow that: the key is marked, copy it by hand.";
      }
    });
  }
}
