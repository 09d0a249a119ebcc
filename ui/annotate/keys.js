/*
 * Which key does what. The annotator may choose the keys of what is done all day; the choice stays
 * in this browser. The others are the same for everybody.
 */
class Keymap {
  constructor(scope, onChange) {
    this.name = `${scope}.keys`;
    this.onStorage = (event) => {
      if (event.key !== this.name) return;
      this.load(); // chosen in another tab
      onChange();
    };
    window.addEventListener("storage", this.onStorage);
    this.load();
  }

  /** What was chosen; the usual keys where that cannot be read or leaves something without any. */
  load() {
    this.chosen = new Map(Object.entries(USUAL_KEYS));
    try {
      const kept = Object.entries(JSON.parse(localStorage.getItem(this.name)) ?? {});
      for (const [action, keys] of kept) this.chosen.set(action, keys.map(String));
    } catch { /* forbidden, or not ours */ }
    const all = [...this.chosen.values()].flat();
    const whole = [...this.chosen].every(([name, keys]) => name in USUAL_KEYS && keys.length > 0);
    const clash = new Set(all).size < all.length || all.some((key) => !allowed(key));
    if (clash || !whole) this.chosen = new Map(Object.entries(USUAL_KEYS));
  }

  of(action) {
    return this.chosen.get(action) ?? [];
  }

  /** What a key does, or null. */
  action(key) {
    for (const [action, keys] of this.chosen) if (keys.includes(key)) return action;
    return FIXED_KEYS[key] ?? null;
  }

  /** Let a key do what another did; the words why it cannot, or null. */
  replace(action, old, key) {
    if (key === old) return null;
    if (!allowed(key)) return `${keyName(key)} cannot be chosen: it works the page itself.`;
    const taken = this.action(key);
    if (taken !== null) return `${keyName(key)} already means “${ACTIONS[taken] ?? taken}”.`;
    this.chosen.set(action, this.of(action).map((each) => (each === old ? key : each)));
    this.keep(() => localStorage.setItem(this.name, JSON.stringify(Object.fromEntries(this.chosen))));
    return null;
  }

  reset() {
    this.chosen = new Map(Object.entries(USUAL_KEYS));
    this.keep(() => localStorage.removeItem(this.name));
  }

  keep(write) {
    try {
      write();
    } catch { /* full or forbidden: it holds until the page is left */ }
  }

  /** What a key press asks for, or null if it is none of ours; digits where tiles have numbers. */
  actionOf(event, { tiles }) {
    if (event.defaultPrevented || event.isComposing || typing(event)) return null;
    const key = keyOf(event);
    if (event.ctrlKey || event.metaKey) {
      return key === "z" && !event.altKey && !event.shiftKey ? "undo" : null;
    }
    if (event.altKey) return null;
    if (event.shiftKey && key.length > 1) return PAN_KEYS[key] ?? null;
    if (event.shiftKey && /\p{L}/u.test(key)) return null;
    if (tiles > 0 && MARKS_TILE.test(key)) return `tile${key}`;
    return this.action(key);
  }

  close() {
    window.removeEventListener("storage", this.onStorage);
  }
}

/** The key of an event, as the maps name it; a letter of another script is the one in its place. */
function keyOf(event) {
  const foreign = event.key.length === 1 && event.key > "~";
  return foreign ? latin(event.code) : event.key.toLowerCase();
}

/** The letter at that place of a Latin keyboard, for keyboards that write another script. */
function latin(code) {
  return code.startsWith("Key") ? code.slice(3).toLowerCase() : "";
}

/** Whether the key goes to something that takes keys itself. */
function typing(event) {
  const target = event.composedPath()[0];
  if (!(target instanceof Element)) return false;
  return target.isContentEditable || target.closest(TAKES_KEYS) !== null;
}

/** Whether a key may be chosen: one character, or one of those that move nothing else. */
function allowed(key) {
  if (key in FIXED_KEYS || key === " ") return false;
  return key.length === 1 || key in KEY_SIGNS || /^f([1-9]|1[0-2])$/.test(key);
}

/** What stands on a key. */
function keySign(key) {
  return KEY_SIGNS[key] ?? (key.length === 1 ? key.toUpperCase() : keyName(key));
}

/** What a key is called. */
function keyName(key) {
  if (key.length === 1) return key === " " ? "Space" : key.toUpperCase();
  return KEY_NAMES[key] ?? key[0].toUpperCase() + key.slice(1);
}

/** A key as `aria-keyshortcuts` wants it. */
function keyCode(key) {
  const arrow = /^(arrow|page)(.)(.*)$/.exec(key);
  if (arrow) return `${arrow[1][0].toUpperCase()}${arrow[1].slice(1)}${arrow[2].toUpperCase()}${arrow[3]}`;
  return key.length === 1 ? key.toUpperCase() : key[0].toUpperCase() + key.slice(1);
}

const USUAL_KEYS = {
  dissimilar: ["f", "arrowleft", "0"],
  similar: ["j", "arrowright", "1"],
  unsure: ["u", "arrowdown"],
  skip: ["s", "arrowup"],
  undo: ["z", "backspace"],
  flag: ["n"],
  swap: ["x"],
  layout: ["g"],
  guide: ["i"],
};
const FIXED_KEYS = {
  "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", escape: "zoomReset", "?": "help",
};
const PAN_KEYS = {
  arrowleft: "panLeft", arrowright: "panRight", arrowup: "panUp", arrowdown: "panDown",
};
const KEY_SIGNS = {
  arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", backspace: "⌫", delete: "⌦",
  home: "⇱", end: "⇲", pageup: "⇞", pagedown: "⇟", insert: "Ins",
};
const KEY_NAMES = {
  arrowleft: "left arrow", arrowright: "right arrow", arrowup: "up arrow", arrowdown: "down arrow",
  pageup: "Page up", pagedown: "Page down",
};
const PANS = { panLeft: [0.1, 0], panRight: [-0.1, 0], panUp: [0, 0.1], panDown: [0, -0.1] };
const MARKS_TILE = /^[1-9]$/;
const MAY_REPEAT = /^(zoom|pan)/;
const TAKES_KEYS =
  "input, textarea, select, dialog[open], [role=dialog], [role=menu], [role=listbox], [role=combobox], [role=slider]";
