/*
 * Answers of this tab's session, newest last, for undo: one entry of sessionStorage each, so that
 * a reload keeps them and an answer costs the same after thousands.
 */
class AnswerHistory {
  constructor(scope) {
    this.prefix = `${scope}.done.`;
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

  push(answered) {
    const at = this.length;
    this.length += 1;
    try {
      sessionStorage.setItem(this.prefix + at, JSON.stringify(answered));
    } catch {
      this.memory[at] = answered;
    }
  }

  last() {
    return this.length === 0 ? null : this.read(this.length - 1);
  }

  pop() {
    const answered = this.last();
    if (answered === null) return null;
    this.length -= 1;
    delete this.memory[this.length];
    try {
      sessionStorage.removeItem(this.prefix + this.length);
    } catch { /* it was in memory only */ }
    return answered;
  }
}
