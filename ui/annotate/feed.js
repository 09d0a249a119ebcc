/*
 * Pairs ahead of the annotator: fetched and decoded before they are offered, so that showing the
 * next one needs nothing but memory.
 */
class Feed {
  constructor({ scope, api, pictureUrl, current, answeredIds, moment, onChange }) {
    Object.assign(this, { scope, api, pictureUrl, current, answeredIds, moment, onChange });
    this.items = []; // in the order they are to be shown
    this.recent = new Map(); // proposal id -> item shown lately, for undo
    this.refilling = false;
    this.stopped = false;
    this.timer = 0;
    this.emptyReplies = 0;
    this.progress = null; // news from the server for the page to take
    this.replied = false; // whether the server has answered at all
    this.stored = 0; // how often answers were stored
    this.settled = false; // whether the newest reply knew of all answers
    this.tab = claimTab(scope);
  }

  /** The next decoded pair, or the wanted one; null if it is not there; the caller holds it. */
  take(wantedId = null) {
    const fits = (item) => wantedId === null || item.question.proposal_id === wantedId;
    const at = this.items.findIndex((item) => item.ready && fits(item));
    if (at < 0) return null;
    const [item] = this.items.splice(at, 1);
    this.keepRecent(item);
    this.refillSoon(AFTER_PAINT_MS);
    return item;
  }

  putBack(item) {
    this.items.unshift(item);
  }

  /** A pair shown before, at once if its images are still here. */
  again(question) {
    const item = this.recent.get(question.proposal_id) ?? this.queuedOrLoaded(question);
    item.broughtBack = true;
    this.keepRecent(item);
    return item;
  }

  queuedOrLoaded(question) {
    const at = this.items.findIndex((item) => item.question.proposal_id === question.proposal_id);
    return at < 0 ? this.load(question) : this.items.splice(at, 1)[0];
  }

  keepRecent(item) {
    this.recent.delete(item.question.proposal_id);
    this.recent.set(item.question.proposal_id, item);
    if (this.recent.size > KEPT_FOR_UNDO) this.recent.delete(this.recent.keys().next().value);
  }

  heldIds() {
    const items = [...this.items, this.current() ?? []].flat();
    return items.map((item) => item.question.proposal_id);
  }

  refillSoon(wait_ms = 0) {
    clearTimeout(this.timer);
    if (this.stopped) return;
    this.timer = setTimeout(() => this.refill(), wait_ms);
  }

  /** Answers are stored: they may open further questions, or close the last. */
  answersStored() {
    this.stored += 1;
    this.settled = false;
    this.emptyReplies = 0;
    if (this.items.length === 0) this.refillSoon();
  }

  async refill() {
    if (this.refilling || this.stopped) return;
    const wanted = AHEAD - this.items.length;
    if (wanted < REFILL_AT) return;
    this.refilling = true;
    try {
      await this.tab.inTurn(() => this.fetchMore(wanted));
    } catch (error) {
      this.onChange(error);
      this.refillSoon(RETRY_MS);
    } finally {
      this.refilling = false;
    }
  }

  async fetchMore(wanted) {
    const held = await this.allHeld();
    const before = this.moment();
    const { stored } = this;
    const reply = await this.api.post("/api/pairs", { count: wanted, held });
    this.replied = true;
    const current = before !== null && before === this.moment(); // no answer went in between
    if (current) this.progress = reply.progress;
    this.settled = current;
    this.drop(reply.settled);
    const known = new Set([...this.heldIds(), ...this.answeredIds()]);
    const fresh = reply.pairs.filter((pair) => !known.has(pair.proposal_id));
    await this.loadAll(fresh);
    this.tab.write(this.heldIds());
    this.emptyReplies = fresh.length === 0 ? this.emptyReplies + 1 : 0;
    this.onChange(null);
    if (fresh.length < wanted) {
      const dry = this.items.length === 0;
      const wait_ms = dry ? Math.min(1000 * 2 ** this.emptyReplies, LONGEST_POLL_MS) : RETRY_MS;
      this.refillSoon(stored === this.stored ? wait_ms : 0);
    }
  }

