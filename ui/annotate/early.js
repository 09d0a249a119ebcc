/*
 * The page as the HTML draws it, complete and usable while all that frames it still loads. The
 * component takes it to its place; where something else is shown instead, it goes.
 */
class EarlyPage {
  /** `onPainted` is called when the first question can be seen. */
  constructor(host, data, onPainted) {
    this.host = host;
    this.scope = data.scope;
    host.dataset.theme = chosenTheme();
    const root = host.shadowRoot.querySelector("section.annotate");
    this.page = new Page(root, data, goElsewhere);
    this.page.onPainted = onPainted;
    this.others = new MutationObserver(() => this.giveWay());
    this.others.observe(document.body, { childList: true, subtree: true });
  }

  /** Another page was chosen, or something must be said before this one. */
  giveWay() {
    if (document.querySelector(OTHER_PARTS)) this.close();
  }

  /** The page, in its new place; what was open stays so, and what had the focus. */
  moveTo(place) {
    const { root } = this.page;
    const focused = this.host.shadowRoot.activeElement;
    const sheets = [...root.querySelectorAll("dialog[open]")];
    place.append(root);
    for (const sheet of sheets) {
      sheet.removeAttribute("open"); // it is no longer modal, and nobody closed it
      sheet.showModal();
    }
    focused?.focus();
    this.leave();
    return this.page;
  }

  close() {
    this.page.close();
    this.leave();
  }

  leave() {
    this.others.disconnect();
    this.host.remove();
    delete window.annealEarly;
  }
}

/** Draw the page, and then load what frames it, whatever becomes of the page. */
function startEarly(data, frame) {
  const drawFrame = () => document.head.append(frame.content); // a second time it is empty
  setTimeout(drawFrame, FRAME_WAITS_MS);
  const host = document.getElementById("anneal-early");
  try {
    window.annealEarly = new EarlyPage(host, data, drawFrame);
    guardUnsent(data.scope);
  } catch (error) { // a browser that does not know such templates, or lets nothing be kept
    host.remove();
    drawFrame();
    console.warn(error);
  }
}

/** As Streamlit chooses it: what its menu was told here, else what the computer wants. */
function chosenTheme() {
  const kept = /light|dark/i.exec(keptTheme());
  if (kept) return kept[0].toLowerCase();
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function keptTheme() {
  try {
    return localStorage.getItem(`stActiveTheme-${location.pathname}-v2`) ?? "";
  } catch {
    return "";
  }
}

/** What the page wants of Streamlit: pages have addresses; a new token comes with the component. */
function goElsewhere(name, value) {
  if (name === "page") location.assign(`${PLACES[value]}${location.search}`);
  else if (performance.now() > ALONE_FOR_MS) location.reload(); // which never came
}

const FRAME_WAITS_MS = 300;
const ALONE_FOR_MS = 60_000;
const PLACES = { overview: "./", rounds: "./rounds" };
// Before its first script run Streamlit draws a part that is empty.
const OTHER_PARTS = "[data-testid=stApp]:not([data-test-script-state=initial])"
  + " [data-testid=stMainBlockContainer] [data-testid=stElementContainer]:not(.st-key-annotate-pairs)";
