// Pictures of the archive in a page: one session for all of them, then plain cacheable URLs.
const RENEW_MS = 10 * 60 * 1000; // well within the life of the cookie
const session = { openedAt: -Infinity, opened: Promise.resolve() };

function openSession(token) {
  if (performance.now() - session.openedAt < RENEW_MS) return session.opened;
  session.openedAt = performance.now();
  session.opened = exchange(token).catch(() => { session.openedAt = -Infinity; });
  return session.opened;
}

async function exchange(token) {
  const reply = await fetch("/api/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (!reply.ok) throw new Error(`session: ${reply.status}`);
}

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text; // never markup: names come from files
  return node;
}

// The path of a file; what is cut off for want of room is its folder, which many have in common.
function makeCaption(tag, path) {
  const caption = make(tag, "caption");
  const cut = path.lastIndexOf("/") + 1;
  if (cut > 0) caption.append(make("span", "folder", path.slice(0, cut)));
  caption.append(make("span", "file", path.slice(cut)));
  return caption;
}

function makePicture(imageId, words, access, size = 256) {
  const frame = make("span", "frame");
  const picture = make("img");
  picture.alt = words;
  picture.loading = "lazy";
  picture.decoding = "async";
  picture.addEventListener("error", () => frame.classList.add("missing"));
  const url = `/api/images/${Number(imageId)}?size=${size}&v=${encodeURIComponent(access.version)}`;
  openSession(access.token).then(() => { picture.src = url; });
  frame.append(picture);
  return frame;
}
