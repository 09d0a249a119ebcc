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
    this.onPainted = () => {};
    this.failure = null;
    this.troubled = false;
    this.replies = 0;
    this.view = new View(root);
    this.afterPaint = painter();
    this.keymap = new Keymap(this.scope, () => this.drawKeys());
    this.pictureUrl = pictureUrls(data.pictures);
    this.sheets = this.makeSheets();
    this.layouts = {
      pairs: new PairLayout({ view: this.view, pictureUrl: this.pictureUrl }),
      grid: new GridLayout({ view: this.view, pictureUrl: this.pictureUrl }),
    };
    this.layout = this.layouts[keptLayout(this.scope)];
    this.history = new AnswerHistory(this.scope);
    this.api = new Api(data.member.id, () => this.trigger("token", Date.now()));
    this.outbox = new Outbox(this.scope, () => this.drawCounts());
    this.meter = new Meter({ view: this.view, outbox: this.outbox, leads: this.leads });
    this.sender = this.makeSender();
    this.feed = this.makeFeed();
    this.listen();
    this.view.layout(this.layout);
    this.drawKeys();
    this.drawCounts();
    this.update(data, trigger);
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

  makeSheets() {
    const { keySheet, flagSheet, guideSheet } = this.view.el;
    const { keymap, scope, pictureUrl } = this;
    return {
      guide: new GuideSheet({ dialog: guideSheet, scope, pictureUrl }),
      help: new KeySheet({ dialog: keySheet, keymap, onChange: () => this.drawKeys() }),
      flag: new FlagSheet({ dialog: flagSheet, onFlag: (...flag) => this.flag(...flag) }),
    };
  }

  makeFeed() {
    return new Feed({
      scope: this.scope,
      source: this.layout.source,
      api: this.api,
      pictureUrl: this.pictureUrl,
      current: () => this.current,
      answeredIds: () => this.outbox.proposalIds(),
      moment: () => (this.outbox.size === 0 ? this.replies : null),
      onChange: (error) => this.fed(error),
      onGone: () => this.gone(),
    });
  }

  async start() {
    try {
      await this.api.signIn();
    } catch (error) {
      this.fed(error); // the feed keeps trying, and asks for a new token then
    }
    if (this.stopping.signal.aborted) return; // closed meanwhile
    this.sheets.guide.openIfNew(); // its pictures need the session
    this.sender.kick();
    this.feed.refill();
  }

  update(data, trigger) {
    this.trigger = trigger;
    this.api.offerToken(data.token);
    this.view.buttons.guide.hidden = data.guide === null;
    if (this.sheets.guide.take(data.guide)) this.view.notify(GUIDE_CHANGED);
  }

  listen() {
    this.stopping = new AbortController();
    const options = { signal: this.stopping.signal };
    window.addEventListener("keydown", (event) => this.key(event), { ...options, capture: true });
    for (const [name, button] of Object.entries(this.view.buttons)) {
      button.addEventListener("click", (event) => this.act(name, event), options);
    }
    document.addEventListener("visibilitychange", () => this.sender.kick(), options);
    for (const sign of ["keydown", "pointermove", "focus"]) {
      window.addEventListener(sign, () => this.feed.noticed(), { ...options, capture: true });
    }
    const { panelButton, goal } = this.view.el;
    panelButton.addEventListener(
      "click", () => this.trigger("page", panelButton.dataset.page), options,
    );
    goal.addEventListener("click", () => this.trigger("page", "rounds"), options);
  }

  key(event) {
    if (Object.values(this.sheets).some((sheet) => sheet.dialog.open)) return;
    const action = this.keymap.actionOf(event, this.layout);
    if (action === null) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat && !MAY_REPEAT.test(action)) return; // a held key is one answer
    this.act(action, event);
  }

  act(action, event) {
    if (action === "help" || action === "guide") this.sheets[action].open();
    else if (action === "dismiss") this.view.quiet();
    else if (action === "undo") this.undo();
    else if (action === "flag") this.askFlag();
    else if (action === "layout") this.changeLayout(this.layout.tiles > 0 ? "pairs" : "grid");
    else if (!this.layout.act(action)) this.answer(action, event.timeStamp);
  }

  drawKeys() {
    this.view.keys(this.keymap, this.layout);
  }

  /** One pair at a time, or several: what was fetched for the one comes again for the other. */
  changeLayout(name) {
    this.feed.close();
    this.layout.clear();
    this.current = null;
    this.layout = this.layouts[name];
    try {
      localStorage.setItem(`${this.scope}.layout`, name);
    } catch { /* full or forbidden: it holds until the page is left */ }
    this.view.layout(this.layout);
    this.drawKeys();
    this.feed = this.makeFeed();
    this.showNext();
    this.feed.refill();
  }

  /* ---- answers ---- */

  answer(kind, pressed_ms) {
    const item = this.current;
    if (item === null || !this.painted) return; // nobody answers what nobody has seen
    if (this.layout.isBroken(item) && kind !== "skip") {
      this.view.announce("This pair cannot be shown. Skip it.");
      return;
    }
    const answers = this.layout.answers(kind);
    const answer_ms = Math.max(0, Math.round((pressed_ms - item.painted_ms) / answers.length));
    const given = answers.map(([question, said]) => {
      const answer = entry(said, question, { shown_at: item.shownAt, answer_ms });
      this.outbox.put(answer);
      return { key: answer.key, question };
    });
    this.history.push({ kind, question: item.question, given });
    this.showNext();
    this.sendAfterPaint();
    this.view.flash(kind);
    this.meter.keepPace(answer_ms);
    this.view.announce(`${WORDS[kind]}. ${this.where()} ${this.current?.question.reason ?? ""}`);
  }

  askFlag() {
    if (this.current === null) return;
    this.sheets.flag.open(this.current.question, this.layout.subjects());
  }

  /** Something is odd: the question stays, to be answered or skipped. */
  flag(question, { a, b, note }) {
    const made = flagEntry("flag", { a, b, note, question });
    this.outbox.put(made);
    this.history.push({ kind: "flag", question, given: [{ key: made.key, a, b }] });
    this.sendAfterPaint();
    this.view.announce(FLAGGED);
    this.view.notify(FLAGGED, { for_ms: FLAGGED_SHOWN_MS });
  }

  undo() {
    const last = this.history.pop();
    if (last === null) return;
    if (last.kind === "flag") this.takeFlagBack(last);
    else this.takeAnswersBack(last);
    this.sendAfterPaint();
    this.view.flash("undo");
    this.view.announce(`Undone: ${WORDS[last.kind]}. ${this.where()}`);
  }

  takeFlagBack({ question, given: [{ key, a, b }] }) {
    this.outbox.put(flagEntry("unflag", { a, b, question, refers_to_key: key }));
    this.drawCounts();
  }

  takeAnswersBack(last) {
    const name = last.question.questions ? "grid" : "pairs"; // where it was answered
    if (this.layout !== this.layouts[name]) this.changeLayout(name);
    for (const { key, question } of last.given.toReversed()) {
      this.outbox.put(entry("void", question, { refers_to_key: key }));
    }
    if (this.current) this.feed.putBack(this.current);
    this.feed.putBack(this.feed.again(last.question));
    this.showNext(last.question.proposal_id);
  }

  /** The next pair comes first: sending takes processor time that painting needs. */
  sendAfterPaint() {
    this.afterPaint(() => this.sender.kick());
  }

  receive(reply) {
    this.replies += 1;
    if (reply.progress) this.meter.progress = reply.progress;
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
    if (this.feed.progress) this.meter.progress = this.feed.progress;
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
      this.layout.clear();
      this.drawCounts();
      const state = this.emptyState();
      this.view.panel(this.leads ? state : { ...state, page: undefined });
      this.feed.refillSoon();
    }
  }

  show(item) {
    this.current = item;
    this.painted = false;
    this.layout.show(item);
    this.drawCounts();
    this.afterPaint(() => {
      if (this.current !== item) return;
      item.painted_ms = performance.now();
      item.shownAt = new Date().toISOString();
      this.painted = true;
      this.onPainted();
    });
  }

  /** Nobody was here for minutes, and what stands here is before somebody else by now. */
  gone() {
    this.showNext();
    this.view.notify(GONE, { for_ms: CONFLICT_SHOWN_MS });
  }

  emptyState() {
    if (this.failure) return { title: this.failure.message, text: this.failure.hint || RETRYING };
    if (!this.feed.replied) return { title: "Loading the first pairs", text: "" };
    if (this.feed.items.length > 0) return LOADING_NEXT;
    const { meter } = this;
    if (meter.progress === null) return NO_QUESTIONS;
    if (this.outbox.size > 0 || !this.feed.settled) return LOADING_NEXT; // answers may open more
    const left = meter.progress.total - meter.answered(); // spare ones included
    return left <= 0 ? roundDone(meter.progress) : othersHaveTheRest(left);
  }

  where() {
    return (this.current && this.meter.where()) ?? this.view.el.panelTitle.textContent;
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
      answer: shown && !this.layout.isBroken(this.current),
      skip: shown,
      undo: this.history.last()?.kind ?? null,
    });
    this.view.unsent(this.outbox.size, this.troubled);
    if (this.outbox.size > 0 && !this.outbox.durable) this.view.notify(NOT_DURABLE);
    this.meter.draw(shown);
  }

  close() {
    this.stopping.abort();
    this.sender.stop();
    this.feed.close();
    this.outbox.close();
    this.keymap.close();
    for (const layout of Object.values(this.layouts)) layout.close();
    this.view.close();
  }
}

const FLAGGED_SHOWN_MS = 4000;
const CONFLICT_SHOWN_MS = 6000;
