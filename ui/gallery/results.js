// A ranked grid: a picture opens its own search, the two buttons below it say whether it is right.
const WORDS = { similar: "Similar", dissimilar: "Different" };
const OWN = { similar: true, dissimilar: false };

function makeMarks(item, act) {
  const bar = make("span", "marks");
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", `Is ${item.caption} similar to the query?`);
  for (const kind of ["similar", "dissimilar"]) {
    const button = make("button", `mark ${kind}`, WORDS[kind]);
    button.type = "button";
    button.dataset.kind = kind;
    button.addEventListener("click", () => {
      const { own, after } = bar.closest("li").item;
      for (const each of bar.querySelectorAll("button")) each.disabled = true;
      act({ id: item.id, kind: own === OWN[kind] ? "undo" : kind, after });
    });
    bar.append(button);
  }
  return bar;
}

function makeResult(item, access, choose, act) {
  const entry = make("li", "result");
  const tile = make("button", "tile");
  tile.type = "button";
  tile.title = `${item.caption}: find what is like it`;
  const words = make("span", "words");
  words.append(make("span", "title"), makeCaption("span", item.caption), make("span", "note"));
  tile.append(makePicture(item.id, "", access), words);
  tile.addEventListener("click", () => choose(item.id));
  entry.append(tile);
  if (item.markable) entry.append(makeMarks(item, act));
  return entry;
}

function showState(entry, item) {
  entry.item = item;
  entry.querySelector(".title").textContent = item.title;
  entry.querySelector(".note").textContent = item.note;
  for (const button of entry.querySelectorAll(".mark")) {
    const pressed = item.own === OWN[button.dataset.kind];
    button.setAttribute("aria-pressed", String(pressed));
    button.title = pressed ? "Your answer. Click again to take it back." : "";
    button.disabled = false;
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".gallery");
  const shown = JSON.stringify(data.items.map((item) => [item.id, item.caption, item.markable]));
  list.setAttribute("aria-label", data.name);
  if (list.dataset.shown !== shown) {
    list.dataset.shown = shown;
    const choose = (imageId) => setTriggerValue("chosen", imageId);
    const act = (mark) => setTriggerValue("marked", mark);
    const entries = data.items.map((item) => makeResult(item, data.access, choose, act));
    list.replaceChildren(...entries);
  }
  // Only words and buttons change after a click: pictures stay as they are
  [...list.children].forEach((entry, place) => showState(entry, data.items[place]));
}
