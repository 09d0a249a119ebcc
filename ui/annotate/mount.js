/*
 * Streamlit calls this on every rerun with new data; the page object lives on. A cleanup of an
 * older call must not close the page that a newer call uses.
 */
const pages = new WeakMap();
const outboxes = new Set(); // beginnings of the names of unsent answers, of all who were here

/** Closing the tab or signing out while something is unsent asks first, on every page. */
function guardUnsent(scope) {
  if (outboxes.size === 0) window.addEventListener("beforeunload", warnIfUnsent);
  outboxes.add(`${scope}.out.`);
}

function warnIfUnsent(event) {
  const names = Object.keys(localStorage);
  if (names.some((name) => [...outboxes].some((outbox) => name.startsWith(outbox)))) {
    event.preventDefault();
  }
}

/** What the page's HTML asked for, unless it was for somebody else or is long ago. */
function takeFirst(scope) {
  const first = window.annealFirst ?? null;
  delete window.annealFirst;
  if (first?.isFor(scope)) return first.handOver();
  first?.close();
  return null;
}

export default function mount({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("section.annotate");
  let page = pages.get(parentElement);
  if (!page || page.root !== root || page.scope !== data.scope) {
    page?.close();
    page = new Page(root, data, { trigger: setTriggerValue, first: takeFirst(data.scope) });
    guardUnsent(data.scope);
    pages.set(parentElement, page);
  } else page.update(data, setTriggerValue);
  page.generation += 1;
  const { generation } = page;
  return () => {
    if (page.generation !== generation) return;
    page.close();
    pages.delete(parentElement);
  };
}
