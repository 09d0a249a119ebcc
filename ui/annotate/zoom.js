/*
 * Zoom and pan of all images together: one CSS transform, set in the same frame. The origin of
 * the transform is the middle of the frame; x and y are in fractions of the frame's width.
 */
class Zoom {
  /** A double click zooms on the frames that `toggles` names: elsewhere, clicks mean something. */
  constructor({ frames, stages, onChange, toggles = frames }) {
    Object.assign(this, { frames, stages, onChange });
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.dragging = null;
    this.dragged = false; // whether the click that ends now was a drag
    this.stopping = new AbortController();
    const signal = this.stopping.signal;
    for (const frame of frames) {
      frame.addEventListener("wheel", (event) => this.wheel(event, frame), { signal, passive: false });
      frame.addEventListener("pointerdown", (event) => this.grab(event, frame), { signal });
      frame.addEventListener("pointermove", (event) => this.drag(event, frame), { signal });
      frame.addEventListener("pointerup", () => this.drop(frame), { signal });
      frame.addEventListener("pointercancel", () => this.drop(frame), { signal });
    }
    for (const frame of toggles) {
      frame.addEventListener("dblclick", (event) => this.toggle(event, frame), { signal });
    }
  }

  /** Do what an action asks for, if it is about zoom; whether it was. */
  act(action) {
    if (action in PANS) this.panBy(...PANS[action]);
    else if (action === "zoomIn") this.zoomBy(1.4);
    else if (action === "zoomOut") this.zoomBy(1 / 1.4);
    else if (action === "zoomReset") this.reset();
    else return false;
    return true;
  }

  wheel(event, frame) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * 0.002), this.at(event, frame));
  }

  toggle(event, frame) {
    if (this.scale > 1) this.reset();
    else this.zoomBy(2.5, this.at(event, frame));
  }

  at(event, frame) {
    const box = frame.getBoundingClientRect();
    return [
      (event.clientX - box.left) / box.width - 0.5,
      (event.clientY - box.top) / box.height - 0.5,
    ];
  }

  /** Zoom so that the point under the cursor stays where it is. */
  zoomBy(factor, [px, py] = [0, 0]) {
    const scale = Math.min(Math.max(this.scale * factor, 1), MOST_ZOOM);
    const ratio = scale / this.scale;
    this.x = px - (px - this.x) * ratio;
    this.y = py - (py - this.y) * ratio;
    this.scale = scale;
    this.apply();
  }

  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.apply();
  }

  grab(event, frame) {
    if (this.scale === 1 || event.button !== 0) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    this.dragging = { at: [event.clientX, event.clientY], from: [event.clientX, event.clientY] };
    frame.classList.add("dragging");
  }

  drag(event, frame) {
    if (!this.dragging) return;
    const width = frame.getBoundingClientRect().width;
    const { at: [lastX, lastY], from: [fromX, fromY] } = this.dragging;
    this.dragging.at = [event.clientX, event.clientY];
    this.dragged ||= Math.hypot(event.clientX - fromX, event.clientY - fromY) > DRAG_PX;
    this.panBy((event.clientX - lastX) / width, (event.clientY - lastY) / width);
  }

  drop(frame) {
    this.dragging = null;
    frame.classList.remove("dragging");
    setTimeout(() => { this.dragged = false; }); // after the click
  }

  reset() {
    if (this.scale === 1 && this.x === 0 && this.y === 0) return;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.apply();
  }

  apply() {
    const room = (this.scale - 1) / 2; // the image may not leave its frame
    this.x = Math.min(Math.max(this.x, -room), room);
    this.y = Math.min(Math.max(this.y, -room), room);
    const transform =
      this.scale === 1 ? "" : `translate(${this.x * 100}%, ${this.y * 100}%) scale(${this.scale})`;
    for (const stage of this.stages) stage.style.transform = transform;
    for (const frame of this.frames) frame.classList.toggle("zoomed", this.scale > 1);
    this.onChange(this.scale);
  }

  close() {
    this.stopping.abort();
  }
}

/** The large pictures in the place of thumbnails, for who looks closely; null without all of them. */
async function largePictures(ids, pictureUrl) {
  const large = await Promise.all(ids.map((id) => decoded(pictureUrl(id, LARGE_PX))));
  return large.includes(null) ? null : large;
}

const MOST_ZOOM = 12;
const DRAG_PX = 4; // less is a click of an unsteady hand
const SHARPEN_AT = 1.3;
const LARGE_PX = 2048;
