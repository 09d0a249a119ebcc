/*
 * One pair at a time: two images side by side, one answer.
 */
class PairLayout {
  constructor({ view, pictureUrl }) {
    Object.assign(this, { view, pictureUrl });
    this.tiles = 0;
    this.item = null;
    this.question = "Are these two images similar?";
    this.words = { dissimilar: "Different", unsure: "Unsure", similar: "Similar" };
    this.source = SOURCES.pairs;
    this.zoom = new Zoom({
      frames: [view.el.frameA, view.el.frameB],
      stages: [view.el.stageA, view.el.stageB],
      onChange: (scale) => this.zoomed(scale),
    });
  }

  show(item) {
    this.item = item;
    this.zoom.reset();
    this.draw();
  }

  draw() {
    this.view.pair(this.item);
  }

  clear() {
    this.item = null;
    this.zoom.reset();
    this.view.noPair();
  }

  isBroken(item) {
    return item.broken !== "";
  }

  /** What an action answers: [[question, kind], …]. */
  answers(action) {
    return [[this.item.question, action]];
  }

  /** Do what only concerns how the pair is shown; whether the action was that. */
  act(action) {
    if (this.zoom.act(action)) return true;
    if (action !== "swap") return false;
    this.swap();
    return true;
  }

  swap() {
    if (!this.item) return;
    this.item.swapped = !this.item.swapped;
    this.draw();
  }

  /** What a flag can be about: [[words, first image, second or null], …]. */
  subjects() {
    const { question, swapped } = this.item;
    const [left, right] = swapped ? [question.b, question.a] : [question.a, question.b];
    return [
      ["The question", question.a, question.b],
      ["The first image", left, null],
      ["The second image", right, null],
    ];
  }

  zoomed(scale) {
    this.view.zoom(scale);
    if (scale > SHARPEN_AT && this.item) this.sharpen(this.item);
  }

  /** Zoomed in, a thumbnail is not enough: fetch the large pictures and put them in its place. */
  async sharpen(item) {
    if (item.sharp || item.broken) return;
    if (Math.max(...item.images.map((image) => image.naturalWidth)) < SHOWN_PX) return;
    item.sharp = true;
    const large = await largePictures(this.source.pictures(item.question), this.pictureUrl);
    if (large === null) return;
    item.images = large;
    if (this.item === item) this.draw();
  }

  close() {
    this.zoom.close();
  }
}

