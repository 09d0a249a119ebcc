/*
 * What the page shows besides the pair: counts, states, messages. Nothing here moves the pair.
 * Text that comes from the project is only ever set as textContent.
 */
class View {
  constructor(root) {
    const named = (attribute) => Object.fromEntries(
      [...root.querySelectorAll(`[data-${attribute}]`)].map((node) => [node.dataset[attribute], node]),
    );
    this.el = named("el");
    this.buttons = named("do");
    this.timers = {};
  }

  /** Both images of a pair that is ready, in the place of the last ones. */
  pair(item) {
    this.place(this.el.stageA, item, 0);
    this.place(this.el.stageB, item, 1);
    say(this.el.reason, item.question.reason);
    this.el.reason.title = item.question.reason;
    this.el.panel.hidden = true;
    this.el.pair.classList.remove("empty");
  }

  place(stage, item, side) {
    const image = item.images[side];
    if (image) {
      image.alt = side === 0 ? "First image" : "Second image";
      stage.replaceChildren(image);
      return;
    }
    const missing = document.createElement("p");
    missing.className = "missing";
    missing.textContent = item.broken;
    stage.replaceChildren(missing);
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
    this.el.stageA.replaceChildren();
    this.el.stageB.replaceChildren();
  }

  can({ answer, skip, undo }) {
    for (const kind of ["similar", "dissimilar", "unsure"]) this.buttons[kind].disabled = !answer;
    this.buttons.skip.disabled = !skip;
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
    if (within >= target) say(this.el.pace, goOn ? (byItself ? LEARNS_BY_ITSELF : GOAL) : "");
  }

  pace(pace_ms, left) {
    const left_min = (left * pace_ms) / 60000;
    const words = left_min < 1 ? "under a minute" : `about ${Math.round(left_min)} min`;
    say(this.el.pace, `${(pace_ms / 1000).toFixed(1)} s a pair, ${words} left`);
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

/** Set a text, unless it stands there already: setting it again would cost a layout. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const CALM_MS = 400; // what is over sooner is not worth a flicker
