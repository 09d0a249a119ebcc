// Signs out: the routes' cookie goes first, and who has unsent answers here is told before.
function unsentAnswers(scope) {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(`${scope}.out.`)).length;
  } catch {
    return 0; // no storage, so nothing waits in it
  }
}

function warning(count) {
  const answers = count === 1 ? "1 answer is" : `${count} answers are`;
  return `${answers} not sent yet. They stay in this browser and are sent when you sign in again: open Annotate first `
    + "to send them now, or press once more to sign out.";
}

async function closeSession() {
  try {
    await fetch("/api/session/end", { method: "POST", credentials: "same-origin" });
  } catch {
    // without a connection the cookie ends by itself within a day
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const button = parentElement.querySelector("button");
  const words = parentElement.querySelector("p");
  button.onclick = async () => {
    const count = unsentAnswers(data.scope);
    if (count > 0 && words.dataset.warned !== String(count)) {
      words.textContent = warning(count);
      words.dataset.warned = String(count);
      return;
    }
    button.disabled = true;
    await closeSession();
    setTriggerValue("out", true);
  };
}
