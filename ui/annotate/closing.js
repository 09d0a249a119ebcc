/*
 * Closing the tab or signing out while something is unsent asks first, on every page.
 */
const outboxes = new Set(); // beginnings of the names of unsent answers, of all who were here

function guardUnsent(scope) {
  if (outboxes.size === 0) window.addEventListener("beforeunload", warnIfUnsent);
  outboxes.add(`${scope}.out.`);
}

function warnIfUnsent(event) {
  try {
    const names = Object.keys(localStorage);
    const unsent = (name) => [...outboxes].some((outbox) => name.startsWith(outbox));
    if (names.some(unsent)) event.preventDefault();
  } catch { /* forbidden: the page says that answers are not kept here */ }
}
