/* What goes into the outbox, and when. */

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

/** A flag, or the end of one, as the server takes it. */
function flagEntry(kind, { question, ...more }) {
  const { proposal_id } = question;
  const flagged_at = new Date().toISOString();
  return { key: newKey(), kind, proposal_id, flagged_at, ...more };
}
