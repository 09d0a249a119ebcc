/*
 * What the page shows besides the pair: counts, states, messages. Nothing here moves the pair.
 * Text that comes from the project is only ever set as textContent.
 */
class View {
  constructor(root) {
    this.el = named(root, "el");
    this.buttons = named(root, "do");
    this.timers = {};
  }

  /** Write the keys on the buttons. */
  keys(keymap, { words, tiles }) {
    for (const [action, button] of Object.entries(this.buttons)) {
      const keys = keymap.of(action).filter((key) => tiles === 0 || !MARKS_TILE.test(key));
      const shown = button.querySelector(".keys");
      if (!shown) continue;
      shown.replaceChildren(...keys.map((key) => textIn("kbd", keySign(key))));
      const names = keys.map(keyName);
      const listed = names.length > 1 ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}` : names[0];
      const label = `${words[action] ?? ACTIONS[action]}. ${names.length > 1 ? "Keys" : "Key"}: ${listed}`;
      button.setAttribute("aria-label", label);
      button.setAttribute("aria-keyshortcuts", keys.map(keyCode).join(" "));
    }
  }

  /** Both images of a pair that is ready, in the place of the last ones. */
  pair(item) {
    const stages = [this.el.stageA, this.el.stageB];
    if (item.swapped) stages.reverse();
    this.place(stages[0], item, 0);
    this.place(stages[1], item, 1);
    this.asked(item);
  }

  noPair() {
    this.el.stageA.replaceChildren();
    this.el.stageB.replaceChildren();
  }

  /** Which layout is on: its places, its question, its words for the answers. */
  layout({ tiles, question, words }) {
    for (const name of ["frameA", "frameB"]) this.el[name].hidden = tiles > 0;
    for (const name of ["queryFrame", "tiles"]) this.el[name].hidden = tiles === 0;
    this.buttons.swap.hidden = tiles > 0;
    this.el.answers.setAttribute("aria-label", question);
    for (const [action, word] of Object.entries(words)) {
      say(this.buttons[action].querySelector(".word"), word);
    }
    say(this.el.layoutText, tiles > 0 ? "Pairs" : "Grid");
  }

  makeTiles(count, onClick) {
    this.tiles = Array.from({ length: count }, (_, at) => makeTile(at, onClick));
    this.el.tiles.replaceChildren(...this.tiles.map(({ button }) => button));
  }

  /** The large image and the small ones beside it. */
  grid(item) {
    const shown = item.images.length - 1;
    this.put(this.el.query, item, 0, "The large image");
    this.el.tiles.style.setProperty("--across", shown > 4 ? 3 : Math.min(shown, 2));
    for (const [at, { button, cell }] of this.tiles.entries()) {
      button.hidden = at >= shown;
      if (at < shown) this.put(cell, item, at + 1, "");
    }
    this.asked(item);
  }

  noGrid() {
    this.el.query.replaceChildren();
    for (const { button } of this.tiles) button.hidden = true;
  }

  /** Marks are a sign and a border, not only a colour. */
  marks({ marks }) {
    for (const [at, { button, verdict }] of this.tiles.entries()) {
      const mark = marks[at] ?? "none";
      button.dataset.mark = mark;
      verdict.textContent = MARK_SIGNS[mark];
      button.setAttribute("aria-label", `Image ${at + 1}: ${MARK_WORDS[mark]}. Key: ${at + 1}`);
    }
  }

  /** The reason of a question that is shown. */
  asked(item) {
    const text = about(item.question);
    say(this.el.reason, text);
    this.el.reason.title = item.question.stands_for > 1 ? `${text} ${SPREAD}` : text;
    this.el.panel.hidden = true;
    this.el.pair.classList.remove("empty");
  }

  place(stage, item, side) {
    const name = stage === this.el.stageA ? "First image" : "Second image";
    this.put(stage, item, side, name);
  }

  /** A picture in its place, or why there is none. */
  put(place, item, at, name) {
    const image = item.images[at];
    if (image) {
      image.alt = name;
      place.replaceChildren(image);
      return;
    }
    const missing = textIn("p", item.broken);
    missing.className = "missing";
    place.replaceChildren(missing);
  }

  /** A message in the place of the pair. */
  panel({ title, text, page, label }) {
    say(this.el.panelTitle, title);
    say(this.el.panelText, text);
    this.el.panelButton.hidden = !page;
    say(this.el.panelButton, label ?? "");
    this.el.panelButton.dataset.page = page ?? "";
    this.el.panel.hidden = false;
    this.el.pair.classList.add("empty");
    say(this.el.reason, "\u00a0");
    this.el.reason.title = "";
  }

  can({ answer, skip, undo }) {
    for (const kind of ["similar", "dissimilar", "unsure"]) this.buttons[kind].disabled = !answer;
    for (const kind of ["skip", "flag", "swap"]) this.buttons[kind].disabled = !skip;
    this.buttons.undo.disabled = undo === null;
    say(this.el.undoText, undo === null ? "Undo" : `Undo “${WORDS[undo]}”`);
  }

  /**
   * How far the round is; answers beyond its target are counted apart; whether one can go on, and
   * whether the model learns without anybody starting it; leads can go there and start it.
   */
  progress({ number, answered, target, goOn, byItself, leads }) {
    const more = Math.max(answered - target, 0);
    const within = answered - more;
    say(this.el.round, `Round ${number}`);
    say(this.el.count, `${within} of ${target}${more ? ` + ${more} more` : ""}`);
    this.el.fill.style.transform = `scaleX(${target ? within / target : 1})`;
    this.el.track.setAttribute("aria-valuenow", within);
    this.el.track.setAttribute("aria-valuemax", target);
    this.el.goal.hidden = within < target || !goOn || byItself || !leads;
    if (within < target) return;
    say(this.el.pace, goOn ? (byItself ? LEARNS_BY_ITSELF : GOAL) : "");
    say(this.el.paceShort, "");
  }

  pace(pace_ms, left) {
    const left_min = (left * pace_ms) / 60000;
    const pace_s = `${(pace_ms / 1000).toFixed(1)} s`;
    const words = left_min < 1 ? "under a minute" : `about ${Math.round(left_min)} min`;
    say(this.el.pace, `${pace_s} a pair, ${words} left`);
    say(this.el.paceShort, `${pace_s} · ${left_min < 1 ? "< 1" : Math.round(left_min)} min left`);
  }

  /** Unsent answers show after a moment: usually they are gone before anyone could read it. */
  unsent(count, troubled) {
    clearTimeout(this.timers.unsent);
    const text = `${plural(count, "answer", "answers")} not sent yet`;
    say(this.el.unsent, count > 0 ? text : "");
    if (count === 0) this.el.unsent.hidden = true;
    else if (troubled) this.el.unsent.hidden = false;
    else this.timers.unsent = setTimeout(() => { this.el.unsent.hidden = false; }, CALM_MS);
  }

  state(state) {
    clearTimeout(this.timers.state);
    const draw = () => {
      this.el.state.dataset.state = state;
      say(this.el.stateText, STATES[state]);
    };
    if (state === "sending") this.timers.state = setTimeout(draw, CALM_MS);
    else draw();
  }

  zoom(scale) {
    say(this.el.percent, `${Math.round(scale * 100)} %`);
  }

  /** Say something to people who listen: after the frame that shows the pair, and only the last. */
  announce(text) {
    clearTimeout(this.timers.live);
    this.timers.live = setTimeout(() => { say(this.el.live, text); }, 250);
  }

  /** A message over the pair, until it is dismissed or its time is over. */
  notify(text, { for_ms = null } = {}) {
    clearTimeout(this.timers.notice);
    say(this.el.noticeText, text);
    this.el.notice.hidden = false;
    if (for_ms !== null) this.timers.notice = setTimeout(() => this.quiet(), for_ms);
  }

  quiet() {
    this.el.notice.hidden = true;
  }

  flash(action) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.buttons[action].animate([{ opacity: 0.5 }, { opacity: 1 }], 180);
  }

  close() {
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
  }
}

/** A small image that can be marked. */
function makeTile(at, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "tile frame";
  button.hidden = true;
  const cell = Object.assign(document.createElement("span"), { className: "cell" });
  const number = Object.assign(textIn("span", String(at + 1)), { className: "number" });
  const verdict = Object.assign(document.createElement("span"), { className: "verdict" });
  for (const each of [number, verdict]) each.setAttribute("aria-hidden", "true");
  button.append(cell, number, verdict);
  button.addEventListener("click", (event) => {
    onClick(at);
    if (event.detail > 0) button.blur(); // by mouse: the next key is not for this tile
  });
  return { button, cell, verdict };
}

/** The nodes below one that carry a name, by name. */
function named(root, attribute) {
  const nodes = [...root.querySelectorAll(`[data-${attribute}]`)];
  return Object.fromEntries(nodes.map((node) => [node.dataset[attribute], node]));
}

/** Set a text, unless it stands there already: setting it again would cost a layout. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const MARK_SIGNS = { none: "", similar: "≈", unsure: "?" };
const CALM_MS = 400; // what is over sooner is not worth a flicker
