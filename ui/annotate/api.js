/*
 * Requests to the own routes. A 401 is answered by asking the Streamlit script for a new token,
 * exchanging it for a cookie and sending the request once more.
 */
class ApiError extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status; // 0: no connection
    this.hint = hint || "";
  }
}

class Api {
  constructor(memberId, askForToken) {
    this.memberId = memberId; // tabs share a cookie: each says for whom it speaks
    this.askForToken = askForToken;
    this.token = null; // the newest, not yet exchanged
    this.signingIn = null;
    this.tokenArrived = null;
  }

  offerToken(token) {
    if (token === this.lastOffered) return;
    this.lastOffered = token;
    this.token = token;
    if (this.tokenArrived) this.tokenArrived();
  }

  async post(path, message) {
    const body = { member: this.memberId, ...message };
    if (this.signingIn) await this.signingIn;
    try {
      return await this.send(path, body);
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    await this.signIn();
    return this.send(path, body);
  }

  /** Exchange a token for a cookie; callers at the same time share one exchange. */
  signIn() {
    this.signingIn ??= this.exchange().finally(() => {
      this.signingIn = null;
    });
    return this.signingIn;
  }

  async exchange() {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      if (this.token === null) await this.waitForToken();
      const token = this.token;
      this.token = null; // good for one exchange
      try {
        await this.send("/api/session", { token });
        return;
      } catch (error) {
        if (error.status === 0 || error.status >= 500) this.token = token; // never judged: keep
        if (error.status !== 401) throw error;
      }
    }
    throw new ApiError(401, "The session could not be renewed.", "Reload the page.");
  }

  waitForToken() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.tokenArrived = null;
        reject(new ApiError(0, "No connection to the app.", ""));
      }, TOKEN_TIMEOUT_MS);
      this.tokenArrived = () => {
        clearTimeout(timer);
        this.tokenArrived = null;
        resolve();
      };
      this.askForToken();
    });
  }

  async send(path, body) {
    let response;
    let text;
    try {
      response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        credentials: "same-origin",
        keepalive: KEPT_ALIVE.includes(path),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      text = await response.text();
    } catch {
      throw new ApiError(0, "No connection to the app.", "");
    }
    if (response.ok) return text ? JSON.parse(text) : null;
    throw readError(response.status, text);
  }
}

function readError(status, text) {
  try {
    const { message, hint } = JSON.parse(text);
    return new ApiError(status, String(message), hint);
  } catch {
    return new ApiError(status, `The app answered with status ${status}.`, "");
  }
}

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // outside a secure context
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const KEPT_ALIVE = ["/api/answers", "/api/flags"]; // sent on while the page closes
const REQUEST_TIMEOUT_MS = 15000;
const TOKEN_TIMEOUT_MS = 10000;
