// Asks every few seconds how the run is, and lays the answer into the page. What is said and drawn
// was made on the server: an element names the place of its value in the answer.
"use strict";

(() => {
  const RUNNING_SECONDS = 3;
  const ENDED_SECONDS = 20; // a task of it may be cleared, and then it goes on
  const PATIENCE_SECONDS = 15;

  const source = document.getElementById("live").dataset.source;
  const problem = document.getElementById("problem");
  let failing = null; // since when
  let timer = null;

  const lay = (view) => {
    const at = (place) => place.split(".").reduce((part, name) => part[name], view);
    const each = (name, change) => {
      for (const element of document.querySelectorAll(`[data-${name}]`)) {
        change(element, at(element.dataset[name]));
      }
    };
    each("text", (element, text) => {
      // Only what changes, for a screen reader reads aloud what is touched.
      if (element.textContent !== text) element.textContent = text;
    });
    each("line", (element, path) => element.setAttribute("d", path));
    each("value", (element, share) => (element.value = share));
    each("state", (element, state) => (element.className = state));
    document.getElementById("report").hidden = !view.has_report;
  };

  const complain = (text) => {
    failing ??= new Date();
    const since = failing.toLocaleTimeString();
    const told = `${text} No news since ${since}; this page tries again by itself.`;
    if (problem.textContent !== told) problem.textContent = told;
    problem.hidden = false;
  };

  const ask = async () => {
    clearTimeout(timer);
    let pause = RUNNING_SECONDS;
    try {
      const answer = await fetch(source, {
        cache: "no-store",
        headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(1000 * PATIENCE_SECONDS),
      });
      if (answer.status === 401 || answer.status === 403) {
        complain("You are not logged in any more: log in to Airflow again.");
      } else if (answer.status === 503) {
        complain("The bucket does not answer.");
      } else if (!answer.ok) {
        complain(`Airflow answered ${answer.status}.`);
      } else {
        const view = await answer.json();
        lay(view);
        failing = null;
        problem.hidden = true;
        if (view.state === "done" || view.state === "failed") pause = ENDED_SECONDS;
      }
    } catch {
      complain("Airflow does not answer.");
    }
    if (!document.hidden) timer = setTimeout(ask, 1000 * pause);
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask();
  });
  ask();
})();
