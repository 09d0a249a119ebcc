/*
 * Sheets over the page: the keys and how to change them, and the note of a flag. While one is open,
 * keys belong to it.
 */
class KeySheet {
  constructor({ dialog, keymap, onChange }) {
    Object.assign(this, { dialog, keymap, onChange });
    this.el = named(dialog, "el");
    this.asked = null; // whose key is being changed: {action, key}
    dialog.addEventListener("keydown", (event) => this.key(event), { capture: true });
    dialog.addEventListener("close", () => { this.asked = null; });
    this.el.resetKeys.addEventListener("click", () => this.reset());
    closeByButton(dialog);
  }

  open() {
    this.say("");
    this.draw();
    this.dialog.showModal();
  }

  draw() {
    const rows = Object.keys(USUAL_KEYS).map((action) => this.row(action));
    const others = OTHER_KEYS.map(([does, keys]) => line(does, textIn("span", keys)));
    this.el.keyRows.replaceChildren(...rows, ...others);
  }

  row(action) {
    const chips = this.keymap.of(action).map((key) => this.chip(action, key));
    return line(ACTIONS[action], ...chips);
  }

  chip(action, key) {
    const chip = textIn("button", keySign(key));
    chip.type = "button";
    chip.className = "chip";
    chip.setAttribute("aria-label", `${keyName(key)} for “${ACTIONS[action]}”: change`);
    chip.addEventListener("click", () => this.ask({ action, key }));
    if (this.asked?.action === action && this.asked.key === key) {
      chip.classList.add("asked");
      chip.textContent = "…";
    }
    return chip;
  }

  ask(asked) {
    this.asked = asked;
    this.draw();
    if (asked === null) return;
    this.say(PRESS_A_KEY);
    this.el.keyRows.querySelector(".chip.asked").focus();
  }

  /** Lines are drawn anew at every change: keep the place for who goes on by keyboard. */
  focusOn(action, key) {
    const at = this.keymap.of(action).indexOf(key);
    this.el.keyRows.children[Object.keys(USUAL_KEYS).indexOf(action)].querySelectorAll(".chip")[at].focus();
  }

  key(event) {
    if (this.asked === null || MODIFIERS.includes(event.key) || event.key === "Tab") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat) return;
    const { action, key } = this.asked;
    const chosen = keyOf(event);
    const refusal = chosen === "escape" ? "" : this.keymap.replace(action, key, chosen);
    this.ask(null);
    this.focusOn(action, refusal === null ? chosen : key);
    this.say(refusal ?? KEYS_CHANGED);
    if (refusal === null) this.onChange();
  }

  reset() {
    this.keymap.reset();
    this.ask(null);
    this.say(KEYS_RESET);
    this.onChange();
  }

  say(text) {
    this.el.keyNews.textContent = text;
  }
}

/** Asks for the note of a flag, and what the flag is about. */
class FlagSheet {
  constructor({ dialog, onFlag }) {
    this.dialog = dialog;
    this.onFlag = onFlag;
    this.el = named(dialog, "el");
    this.el.flagForm.addEventListener("submit", (event) => this.submit(event));
    closeByButton(dialog);
  }

  /** For a question with these subjects: [[words, first image, second or null], …]. */
  open(question, subjects) {
    this.question = question;
    this.subjects = subjects;
    this.el.flagAbout.replaceChildren(
      ...subjects.map(([words], at) => Object.assign(textIn("option", words), { value: at })),
    );
    this.el.flagNote.value = "";
    this.dialog.showModal();
    this.el.flagNote.focus();
  }

  submit(event) {
    event.preventDefault();
    const [, a, b] = this.subjects[Number(this.el.flagAbout.value)];
    this.dialog.close();
    this.onFlag(this.question, { a, b, note: this.el.flagNote.value.trim() });
  }
}

/** What the lead says about answering; opens by itself until it was read once. */
class GuideSheet {
  constructor({ dialog, scope, pictureUrl }) {
    Object.assign(this, { dialog, pictureUrl });
    this.name = `${scope}.guide`;
    this.el = named(dialog, "el");
    this.guide = null;
    dialog.addEventListener("close", () => this.remember());
    closeByButton(dialog);
  }

  /** The instructions as of now; whether they are others than were here. */
  take(guide) {
    const changed = this.guide !== null && guide !== null && guide.id !== this.guide.id;
    this.guide = guide;
    return changed;
  }

  openIfNew() {
    if (this.guide !== null && this.guide.id !== this.read()) this.open();
  }

  open() {
    if (this.guide === null || this.dialog.open) return;
    this.el.guideText.textContent = this.guide.text;
    this.el.guideExamples.replaceChildren(...this.guide.examples.map((each) => this.example(each)));
    this.dialog.showModal();
    this.dialog.scrollTop = 0;
  }

  example({ a, b, similar, remark }) {
    const figure = document.createElement("figure");
    const images = [a, b].map((id, at) => Object.assign(new Image(), {
      src: this.pictureUrl(id, SHOWN_PX), alt: at === 0 ? "First image" : "Second image",
    }));
    const caption = document.createElement("figcaption");
    const verdict = textIn("strong", similar ? "≈ Similar" : "≠ Different");
    verdict.className = similar ? "similar" : "different";
    caption.append(verdict, textIn("span", remark));
    figure.append(...images, caption);
    return figure;
  }

  read() {
    try {
      return Number(localStorage.getItem(this.name));
    } catch {
      return this.seen;
    }
  }

  remember() {
    if (this.guide === null) return;
    this.seen = this.guide.id;
    try {
      localStorage.setItem(this.name, this.guide.id);
    } catch { /* full or forbidden: it opens again at the next visit */ }
  }
}

function closeByButton(dialog) {
  for (const button of dialog.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => dialog.close());
  }
}

/** A line of a list of terms. */
function line(term, ...descriptions) {
  const row = document.createElement("div");
  const value = document.createElement("dd");
  value.append(...descriptions);
  row.append(textIn("dt", term), value);
  return row;
}

function textIn(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

const MODIFIERS = ["Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock"];
