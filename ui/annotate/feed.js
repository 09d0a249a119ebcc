/*
 * Questions ahead of the annotator: fetched and decoded before they are offered, so that showing the
 * next one needs nothing but memory. The source says what a question is: see `pairs.js`.
 */
class Feed {
  constructor({ scope, source, api, pictureUrl, current, answeredIds, moment, onChange, onGone }) {
    Object.assign(this, { scope, source, api, pictureUrl, current, answeredIds, moment });
    Object.assign(this, { onChange, onGone });
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
    this.renewed_ms = Date.now(); // when the server last heard what is held here
    this.noticed_ms = Date.now(); // when somebody was here
    this.watching = setInterval(() => this.watch(), WATCH_MS);
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
    return items.flatMap((item) => this.source.leased(item.question));
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
    const wanted = this.source.ahead - this.items.length;
    if (wanted < this.source.refillAt) return;
    await this.ask(wanted);
  }

  /**
   * Somebody is here. Leases are renewed with every request; where none was made for minutes, as
   * nobody answered or the computer slept, this asks for nothing else, and what others got meanwhile
   * goes. Where nobody is here leases run out, so that a forgotten tab keeps no pairs from others.
   */
  noticed() {
    this.noticed_ms = Date.now();
    this.renewIfDue();
  }

  watch() {
    if (Date.now() - this.noticed_ms < AWAY_MS) this.renewIfDue();
  }

  renewIfDue() {
    if (Date.now() - this.renewed_ms < RENEW_MS || this.refilling || this.stopped) return;
    if (this.heldIds().length > 0) this.ask(0);
  }

  async ask(wanted) {
    this.refilling = true;
    try {
      await this.tab.inTurn(() => this.fetchMore(wanted));
    } catch (error) {
      this.renewed_ms = Date.now() - RENEW_MS + WATCH_MS; // due again then, not at once
      this.onChange(error);
      this.refillSoon(RETRY_MS);
    } finally {
      this.refilling = false;
    }
  }

  async fetchMore(wanted) {
    const held = await allHeld(this.tab, this.heldIds(), this.answeredIds());
    const before = this.moment();
    const { stored } = this;
    const shown = this.current();
    const reply = await this.api.post(this.source.path, { count: wanted, held });
    this.renewed_ms = Date.now();
    this.replied = true;
    const current = before !== null && before === this.moment(); // no answer went in between
    if (current) this.progress = reply.progress;
    this.settled = current;
    this.drop(reply.settled);
    if (wanted === 0) this.dropShown(shown, reply.settled);
    const known = new Set([...this.heldIds(), ...this.answeredIds()]);
    const fresh = this.source.read(reply).filter((each) => !known.has(each.proposal_id));
    await this.loadAll(fresh);
    if (this.stopped) return;
    this.tab.write(this.heldIds());
    this.emptyReplies = fresh.length < Math.min(wanted, 1) ? this.emptyReplies + 1 : 0;
    this.onChange(null);
    if (wanted === 0) this.refillSoon(); // in place of what went
    else if (fresh.length < wanted) {
      const dry = this.items.length === 0;
      const wait_ms = dry ? Math.min(1000 * 2 ** this.emptyReplies, LONGEST_POLL_MS) : RETRY_MS;
      this.refillSoon(stored === this.stored ? wait_ms : 0);
    }
  }

  /** Forget pairs ahead that are others' or answered by now; what an undo brought back stays. */
  drop(settledIds) {
    this.items = this.items.filter((item) => !this.isGone(item, settledIds));
  }

  /** The pair on the screen, too, where nobody touched it for minutes and others have it now. */
  dropShown(shown, settledIds) {
    if (shown === null || shown !== this.current() || !this.isGone(shown, settledIds)) return;
    this.onGone(shown);
  }

  isGone(item, settledIds) {
    if (item.broughtBack) return false;
    return this.source.leased(item.question).some((each) => settledIds.includes(each));
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

  load(question) {
    const item = { question, images: [], ready: false, broken: "" };
    item.loading = Promise.all(this.source.pictures(question).map((id) => this.loadPicture(id, item)))
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
    clearInterval(this.watching);
    this.tab.leave();
  }
}

const ALONE_MS = 300;
const AFTER_PAINT_MS = 60; // loading takes processor time that painting needs
const WATCH_MS = 15_000;
const AWAY_MS = 600_000;
const RENEW_MS = 240_000; // leases last for a quarter of an hour
const KEPT_FOR_UNDO = 12;
const RETRY_MS = 2000;
const LONGEST_POLL_MS = 8000;
