const NAMES = ["Pair", "Files", "Answer", "By", "When", "Round", ""];

function makeCell(name, content) {
  const cell = make("td");
  cell.dataset.name = name;
  if (content instanceof Node) cell.append(content);
  else cell.textContent = content;
  return cell;
}

function makePair(row, access) {
  const both = make("span", "pictures");
  both.append(...row.images.map((image) => {
    const frame = makePicture(image.id, image.caption, access);
    frame.title = image.caption;
    return frame;
  }));
  return both;
}

function makeFiles(row) {
  const both = make("span", "files");
  for (const image of row.images) {
    const file = makeCaption("span", image.caption);
    file.title = image.caption;
    both.append(file);
  }
  return both;
}

function makeAnswer(row) {
  const cell = make("span");
  cell.append(make("span", "label", row.label));
  if (row.note) cell.append(make("span", "note", row.note));
  return cell;
}

function makeMoment(moment) {
  const time = make("time", "moment");
  time.dateTime = moment;
  time.title = moment;
  time.textContent = new Date(moment).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return time;
}

function makeActions(row, act) {
  if (row.actions.length === 0) return "";
  const all = make("span", "actions");
  for (const { label, name, value } of row.actions) {
    const button = make("button", "back", label);
    button.type = "button";
    button.addEventListener("click", () => {
      for (const each of all.children) each.disabled = true;
      act({ name, value });
    });
    all.append(button);
  }
  return all;
}

function makeRow(row, access, act) {
  const line = make("tr", row.gone ? "gone" : "");
  const contents = [
    makePair(row, access), makeFiles(row), makeAnswer(row), row.members, makeMoment(row.answered_at), row.round,
    makeActions(row, act),
  ];
  line.append(...contents.map((content, column) => makeCell(NAMES[column], content)));
  return line;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const table = parentElement.querySelector(".labels");
  const shown = JSON.stringify(data.rows);
  if (table.dataset.shown === shown) {
    for (const button of table.querySelectorAll("button")) button.disabled = false;
    return;
  }
  table.dataset.shown = shown;
  table.classList.toggle("bare", data.rows.every((row) => row.images.length === 0));
  table.classList.toggle("own", data.rows.every((row) => row.members === ""));
  const act = (action) => setTriggerValue("acted", action);
  const rows = data.rows.map((row) => makeRow(row, data.access, act));
  table.querySelector("tbody").replaceChildren(...rows);
}
