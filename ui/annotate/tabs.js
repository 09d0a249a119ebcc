/*
 * A tab's list of held pairs, for the other tabs to see: two tabs of one person get different
 * pairs. A tab is alive while it holds its lock; where locks are missing, each tab sees its own.
 */
function claimTab(scope) {
  const prefix = `${scope}.tab.`;
  const name = prefix + newKey();
  let release;
  const left = new Promise((resolve) => { release = resolve; });
  if (navigator.locks) navigator.locks.request(name, () => left);
  const leave = () => {
    window.removeEventListener("pagehide", unload);
    release();
    try {
      localStorage.removeItem(name);
    } catch { /* nothing was written there */ }
  };
  /** Who reloads the page must not take it for another tab of theirs. */
  const unload = ({ persisted }) => { if (!persisted) leave(); };
  window.addEventListener("pagehide", unload);
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
      try {
        const tabs = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
        const gone = tabs.filter((tab) => !live.has(tab) && tab !== name);
        for (const tab of gone) localStorage.removeItem(tab);
        return tabs.filter((tab) => live.has(tab) && tab !== name).flatMap(read);
      } catch {
        return []; // forbidden: each tab sees its own
      }
    },
    leave,
  };
}
