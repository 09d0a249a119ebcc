/* What the page says. */

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

/** Why a question is asked, and of how much its answer speaks. */
function about({ questions, reason, stands_for: pairs }) {
  if (questions) return `Mark what is similar to the large image. ${reason}`;
  if (!(pairs > 1)) return reason;
  return `${reason} Your answer counts for about ${pairs} pairs.`;
}

const SPREAD = "Similar images share their relations.";

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
const GONE = "Somebody else has that pair by now: here is another one.";
const WORDS = {
  similar: "Similar", dissimilar: "Different", unsure: "Unsure", skip: "Skip", flag: "Flag",
};
// What keys and buttons do, in full; the help lists them in this order.
const ACTIONS = {
  dissimilar: "Different",
  similar: "Similar",
  unsure: "Unsure",
  skip: "Skip this pair",
  undo: "Undo the last answer",
  flag: "Flag with a note",
  swap: "Swap the two images",
  layout: "Grid or pairs",
  guide: "Instructions",
  zoomIn: "Zoom in",
  zoomOut: "Zoom out",
  zoomReset: "Reset the zoom",
  help: "Keys and help",
};
const OTHER_KEYS = [
  ["Zoom all images together", "+  −, or the wheel; Esc for all of it"],
  ["Move zoomed images", "Shift and an arrow, or drag"],
  ["Mark a small image of the grid", "1 to 9, or a click; again for unsure"],
  ["Undo", "Ctrl Z, too"],
  ["This help", "?"],
];
const KEYS_CHANGED = "Kept in this browser.";
const KEYS_RESET = "All keys are as usual again.";
const PRESS_A_KEY = "Press the new key, or Escape to keep the old one.";
const GUIDE_CHANGED = "The instructions changed: look at them when you like.";
const FLAGGED = "Flagged. The lead will see it; undo takes it back.";
const STATES = {
  starting: "Starting",
  saved: "All answers saved",
  sending: "Saving",
  offline: "Offline, trying again",
  error: "Not saved, trying again",
};
