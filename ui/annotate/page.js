/*
 * The page: shows pairs, takes answers, undoes them.
 */
class Page {
  constructor(root, data, trigger) {
    this.root = root;
    this.scope = data.scope;
    this.leads = data.member.leads;
    this.trigger = trigger;
    this.generation = 0;
    this.current = null; // the pair on the screen
    this.painted = false; // whether anybody can have seen it
    this.progress = null;
    this.goal = null; // how far the round was when it was drawn last
    this.failure = null;
    this.troubled = false;
    this.replies = 0;
    this.paces_ms = [];
    this.view = new View(root);
    this.afterPaint = painter();
    this.history = new AnswerHistory(this.scope);
    this.api = new Api(data.member.id, () => this.trigger("token", Date.now()));
    this.outbox = new Outbox(this.scope, () => this.drawCounts());
    this.sender = this.makeSender();
    this.feed = this.makeFeed(data.pictures);
    this.zoom = new Zoom({
      frames: [this.view.el.frameA, this.view.el.frameB],
      stages: [this.view.el.stageA, this.view.el.stageB],
      onChange: (scale) => this.zoomed(scale),
    });
    this.listen();
    this.drawCounts();
    this.api.offerToken(data.token);
    this.start();
  }

  makeSender() {
    return new Sender({
      scope: this.scope,
      outbox: this.outbox,
      api: this.api,
      onState: (state, error) => this.sending(state, error),
      onReceipts: (reply) => this.receive(reply),
    });
  }

  makeFeed({ path, version }) {
    return new Feed({
      scope: this.scope,
      api: this.api,
      pictureUrl: (id, size_px) => `${path}/${id}?size=${size_px}&v=${version}`,
      current: () => this.current,
      answeredIds: () => this.outbox.proposalIds(),
      moment: () => (this.outbox.size === 0 ? this.replies : null),
      onChange: (error) => this.fed(error),
    });
  }

  async start() {
    try {
      await this.api.signIn();
    } catch (error) {
      this.fed(error); // the feed keeps trying, and asks for a new token then
    }
    this.sender.kick();
    this.feed.refill();
  }

  update(data, trigger) {
    this.trigger = trigger;
    this.api.offerToken(data.token);
  }

  listen() {
    this.stopping = new AbortController();
    const options = { signal: this.stopping.signal };
    window.addEventListener("keydown", (event) => this.key(event), { ...options, capture: true });
    for (const [name, button] of Object.entries(this.view.buttons)) {
      button.addEventListener("click", (event) => this.act(name, event), options);
    }
    document.addEventListener("visibilitychange", () => this.sender.kick(), options);
    const { panelButton, goal } = this.view.el;
    panelButton.addEventListener(
      "click", () => this.trigger("page", panelButton.dataset.page), options,
    );
    goal.addEventListener("click", () => this.trigger("page", "rounds"), options);
  }

