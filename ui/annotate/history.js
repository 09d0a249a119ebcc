/*
 * What was done in this tab's session, newest last, for undo: one entry of sessionStorage each, so
 * that a reload keeps them and an answer costs the same after thousands. An entry has the question
 * that was shown and the answers given to it, {kind, question, given: [{key, question}]}.
 */
class AnswerHistory {
  constructor(scope) {
    this.prefix = `${scope}.did.`;
    this.memory = []; // where the storage is full or forbidden
    this.length = 0;
    while (this.read(this.length) !== null) this.length += 1;
  }

  read(at) {
    try {
      return JSON.parse(sessionStorage.getItem(this.prefix + at)) ?? this.memory[at] ?? null;
    } catch {
      return this.memory[at] ?? null;
    }
  }

  push(done) {
    const at = this.length;
    this.length += 1;
    try {
      sessionStorage.setItem(this.prefix + at, JSON.stringify(done));
    } catch {
      this.memory[at] = done;
    }
  }

  last() {
    return this.length === 0 ? null : this.read(this.length - 1);
  }

  pop() {
    const done = this.last();
    if (done === null) return null;
    this.length -= 1;
    delete this.memory[this.length];
    try {
      sessionStorage.removeItem(this.prefix + this.length);
    } catch { /* it was in memory only */ }
    return done;
  }
}
