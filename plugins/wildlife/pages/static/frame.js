// What a page inside Airflow's frame needs to belong there. Airflow keeps the theme that its user
// chose in localStorage ("light", "dark" or "system"), as next-themes does, and the frame shares it.
"use strict";

(() => {
  const root = document.documentElement;
  const follow = () => {
    let theme = null;
    try {
      theme = localStorage.getItem("theme");
    } catch {
      // a browser that keeps nothing: the system's theme, which the style sheet follows by itself
    }
    root.classList.toggle("dark", theme === "dark");
    root.classList.toggle("light", theme === "light");
  };
  follow();
  addEventListener("storage", follow); // the toggle was pressed, around this frame

  // Airflow's frame may not navigate the page around it, and Airflow inside Airflow is no answer.
  // The document around it has the same origin, so the link is followed there.
  addEventListener("click", (event) => {
    const link = event.target.closest?.('a[target="_top"]');
    if (!link || top === self || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const outside = top.document.createElement("a");
    outside.href = link.href;
    outside.click();
  });
})();
