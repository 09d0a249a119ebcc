const SIGNS = { true: "alike", false: "apart" };

function makeMoment(moment) {
  const time = make("time", "moment");
  time.dateTime = moment;
  time.title = moment;
  time.textContent = new Date(moment).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return time;
}

function makeImage(image, access, size) {
  const figure = make("figure");
  const caption = makeCaption("figcaption", image.caption);
  caption.title = image.caption;
  figure.append(makePicture(image.id, image.caption, access, size), caption);
  return figure;
}

function makeVoices(claim) {
  const voices = make("ul", "voices");
  for (const each of claim.voices) {
    const line = make("li", "", `${each.member}: ${each.said}, `);
    line.append(makeMoment(each.at));
    if (each.why) line.title = each.why;
    voices.append(line);
  }
  return voices;
}

function makeClaim(claim) {
  const words = make("div", "claim");
  words.append(make("strong", SIGNS[claim.similar] ?? "", claim.label), makeVoices(claim));
  if (claim.model) words.append(make("span", "model", claim.model));
  return words;
}

function makeButton(text, hint, decide, className = "decide") {
  const button = make("button", className, text);
  button.type = "button";
  if (hint) button.title = hint;
  button.addEventListener("click", () => {
    for (const each of button.closest(".dispute").querySelectorAll("button")) each.disabled = true;
    decide();
  });
  return button;
}

function makeOwn(data, rule) {
  const own = make("section", "own");
  own.setAttribute("aria-label", data.title);
  own.append(make("h3", "", data.title));
  const pictures = make("div", "two");
  pictures.append(...data.images.map((image) => makeImage(image, data.access, 512)));
  own.append(pictures, makeClaim(data.own), makeChoices(data.own_choices, rule));
  return own;
}

function makeChoices(choices, rule) {
  const bar = make("div", "choices");
  for (const each of choices) {
    bar.append(makeButton(each.text, "", () => rule({ ruling: each.ruling })));
    if (each.hint) bar.append(make("span", "hint", each.hint));
  }
  return bar;
}

function makeStep(step, place, rule) {
  const item = make("li", "step");
  const wrong = makeButton(
    "This one is wrong", step.hint, () => rule({ ruling: "link", link: place }), "decide small",
  );
  wrong.setAttribute("aria-label", `This one is wrong: ${step.hint}`);
  item.append(makeClaim(step), wrong);
  if (step.weakest) item.append(make("span", "weakest", "weakest"));
  return item;
}

function makePath(data, rule) {
  const section = make("section", "earlier");
  section.setAttribute("aria-label", data.path_title);
  const strip = make("ol", "strip");
  data.steps.forEach((step, place) => {
    const item = make("li", "image");
    item.append(makeImage(data.path[place], data.access, 256));
    strip.append(item, makeStep(step, place, rule));
  });
  const last = make("li", "image");
  last.append(makeImage(data.path[data.path.length - 1], data.access, 256));
  strip.append(last);
  section.append(make("h3", "", data.path_title), strip, makeChoices(data.path_choices, rule));
  return section;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".dispute");
  const { access, ...content } = data;
  const shown = JSON.stringify(content);
  if (place.dataset.shown === shown) {
    for (const button of place.querySelectorAll("button")) button.disabled = false;
    return;
  }
  place.dataset.shown = shown;
  const rule = (decision) => setTriggerValue("ruled", decision);
  const parts = [makeOwn(data, rule)];
  if (data.steps.length) parts.push(makePath(data, rule));
  place.replaceChildren(...parts);
}
