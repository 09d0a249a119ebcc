/*
 * What the server is asked for, in each layout, and how its reply is read; where pictures are.
 */
const SOURCES = {
  pairs: {
    path: "/api/pairs",
    ahead: 14, // half a minute of fast work, 28 MB of decoded pictures
    refillAt: 3, // ask for a few at a time, not for each one
    read: (reply) => reply.pairs,
    pictures: (question) => [question.a, question.b],
    leased: (question) => [question.proposal_id],
  },
  grid: {
    path: "/api/grids",
    ahead: 5,
    refillAt: 2,
    read: (reply) => reply.grids.map((grid) => ({ ...grid.questions[0], ...grid })),
    pictures: ({ image, questions }) => [image, ...questions.map((each) => other(each, image))],
    // Of a chain the first question is leased, and nobody else gets those that follow.
    leased: ({ chain, questions }) =>
      (chain ? questions.slice(0, 1) : questions).map((each) => each.proposal_id),
  },
};

/** The layout that was chosen last in this browser. */
function keptLayout(scope) {
  try {
    return localStorage.getItem(`${scope}.layout`) === "grid" ? "grid" : "pairs";
  } catch {
    return "pairs";
  }
}

/** Addresses of pictures, which a browser may keep for as long as it likes. */
function pictureUrls({ path, version }) {
  return (id, size_px) => `${path}/${id}?size=${size_px}&v=${version}`;
}

/** A picture that is decoded already, or null. */
async function decoded(url) {
  const image = new Image();
  image.draggable = false;
  image.src = url;
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  }
}

/** The ids that the server need not give: here, in other tabs, and answered but unsent. */
async function allHeld(tab, mine, unsent) {
  return [...new Set([...mine, ...await tab.heldElsewhere(), ...unsent])].slice(0, MOST_HELD);
}

/** The other image of a pair. */
function other({ a, b }, image) {
  return a === image ? b : a;
}

const MOST_HELD = 500;
const SHOWN_PX = 512;
