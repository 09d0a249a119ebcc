/*
 * Answers and flags that the server has not acknowledged yet.
 *
 * Each answer is one entry of localStorage, written before anything is sent: a reload, a crash or
 * a lost connection loses none, and tabs of one browser share the list without overwriting each
 * other. Names of entries sort by time, so that an answer is always sent before its undo; an
 * entry of a later time than the clock's (it was set back) pushes all that follow behind it.
 */
class Outbox {
  constructor(scope, onChange) {
    this.prefix = `${scope}.out.`;
    this.refusedPrefix = `${scope}.refused.`;
    this.onChange = onChange;
    this.entries = new Map(); // name -> answer
    this.durable = true;
    this.lastStamp = 0;
    this.onStorage = (event) => this.followOtherTab(event);
    window.addEventListener("storage", this.onStorage);
    this.load();
  }

  load() {
    try {
      for (let at = 0; at < localStorage.length; at += 1) {
        const name = localStorage.key(at);
        if (name.startsWith(this.prefix)) this.remember(name, localStorage.getItem(name));
      }
    } catch {
      this.durable = false;
    }
  }

  remember(name, text) {
    try {
      this.entries.set(name, JSON.parse(text));
    } catch {
      localStorage.removeItem(name); // not ours: we only write whole entries
      return;
    }
    this.lastStamp = Math.max(this.lastStamp, this.stampOf(name));
  }

  stampOf(name) {
    return Number(name.slice(this.prefix.length).split(".", 1)[0]) || 0;
  }

  followOtherTab(event) {
    if (event.key === null) return; // storage cleared by hand: keep what this tab still knows
    if (!event.key.startsWith(this.prefix)) return;
    if (event.newValue === null) this.entries.delete(event.key);
    else this.remember(event.key, event.newValue);
    this.onChange();
  }

  put(answer) {
    this.lastStamp = Math.max(Date.now(), this.lastStamp + 1);
    const name = `${this.prefix}${String(this.lastStamp).padStart(STAMP_DIGITS, "0")}.${answer.key}`;
    this.entries.set(name, answer);
    try {
      localStorage.setItem(name, JSON.stringify(answer));
    } catch {
      this.durable = false;
    }
    this.onChange();
  }

  /** The oldest entries that go to one address, [[name, answer], …]. */
  first(count) {
    const names = [...this.entries.keys()].sort().slice(0, count);
    const oldest = names.map((name) => [name, this.entries.get(name)]);
    const other = oldest.findIndex(([, answer]) => isFlag(answer) !== isFlag(oldest[0][1]));
    return other < 0 ? oldest : oldest.slice(0, other);
  }

  remove(names) {
    for (const name of names) {
      this.entries.delete(name);
      try {
        localStorage.removeItem(name);
      } catch {
        this.durable = false;
      }
    }
    this.onChange();
  }

  /** Take an entry that the server will never accept out of the way, without losing it. */
  setAside(name) {
    const answer = this.entries.get(name);
    try {
      localStorage.setItem(this.refusedPrefix + answer.key, JSON.stringify(answer));
    } catch {
      this.durable = false;
    }
    this.remove([name]);
  }

  /** By how much the answers here will change the answered pairs of a round. */
  weight(roundId) {
    let weight = 0;
    for (const answer of this.entries.values()) {
      if (answer.round_id === roundId && !isFlag(answer)) weight += answer.kind === "void" ? -1 : 1;
    }
    return weight;
  }

  get size() {
    return this.entries.size;
  }

  proposalIds() {
    const given = [...this.entries.values()].filter((answer) => !isFlag(answer));
    return given.map((answer) => answer.proposal_id);
  }

  close() {
    window.removeEventListener("storage", this.onStorage);
  }
}

/*
 * Sends the outbox in the background, oldest first, one tab at a time (Web Locks), and tries again
 * for as long as it takes. Idempotency keys make a second sending harmless.
 */
class Sender {
  constructor({ scope, outbox, api, onState, onReceipts }) {
    Object.assign(this, { outbox, api, onState, onReceipts });
    this.lockName = `${scope}.send`;
    this.batch = SEND_AT_ONCE;
    this.failures = 0;
    this.running = false;
    this.stopped = false;
    this.wake = null;
    this.onOnline = () => this.retryNow();
    window.addEventListener("online", this.onOnline);
  }

  /** Send soon; returns at once. */
  kick() {
    if (this.running || this.stopped || this.outbox.size === 0) return;
    this.running = true;
    this.exclusively(() => this.drain())
      .catch((error) => this.onState("error", { message: String(error), hint: "" }))
      .finally(() => {
        this.running = false;
        if (this.outbox.size > 0 && !this.stopped) setTimeout(() => this.kick(), 200);
      });
  }

  retryNow() {
    this.failures = 0;
    if (this.wake) this.wake();
    else this.kick();
  }

  exclusively(work) {
    return navigator.locks ? navigator.locks.request(this.lockName, work) : work();
  }

  async drain() {
    while (this.outbox.size > 0 && !this.stopped) {
      if (this.failures === 0) this.onState("sending");
      const entries = this.outbox.first(this.batch);
      try {
        const reply = await this.api.post(...requestOf(entries.map(([, answer]) => answer)));
        this.settle(entries, reply);
        this.failures = 0;
        this.batch = SEND_AT_ONCE;
      } catch (error) {
        await this.afterFailure(error, entries);
      }
    }
    if (this.outbox.size === 0) this.onState("saved");
  }

  settle(entries, reply) {
    const statuses = new Map(reply.receipts.map((receipt) => [receipt.key, receipt.status]));
    const named = (wanted) =>
      entries.filter(([, answer]) => wanted(statuses.get(answer.key))).map(([name]) => name);
    const refused = named((status) => status === "rejected");
    const stored = named((status) => status === "stored" || status === "repeated");
    if (refused.length + stored.length === 0) throw new ApiError(500, "No receipt came back.", "");
    this.onReceipts(reply);
    for (const name of refused) this.outbox.setAside(name);
    this.outbox.remove(stored);
  }

  async afterFailure(error, entries) {
    if (error.status === 413 || error.status === 422) {
      if (entries.length > 1) {
        this.batch = 1; // find the one at fault; the others go through
        return;
      }
      this.outbox.setAside(entries[0][0]);
      this.batch = SEND_AT_ONCE;
      this.onReceipts({ receipts: [{ key: "", status: "rejected", message: error.message }] });
      return;
    }
    this.failures += 1;
    this.onState(error.status === 0 ? "offline" : "error", error);
    await this.pause(Math.min(500 * 2 ** (this.failures - 1), LONGEST_RETRY_MS));
  }

  pause(wait_ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(done, wait_ms);
      const self = this;
      function done() {
        clearTimeout(timer);
        self.wake = null;
        resolve();
      }
      this.wake = done;
    });
  }

  stop() {
    this.stopped = true;
    window.removeEventListener("online", this.onOnline);
    if (this.wake) this.wake();
  }
}

/** Flags wait here with the answers, and go to an address of their own. */
function isFlag(answer) {
  return FLAG_KINDS.includes(answer.kind);
}

/** Where these go, and in which words: answers, or flags. */
function requestOf(answers) {
  if (!isFlag(answers[0])) return ["/api/answers", { answers }];
  return ["/api/flags", { flags: answers }];
}

const FLAG_KINDS = ["flag", "unflag"];
const STAMP_DIGITS = 14; // milliseconds for three thousand years
const SEND_AT_ONCE = 50; // about 20 kB: browsers keep such a request alive when a page closes
const LONGEST_RETRY_MS = 10000;