  key(event) {
    const action = actionOf(event);
    if (action === null) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat && !MAY_REPEAT.test(action)) return; // a held key is one answer
    this.act(action, event);
  }

  act(action, event) {
    if (action in PANS) this.zoom.panBy(...PANS[action]);
    else if (action === "zoomIn") this.zoom.zoomBy(1.4);
    else if (action === "zoomOut") this.zoom.zoomBy(1 / 1.4);
    else if (action === "zoomReset") this.zoom.reset();
    else if (action === "dismiss") this.view.quiet();
    else if (action === "undo") this.undo();
    else this.answer(action, event.timeStamp);
  }

  /* ---- answers ---- */

  answer(kind, pressed_ms) {
    const item = this.current;
    if (item === null || !this.painted) return; // nobody answers what nobody has seen
    if (item.broken && kind !== "skip") {
      this.view.announce("This pair cannot be shown. Skip it.");
      return;
    }
    const { question } = item;
    const answer_ms = Math.max(0, Math.round(pressed_ms - item.painted_ms));
    const answer = entry(kind, question, { shown_at: item.shownAt, answer_ms });
    this.outbox.put(answer);
    this.history.push({ key: answer.key, kind, question });
    this.showNext();
    this.sendAfterPaint();
    this.view.flash(kind);
    this.keepPace(answer_ms);
    this.view.announce(`${WORDS[kind]}. ${this.where()} ${this.current?.question.reason ?? ""}`);
  }

  undo() {
    const last = this.history.pop();
    if (last === null) return;
    this.outbox.put(entry("void", last.question, { refers_to_key: last.key }));
    this.sendAfterPaint();
    if (this.current) this.feed.putBack(this.current);
    this.feed.putBack(this.feed.again(last.question));
    this.showNext(last.question.proposal_id);
    this.view.flash("undo");
    this.view.announce(`Undone: ${WORDS[last.kind]}. ${this.where()}`);
  }

  /** The next pair comes first: sending takes processor time that painting needs. */
  sendAfterPaint() {
    this.afterPaint(() => this.sender.kick());
  }

  receive(reply) {
    this.replies += 1;
    if (reply.progress) this.progress = reply.progress;
    this.feed.answersStored();
    const refused = reply.receipts.filter((receipt) => receipt.status === "rejected");
    if (refused.length > 0) this.view.notify(refusal(refused));
    if (reply.receipts.some((receipt) => receipt.conflict)) {
      this.view.notify(CONFLICT, { for_ms: CONFLICT_SHOWN_MS });
    }
  }

  sending(state, error) {
    const wasFailing = this.failing;
    this.troubled = state === "offline" || state === "error";
    this.failing = state === "error";
    this.view.state(state);
    if (this.failing) this.view.notify(notSaved(error));
    else if (wasFailing) this.view.quiet();
    this.view.unsent(this.outbox.size, this.troubled);
  }

  /* ---- pairs ---- */

  fed(error) {
    this.failure = error;
    if (this.feed.progress) this.progress = this.feed.progress;
    this.feed.progress = null;
    if (!error && this.view.el.state.dataset.state === "starting") this.view.state("saved");
    if (this.current === null) this.showNext(this.wanted);
    else this.drawCounts();
  }

  /** The next pair that is ready; or, where one is wanted back, only that. */
  showNext(wantedId = null) {
    this.wanted = wantedId;
    const item = this.feed.take(wantedId);
    if (item) this.show(item);
    else {
      this.current = null;
      this.drawCounts();
      const state = this.emptyState();
      this.view.panel(this.leads ? state : { ...state, page: undefined });
      this.feed.refillSoon();
    }
  }

  show(item) {
    this.current = item;
    this.painted = false;
    this.zoom.reset();
    this.view.pair(item);
    this.drawCounts();
    this.afterPaint(() => {
      if (this.current !== item) return;
      item.painted_ms = performance.now();
      item.shownAt = new Date().toISOString();
      this.painted = true;
    });
  }

  zoomed(scale) {
    this.view.zoom(scale);
    if (scale > SHARPEN_AT && this.current) this.sharpen(this.current);
  }

  /** Zoomed in, a thumbnail is not enough: fetch the large pictures and put them in its place. */
  async sharpen(item) {
    if (item.sharp || item.broken) return;
    if (Math.max(...item.images.map((image) => image.naturalWidth)) < SHOWN_PX) return;
    item.sharp = true;
    const ids = [item.question.a, item.question.b];
    const large = await Promise.all(ids.map((id) => decoded(this.feed.pictureUrl(id, LARGE_PX))));
    if (large.includes(null)) return;
    item.images = large;
    if (this.current === item) this.view.pair(item);
  }

  emptyState() {
    if (this.failure) return { title: this.failure.message, text: this.failure.hint || RETRYING };
    if (!this.feed.replied) return { title: "Loading the first pairs", text: "" };
    if (this.feed.items.length > 0) return LOADING_NEXT;
    if (this.progress === null) return NO_QUESTIONS;
    if (this.outbox.size > 0 || !this.feed.settled) return LOADING_NEXT; // answers may open more
    const left = this.progress.total - this.answered(); // spare ones included
    return left <= 0 ? roundDone(this.progress) : othersHaveTheRest(left);
  }

  answered() {
    const { answered, round_id: roundId, total } = this.progress;
    return Math.min(Math.max(answered + this.outbox.weight(roundId), 0), total);
  }

  where() {
    if (this.progress === null || this.current === null) return this.view.el.panelTitle.textContent;
    const place = this.answered() + 1;
    const { target } = this.progress;
    return place <= target ? `Pair ${place} of ${target}.` : `Further pair ${place - target}.`;
  }

  /** Draw counts and buttons once, however much has changed in this task. */
  drawCounts() {
    if (this.drawing) return;
    this.drawing = true;
    queueMicrotask(() => {
      this.drawing = false;
      this.drawCountsNow();
    });
  }

  drawCountsNow() {
    const shown = this.current !== null;
    this.view.can({
      answer: shown && !this.current.broken,
      skip: shown,
      undo: this.history.last()?.kind ?? null,
    });
    this.view.unsent(this.outbox.size, this.troubled);
    if (this.outbox.size > 0 && !this.outbox.durable) this.view.notify(NOT_DURABLE);
    if (this.progress === null) return;
    const { round_number: number, target, by_itself: byItself } = this.progress;
    const answered = this.answered();
    const { leads } = this;
    this.view.progress({ number, answered, target, goOn: shown, byItself, leads });
    if (!byItself && leads) this.tellGoal({ number, target, reached: answered >= target });
  }

  /** Once, when the round's own questions are answered while somebody looks. */
  tellGoal(now) {
    const before = this.goal;
    this.goal = now;
    if (!now.reached || before === null || before.reached || before.number !== now.number) return;
    this.view.notify(goalReached(now.target), { for_ms: GOAL_SHOWN_MS });
  }

  keepPace(answer_ms) {
    this.paces_ms = [...this.paces_ms.slice(-19), answer_ms];
    if (this.paces_ms.length < 5 || this.progress === null) return;
    const median_ms = [...this.paces_ms].sort((a, b) => a - b)[this.paces_ms.length >> 1];
    const left = this.progress.target - this.answered();
    if (left > 0) this.view.pace(median_ms, left);
  }

  close() {
    this.stopping.abort();
    this.sender.stop();
    this.feed.close();
    this.outbox.close();
    this.zoom.close();
    this.view.close();
  }
}

