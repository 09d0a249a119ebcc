/*
 * Measures key presses: from the keydown's timestamp to the first task after the animation frame in
 * which both next images are in the page and decoded. Works for the annotate page (images in a
 * shadow root) and for a plain Streamlit page.
 */
(() => {
  const decoded = new WeakSet();
  const decode = HTMLImageElement.prototype.decode;
  HTMLImageElement.prototype.decode = function () {
    const source = this.src;
    return decode.call(this).then((value) => {
      if (this.src === source) decoded.add(this);
      return value;
    });
  };
  const bench = { presses: [], acks_ms: [], waiting: false };
  window.anneal_bench = bench;

  bench.images = () => {
    const host = document.querySelector("#anneal-early, [data-testid=stBidiComponentIsolated]");
    const root = host?.shadowRoot ?? document;
    return [...root.querySelectorAll(host ? ".stage img" : "[data-testid=stImage] img")];
  };
  const sources = () => bench.images().map((image) => image.src);

  /** Whether two images other than the ones before are in the page and decoded. */
  bench.shows = (before) => {
    const images = bench.images();
    if (images.length !== 2 || images.every((image, at) => image.src === before[at])) return false;
    for (const image of images) if (!decoded.has(image)) image.decode().catch(() => {});
    return images.every((image) => decoded.has(image));
  };

  const channel = new MessageChannel();
  let painted = () => {};
  channel.port1.onmessage = () => painted();

  function watch(start_ms, before) {
    if (!bench.shows(before)) {
      requestAnimationFrame(() => watch(start_ms, before));
      return;
    }
    painted = () => {
      bench.presses.push({ before, press_ms: performance.now() - start_ms });
      bench.waiting = false;
    };
    channel.port2.postMessage(null);
  }

  // From the answer to its receipt, by the browser's own clock.
  const fetched = window.fetch;
  window.fetch = async (address, options) => {
    const reply = await fetched(address, options);
    if (address === "/api/answers" && reply.ok) {
      const { answers } = JSON.parse(options.body);
      const now_ms = Date.now();
      bench.acks_ms.push(...answers.map((each) => now_ms - Date.parse(each.answered_at)));
    }
    return reply;
  };

  window.addEventListener("keydown", (event) => {
    if (event.repeat || bench.waiting) return;
    bench.waiting = true;
    const before = sources();
    requestAnimationFrame(() => watch(event.timeStamp, before));
  }, { capture: true });
})();
