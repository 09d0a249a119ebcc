function makeTile(item, access, choose) {
  const entry = make("li");
  const tile = make("button", "tile");
  tile.type = "button";
  tile.title = item.caption;
  const words = make("span", "words");
  if (item.title) words.append(make("span", "title", item.title));
  words.append(makeCaption("span", item.caption));
  tile.append(makePicture(item.id, "", access), words);
  tile.addEventListener("click", () => choose(item.id));
  entry.append(tile);
  return entry;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".gallery");
  const shown = JSON.stringify([data.name, data.items]);
  if (list.dataset.shown === shown) return;
  list.dataset.shown = shown;
  list.setAttribute("aria-label", data.name);
  list.dataset.count = data.items.length;
  const choose = (imageId) => setTriggerValue("chosen", imageId);
  list.replaceChildren(...data.items.map((item) => makeTile(item, data.access, choose)));
}