  /** Forget pairs ahead that others have answered meanwhile; what an undo brought back stays. */
  drop(settledIds) {
    const settled = new Set(settledIds);
    this.items = this.items.filter(
      (item) => item.broughtBack || !settled.has(item.question.proposal_id),
    );
  }

  /** Start loading pairs; where the screen is empty, the first one gets the connection alone. */
  async loadAll(questions) {
    for (const question of questions) {
      const item = this.load(question);
      this.items.push(item);
      if (this.current() !== null || this.items.length > 1) continue;
      await Promise.race([item.loading, new Promise((resolve) => setTimeout(resolve, ALONE_MS))]);
    }
  }

  /** Ids held by this tab and by the other live tabs of this browser, and answered but unsent. */
  async allHeld() {
    const mine = this.heldIds();
    const others = await this.tab.heldElsewhere();
    return [...new Set([...mine, ...others, ...this.answeredIds()])].slice(0, MOST_HELD);
  }

  load(question) {
    const item = { question, images: [], ready: false, broken: "" };
    item.loading = Promise.all([question.a, question.b].map((id) => this.loadPicture(id, item)))
      .then((images) => {
        item.images = images;
        item.ready = true;
        if (!this.stopped) this.onChange(null);
      });
    return item;
  }

  /** A decoded picture, or null where the server says that there is none. */
  async loadPicture(id, item) {
    const url = this.pictureUrl(id, SHOWN_PX);
    for (let attempt = 0; !this.stopped; attempt += 1) {
      const image = await decoded(url);
      if (image) return image;
      const refusal = await this.whyNot(url);
      if (refusal) {
        item.broken = refusal;
        return null;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(300 * 2 ** attempt, 5000)));
    }
    return null;
  }

  /** The server's words if it refuses a picture for good; null if trying again may help. */
  async whyNot(url) {
    try {
      const response = await fetch(url, { credentials: "same-origin" });
      if (response.status === 401) await this.api.signIn();
      if (response.ok || response.status === 401 || response.status >= 500) return null;
      return readError(response.status, await response.text()).message;
    } catch {
      return null;
    }
  }

  close() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.tab.leave();
  }
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

/*
 * A tab's list of held pairs, for the other tabs to see: two tabs of one person get different
 * pairs. A tab is alive while it holds its lock; where locks are missing, each tab sees its own.
 */
function claimTab(scope) {
  const prefix = `${scope}.tab.`;
  const name = prefix + newKey();
  let release = () => {};
  if (navigator.locks) {
    navigator.locks.request(name, () => new Promise((resolve) => { release = resolve; }));
  }
  const write = (ids) => {
    try {
      localStorage.setItem(name, JSON.stringify(ids));
    } catch { /* full or forbidden: the other tabs then do not see this one's pairs */ }
  };
  const read = (other) => {
    try {
      return JSON.parse(localStorage.getItem(other) ?? "[]");
    } catch {
      return [];
    }
  };
  return {
    write,
    /** One tab asks at a time, so that it sees what the others got. */
    inTurn(work) {
      return navigator.locks ? navigator.locks.request(`${scope}.ask`, work) : work();
    },
    async heldElsewhere() {
      if (!navigator.locks) return [];
      const live = new Set((await navigator.locks.query()).held.map((lock) => lock.name));
      const tabs = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
      const gone = tabs.filter((tab) => !live.has(tab) && tab !== name);
      for (const tab of gone) localStorage.removeItem(tab);
      return tabs.filter((tab) => live.has(tab) && tab !== name).flatMap(read);
    },
    leave() {
      release();
      try {
        localStorage.removeItem(name);
      } catch { /* nothing was written there */ }
    },
  };
}

const ALONE_MS = 300;
const AFTER_PAINT_MS = 60; // loading takes processor time that painting needs
const AHEAD = 14; // pairs kept ready: half a minute of fast work, 28 MB of decoded pictures
const REFILL_AT = 3; // ask for a few at a time, not for each one
const KEPT_FOR_UNDO = 12;
const MOST_HELD = 500;
const SHOWN_PX = 512;
const RETRY_MS = 2000;
const LONGEST_POLL_MS = 8000;
