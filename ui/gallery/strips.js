// Groups of pictures, a strip each: a picture opens its search, the button the whole group.
function makeStripPicture(picture, access, act) {
  const entry = make("li");
  const tile = make("button", "tile");
  tile.type = "button";
  tile.title = `${picture.caption}: find what is like it`;
  tile.append(makePicture(picture.id, picture.caption, access));
  tile.addEventListener("click", () => act({ name: "image", id: picture.id }));
  entry.append(tile);
  return entry;
}

function makeStrip(strip, access, act) {
  const section = make("section", "group");
  const title = make("h3", "", strip.title);
  const pictures = make("ul", "strip");
  pictures.setAttribute("aria-label", strip.title);
  pictures.append(...strip.pictures.map((each) => makeStripPicture(each, access, act)));
  const all = make("button", "back", strip.all);
  all.type = "button";
  all.setAttribute("aria-label", `${strip.all}: ${strip.title}`);
  all.addEventListener("click", () => act({ name: "group", id: strip.pictures[0].id }));
  const head = make("div", "group-head");
  head.append(title, all);
  section.append(head, pictures);
  return section;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".strips");
  const shown = JSON.stringify(data.strips);
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  const act = (action) => setTriggerValue("acted", action);
  place.replaceChildren(...data.strips.map((each) => makeStrip(each, data.access, act)));
}
