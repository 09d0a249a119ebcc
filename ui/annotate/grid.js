/*
 * Several pairs at once: one large image against up to nine small ones. Digits and clicks mark
 * tiles; one of the answer keys then says what the rest is, and everything is sent, pair by pair.
 */
class GridLayout {
  constructor({ view, pictureUrl }) {
    Object.assign(this, { view, pictureUrl });
    this.tiles = MOST_TILES;
    this.item = null;
    this.question = "Which are similar to the large image?";
    this.words = { dissimilar: "Rest different", unsure: "Rest unsure", similar: "Rest similar" };
    this.source = SOURCES.grid;
    view.makeTiles(MOST_TILES, (at) => this.click(at));
    this.zoom = new Zoom({
      frames: [view.el.queryFrame, ...view.tiles.map(({ button }) => button)],
      stages: [view.el.query, ...view.tiles.map(({ cell }) => cell)],
      toggles: [view.el.queryFrame],
      onChange: (scale) => this.zoomed(scale),
    });
  }

  show(item) {
    this.leave();
    this.item = item;
    item.marks ??= {};
    this.view.grid(item);
    this.drawMarks();
  }

  clear() {
    this.leave();
    this.item = null;
    this.view.noGrid();
  }

  /** What was looked at closely is small again: for an undo a dozen grids are kept. */
  leave() {
    this.zoom.reset();
    if (!this.item?.small) return;
    this.item.images = this.item.small;
    this.item.sharp = 0;
    delete this.item.small;
  }

  zoomed(scale) {
    this.view.zoom(scale);
    if (scale > SHARPEN_AT && this.item) this.sharpen(this.item, scale > TILES_AT);
  }

  /** The large image alone at first: the small ones show all of their thumbnails for longer. */
  async sharpen(item, tiles) {
    const wanted = tiles ? item.images.length : 1;
    if (item.broken || (item.sharp ?? 0) >= wanted) return;
    if (Math.max(...item.images.map((image) => image.naturalWidth)) < SHOWN_PX) return;
    item.sharp = wanted;
    const ids = this.source.pictures(item.question).slice(0, wanted);
    const large = await largePictures(ids, this.pictureUrl);
    if (this.item !== item || this.zoom.scale === 1) item.sharp = 0;
    if (large === null || item.sharp !== wanted) return;
    item.small ??= item.images;
    item.images = [...large, ...item.small.slice(wanted)];
    this.view.grid(item);
    this.drawMarks();
  }

  /** By mouse or Enter; what ends a drag marks nothing. */
  click(at) {
    if (!this.zoom.dragged) this.mark(at);
  }

  isBroken(item) {
    return item.images[0] === null;
  }

  /** From nothing to similar to unsure and back. */
  mark(at) {
    if (!this.item || this.item.images[at + 1] === undefined) return;
    const { marks } = this.item;
    marks[at] = NEXT_MARK[marks[at] ?? "none"];
    this.drawMarks();
    const said = MARK_WORDS[marks[at] ?? "none"];
    this.view.announce(`Image ${at + 1}: ${said}.`);
  }

  drawMarks() {
    this.view.marks(this.item);
  }

  /**
   * What each question gets: its mark, or what is said of the rest. A chain ends at "similar", so
   * that what stands after it unmarked is not asked; a picture that cannot be seen is skipped.
   */
  answers(rest) {
    const { question, marks, images } = this.item;
    const all = question.questions;
    if (rest === "skip") return (question.chain ? all.slice(0, 1) : all).map((each) => [each, "skip"]);
    const given = [];
    let ended = false;
    for (const [at, each] of all.entries()) {
      const unseen = images[at + 1] === null;
      const kind = unseen ? "skip" : (marks[at] ?? rest);
      if (ended && !marks[at] && rest !== "similar") continue;
      given.push([each, kind]);
      ended ||= question.chain && kind !== "dissimilar" && kind !== "unsure";
    }
    return given;
  }

  act(action) {
    const tile = /^tile(\d)$/.exec(action);
    if (tile) this.mark(Number(tile[1]) - 1);
    return tile !== null || this.zoom.act(action) || action === "swap";
  }

  subjects() {
    const { question } = this.item;
    const parts = question.questions.map((each, at) => [
      `The large image with image ${at + 1}`, each.a, each.b,
    ]);
    const tiles = question.questions.map((each, at) => [
      `Image ${at + 1}`, other(each, question.image), null,
    ]);
    return [["The large image", question.image, null], ...tiles, ...parts];
  }

  close() {
    this.zoom.close();
  }
}

const MOST_TILES = 9;
const NEXT_MARK = { none: "similar", similar: "unsure", unsure: undefined };
const MARK_WORDS = { none: "not marked", similar: "similar", unsure: "unsure" };
const TILES_AT = 2.5; // from there on thumbnails of 512 pixels blur in small images too
