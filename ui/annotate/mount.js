/*
 * Streamlit calls this on every rerun with new data; the page object lives on. A cleanup of an
 * older call must not close the page that a newer call uses.
 */
const pages = new WeakMap();

/** The page that the HTML drew, unless it is somebody else's. */
function takeOver(scope, place) {
  const early = window.annealEarly ?? null;
  if (early?.scope === scope) return early.moveTo(place);
  early?.close();
  return null;
}

function drawn(place) {
  place.append(place.querySelector("template").content.cloneNode(true));
  return place.querySelector("section.annotate");
}

export default function mount({ data, parentElement, setTriggerValue }) {
  let page = pages.get(parentElement);
  if (page?.scope !== data.scope) {
    page?.close();
    page?.root.remove();
    page = takeOver(data.scope, parentElement);
    guardUnsent(data.scope);
  }
  if (page) page.update(data, setTriggerValue);
  else page = new Page(drawn(parentElement), data, setTriggerValue);
  pages.set(parentElement, page);
  page.generation += 1;
  const { generation } = page;
  return () => {
    if (page.generation !== generation) return;
    page.close();
    page.root.remove();
    pages.delete(parentElement);
  };
}
