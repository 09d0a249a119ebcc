/*
 * How far the round is with what is still unsent, and how fast this person goes.
 */
class Meter {
  constructor({ view, outbox, leads }) {
    Object.assign(this, { view, outbox, leads });
    this.progress = null; // as the server said last
    this.goal = null; // how far the round was when it was drawn last
    this.paces_ms = [];
  }

  answered() {
    const { answered, round_id: roundId, total } = this.progress;
    return Math.min(Math.max(answered + this.outbox.weight(roundId), 0), total);
  }

  /** Which pair of the round is on the screen; null before there is a round. */
  where() {
    if (this.progress === null) return null;
    const place = this.answered() + 1;
    const { target } = this.progress;
    return place <= target ? `Pair ${place} of ${target}.` : `Further pair ${place - target}.`;
  }

  draw(shown) {
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

  /** The median of the last answers, and how long the rest of the round takes at that pace. */
  keepPace(answer_ms) {
    this.paces_ms = [...this.paces_ms.slice(1 - PACED), answer_ms];
    if (this.paces_ms.length < FEWEST_PACED || this.progress === null) return;
    const median_ms = [...this.paces_ms].sort((a, b) => a - b)[this.paces_ms.length >> 1];
    const left = this.progress.target - this.answered();
    if (left > 0) this.view.pace(median_ms, left);
  }
}

const PACED = 20;
const FEWEST_PACED = 5;
const GOAL_SHOWN_MS = 10_000;
