/*
 * The first questions, asked for by the page's HTML while the rest of the page still loads. The
 * component takes over what came; leases and tabs are as if it had asked itself.
 */
class FirstQuestions {
  constructor({ scope, member, token, pictures }) {
    this.scope = scope;
    this.layout = keptLayout(scope);
    this.started_ms = performance.now();
    this.tab = claimTab(scope);
    this.pictures = new Map(); // of the first question: address -> promise of a decoded picture
    this.api = new Api(member.id, () => { throw new ApiError(401, "Only one token.", ""); });
    this.api.offerToken(token);
    this.pictureUrl = pictureUrls(pictures);
    this.signedIn = this.api.signIn().then(() => true, () => false);
    this.reply = this.ask().catch(() => null); // the component asks again, and says what is wrong
    this.expiry = setTimeout(() => this.close(), FRESH_MS); // the reader went to another page
  }

  async ask() {
    if (!await this.signedIn) return null;
    return this.tab.inTurn(() => this.fetch(SOURCES[this.layout]));
  }

  async fetch(source) {
    const held = await allHeld(this.tab, [], unsentIds(this.scope));
    const reply = await this.api.post(source.path, { count: source.ahead, held });
    const questions = source.read(reply);
    this.tab.write(questions.flatMap((each) => source.leased(each)));
    for (const id of questions.slice(0, 1).flatMap(source.pictures)) {
      const url = this.pictureUrl(id, SHOWN_PX);
      this.pictures.set(url, decoded(url));
    }
    return reply;
  }

  isFor(scope) {
    return this.scope === scope && performance.now() - this.started_ms < FRESH_MS;
  }

  /** From now on the tab's place is the component's to give up. */
  handOver() {
    clearTimeout(this.expiry);
    return this;
  }

  close() {
    this.tab.leave();
  }
}

function unsentIds(scope) {
  const outbox = new Outbox(scope, () => {});
  outbox.close();
  return outbox.proposalIds();
}

const FRESH_MS = 60_000; // its leases last for longer