/** Runs a function in the first task after the next animation frame: what was shown is painted. */
function painter() {
  const channel = new MessageChannel();
  const waiting = [];
  channel.port1.onmessage = () => waiting.shift()();
  return (work) => requestAnimationFrame(() => {
    waiting.push(work);
    channel.port2.postMessage(null);
  });
}

/** One line of the answer log, as the server takes it. */
function entry(kind, question, more) {
  return {
    key: newKey(),
    kind,
    proposal_id: question.proposal_id,
    a: question.a,
    b: question.b,
    round_id: question.round_id,
    model: question.model,
    reason: question.reason,
    answered_at: new Date().toISOString(),
    ...more,
  };
}

const CONFLICT_SHOWN_MS = 6000;
const GOAL_SHOWN_MS = 10_000;
const SHARPEN_AT = 1.3;
const LARGE_PX = 2048;

/*
 * Streamlit calls this on every rerun with new data; the page object lives on. A cleanup of an
 * older call must not close the page that a newer call uses.
 */
const pages = new WeakMap();

export default function mount({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("section.annotate");
  let page = pages.get(parentElement);
  if (!page || page.root !== root || page.scope !== data.scope) {
    page?.close();
    page = new Page(root, data, setTriggerValue);
    pages.set(parentElement, page);
  } else page.update(data, setTriggerValue);
  page.generation += 1;
  const { generation } = page;
  return () => {
    if (page.generation !== generation) return;
    page.close();
    pages.delete(parentElement);
  };
}
