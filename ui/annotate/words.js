/* The keys of the page, and what it says. */

/** What a key press asks for, or null if it is none of ours. */
function actionOf(event) {
  if (event.defaultPrevented || event.isComposing || typing(event)) return null;
  const foreign = event.key.length === 1 && event.key > "~";
  const key = foreign ? latin(event.code) : event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    return key === "z" && !event.altKey && !event.shiftKey ? "undo" : null;
  }
  if (event.altKey) return null;
  if (event.shiftKey) return key === "+" ? "zoomIn" : PAN_KEYS[key] ?? null;
  return KEYS[key] ?? null;
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

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

function roundDone(progress) {
  if (progress.by_itself) return LEARNING;
  return {
    title: `Round ${progress.round_number} is done`,
    text: `All ${progress.total} pairs are answered. The next ones come when the model is trained.`,
    page: "rounds",
    label: "Go to Rounds",
  };
}

function goalReached(target) {
  return `You reached the round's ${plural(target, "question", "questions")}: train on Rounds, ` +
    "or go on, every answer counts.";
}

function othersHaveTheRest(left) {
  return {
    title: "Nothing to ask right now",
    text: `The last ${plural(left, "pair is", "pairs are")} open in another tab or with another ` +
      "person. This page looks again every few seconds.",
  };
}

function refusal(receipts) {
  const count = plural(receipts.length, "answer was", "answers were");
  return `${count} not accepted: ${receipts[0].message} A copy stays in this browser.`;
}

function notSaved(error) {
  return `${error.message} ${error.hint ?? ""} Your answers are kept here and sent again.`;
}

const NO_QUESTIONS = {
  title: "No questions yet",
  text: "The first questions are being prepared. This page looks again every few seconds.",
  page: "overview",
  label: "See how far it is",
};
const LEARNING = {
  title: "The model is learning",
  text: "It has every answer so far. The next pairs come by themselves in a moment.",
};
const LOADING_NEXT = { title: "Loading the next pair", text: "" };
const GOAL = "Every further answer counts";
const LEARNS_BY_ITSELF = "The model learns from these now: just go on";
const RETRYING = "Trying again every few seconds.";
const NOT_DURABLE =
  "This browser does not let the page keep answers: leave this tab open until all are sent.";
const CONFLICT = "That answer contradicts earlier ones. Both are kept for review.";
const WORDS = { similar: "Similar", dissimilar: "Different", unsure: "Unsure", skip: "Skip" };
const STATES = {
  starting: "Starting",
  saved: "All answers saved",
  sending: "Saving",
  offline: "Offline, trying again",
  error: "Not saved, trying again",
};
const KEYS = {
  f: "dissimilar", arrowleft: "dissimilar", 0: "dissimilar",
  j: "similar", arrowright: "similar", 1: "similar",
  u: "unsure", arrowdown: "unsure",
  s: "skip", arrowup: "skip",
  z: "undo", backspace: "undo",
  "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", escape: "zoomReset",
};
const PAN_KEYS = {
  arrowleft: "panLeft", arrowright: "panRight", arrowup: "panUp", arrowdown: "panDown",
};
const PANS = { panLeft: [0.1, 0], panRight: [-0.1, 0], panUp: [0, 0.1], panDown: [0, -0.1] };
const MAY_REPEAT = /^(zoom|pan)/;
const TAKES_KEYS =
  "input, textarea, select, [role=dialog], [role=menu], [role=listbox], [role=combobox], [role=slider]";
