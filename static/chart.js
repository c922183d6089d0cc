// Both charts of a page, redrawn from a bounded list of columns with the shapes of the server's first paint.
import { duration, hms, rate, short } from "./clock.js";
import { area, ceiling, line, marks, percent, times } from "./shape.js";

const STACK = [0, 2, 4, 3, 1]; // from the baseline: ok, compensated, timed out, dead-lettered, failed
const NAMES = ["ok", "failed", "compensated", "dead_lettered", "timed_out"];
const HEAT_COLUMNS = 180;
const HEAT_ROWS = 22;
const TABLE_ROWS = 30;

// A column as it comes: [t, flags, covered, outcomes, events, p50, p95, p99, max, heat]; flags: 1 complete, 2 partial.
const [T, FLAGS, COVERED, ENDED, , P50, P95, P99, MAX, HEAT] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** The charts of the page as it stands; null where it has none. */
export function charts() {
  const room = document.getElementById("charts");
  return room && new Charts(room);
}

class Charts {
  constructor(room) {
    this.throughput = new Plot(room.querySelector("#c-throughput"), this);
    this.latency = new Plot(room.querySelector("#c-latency"), this);
    this.plots = [this.throughput, this.latency];
    this.table = room.querySelector("#c-table");
    this.details = this.table?.closest("details");
    this.details?.addEventListener("toggle", () => this.fill());
    this.paused = false;
    this.cursor = null; // second under the crosshair
    // Real transactions lie on the cells that count them; without a script they stand below the chart.
    const finds = room.querySelector("#finds");
    if (finds) this.latency.plot.after(finds);
  }

  hist(data) {
    this.meta = data;
    this.columns = data.pts;
    this.dirty = true;
    this.later();
  }

  pt(data) {
    const meta = this.meta;
    if (!meta || meta.lead !== data.lead || meta.step !== data.step || meta.range !== data.range) return this.onlost?.();
    for (const fresh of data.pts) {
      let i = this.columns.length;
      while (i > 0 && this.columns[i - 1][T] > fresh[T]) i--;
      if (i > 0 && this.columns[i - 1][T] === fresh[T]) this.columns[i - 1] = fresh;
      else this.columns.splice(i, 0, fresh);
    }
    meta.now = data.now;
    const from = meta.now - meta.range - meta.step;
    let old = 0;
    while (old < this.columns.length && this.columns[old][T] < from) old++;
    if (old) this.columns.splice(0, old);
    this.dirty = true;
    this.later();
  }

  later() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.draw();
    });
  }

  draw() {
    if (!this.dirty || this.paused || !this.meta) return;
    this.dirty = false;
    const { now, range, step } = this.meta;
    const from = now - range;
    const columns = this.columns;
    const x = (t) => ((t - from) / range) * 1000;
    const middle = (c) => x(c[T] + step / 2);
    const runs = (value) => {
      const out = [];
      columns.forEach((c, i) => {
        if (i && c[T] > columns[i - 1][T] + step) out.push(null);
        out.push(value(c));
      });
      return out;
    };
    const labels = times(from, now);
    const bands = marks(columns, from, now, step);
    for (const plot of this.plots) plot.frame(labels, bands);
    this.drawThroughput(columns, runs, middle);
    this.drawLatency(columns, runs, middle, x);
    this.place();
    this.read();
    if (this.details?.open) this.fill();
  }

  drawThroughput(columns, runs, middle) {
    const all = (c) => c[ENDED].reduce((a, b) => a + b, 0);
    const peak = Math.max(0, ...columns.filter((c) => c[FLAGS] & 1 && c[COVERED]).map((c) => all(c) / c[COVERED]));
    const top = ceiling(peak * 1.04);
    const level = (upto) =>
      runs((c) => {
        if (!c[COVERED]) return null;
        let sum = 0;
        for (let i = 0; i <= upto; i++) sum += c[ENDED][STACK[i]];
        return [middle(c), Math.max(0, 1000 - (sum / c[COVERED] / top) * 1000)];
      });
    const paths = [];
    for (let i = STACK.length - 1; i >= 0; i--) {
      if (i && !columns.some((c) => c[ENDED][STACK[i]])) continue;
      paths.push([`a ${NAMES[STACK[i]]}`, area(level(i), 1000)]);
    }
    paths.push(["l ok", line(level(0))]);
    this.throughput.paths(paths, !columns.length);
    this.throughput.scale((columns.length ? [0, 1, 2, 3, 4] : []).map((i) => [100 - i * 25, short((top * i) / 4)]));
  }

  drawLatency(columns, runs, middle, x) {
    const { range, step } = this.meta;
    const merge = Math.max(1, Math.floor(range / step / HEAT_COLUMNS)) * step;
    const cells = new Map();
    let [low, high, most] = [HEAT_ROWS, -1, 1];
    for (const c of columns) {
      const t = Math.floor(c[T] / merge) * merge;
      for (let i = 0; i < c[HEAT].length; i += 2) {
        const row = c[HEAT][i];
        const at = t * 32 + row;
        const n = (cells.get(at) ?? 0) + c[HEAT][i + 1];
        cells.set(at, n);
        if (row < low) low = row;
        if (row > high) high = row;
        if (n > most) most = n;
      }
    }
    if (high < 0) [low, high] = [3, 12];
    high = Math.max(Math.min(high + 1, HEAT_ROWS - 1), low);
    low = Math.min(Math.max(low - 1, 0), Math.max(high - 7, 0));
    const rows = Math.max(high - low + 1, 8);
    const height = 1000 / rows;
    const paths = ["", "", "", "", ""];
    for (const [at, n] of cells) {
      const row = (at % 32) - low;
      const t = Math.floor(at / 32);
      const [left, right] = [Math.max(x(t), 0), Math.min(x(t + merge), 1000)];
      if (row < 0 || row >= rows || right <= left) continue;
      const strength = Math.min(5, Math.max(1, Math.ceil(Math.sqrt(n / most) * 5)));
      const w = ((right - left) * 0.94).toFixed(1);
      paths[strength - 1] += `M${left.toFixed(1)} ${(1000 - (row + 1) * height).toFixed(1)}h${w}v${(height * 0.94).toFixed(1)}h-${w}z`;
    }
    const y = (v) => Math.min(1000, Math.max(0, (1 - (Math.log2(Math.max(v, 1e-9)) + 10 - low) / rows) * 1000));
    const of = (i) => line(runs((c) => (c[FLAGS] & 1 && c[i] != null ? [middle(c), y(c[i])] : null)));
    const [p99, p50] = [of(P99), of(P50)];
    const shapes = paths.map((d, i) => [`h h${i + 1}`, d]).filter(([, d]) => d);
    shapes.push(["halo", p99], ["l p99", p99], ["halo", p50], ["l p50", p50]);
    this.latency.paths(shapes, !cells.size);
    const every = Math.ceil(rows / 6);
    const edges = [];
    for (let i = 0; i <= rows && columns.length; i += every) edges.push([100 - (i * 100) / rows, edge(low + i)]);
    this.latency.scale(edges);
    this.heat = { low, rows };
  }

  /** New parts were shown: among them may be other transactions. */
  shown() {
    this.draw();
    this.place();
  }

  place() {
    if (!this.meta || !this.heat || this.paused) return;
    const { now, range, lead } = this.meta;
    const { low, rows } = this.heat;
    for (const find of document.querySelectorAll("#finds li")) {
      const { t, v } = find.dataset;
      const left = (Number(t) - (now - range)) / range;
      const up = (Math.log2(Math.max(Number(v), 1e-9)) + 10 - low) / rows;
      find.hidden = !(left >= 0 && left <= 1 && up >= 0 && up <= 1 && lead);
      find.style.left = percent(left * 100);
      find.style.bottom = percent(up * 100);
      find.classList.toggle("early", left < 0.4);
    }
  }

  // Values in text: under the crosshair, or of the newest complete column.
  read() {
    if (!this.columns) return;
    const c = this.at() ?? this.columns.findLast((c) => c[FLAGS] & 1);
    const when = this.cursor === null || !c ? "" : hms(c[T] * 1000);
    const least = c && c[FLAGS] & 2 ? "\u2265 " : ""; // of a sum that lacks a part
    const values = Object.fromEntries(NAMES.map((n, i) => [n, c && c[COVERED] ? least + rate(c[ENDED][i] / c[COVERED]) : "\u2013"]));
    values.p50 = duration(c?.[P50]);
    values.p99 = duration(c?.[P99]);
    const { now, range, step } = this.meta;
    const place = this.cursor === null || !c ? null : (c[T] + step / 2 - (now - range)) / range;
    for (const plot of this.plots) plot.read(values, when, place);
  }

  at() {
    if (this.cursor === null || !this.columns?.length) return null;
    return this.columns.reduce((best, c) => (Math.abs(c[T] - this.cursor) < Math.abs(best[T] - this.cursor) ? c : best));
  }

  move(second) {
    this.cursor = second;
    if (this.meta) this.read();
  }

  step(by) {
    if (!this.columns?.length) return;
    const i = this.cursor === null ? this.columns.length - 1 : this.columns.indexOf(this.at()) + by;
    this.move(this.columns[Math.min(Math.max(i, 0), this.columns.length - 1)][T]);
  }

  fill() {
    if (!this.columns || !this.details.open) return;
    const rows = this.columns.filter((c) => c[FLAGS] & 1).slice(-TABLE_ROWS).reverse();
    const body = document.createElement("tbody");
    for (const c of rows) {
      const row = body.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = hms(c[T] * 1000);
      row.append(head);
      const sum = c[ENDED].reduce((a, b) => a + b, 0);
      const texts = [rate(c[COVERED] ? sum / c[COVERED] : null), ...c[ENDED].map((n) => n.toLocaleString("en-US")), ...[P50, P95, P99, MAX].map((i) => duration(c[i]))];
      for (const text of texts) {
        const cell = row.insertCell();
        cell.className = "r";
        cell.textContent = text;
      }
    }
    this.table.tBodies[0].replaceWith(body);
  }
}

/** Lower edge of a heatmap row. */
function edge(row) {
  const s = 2 ** (row - 10);
  if (s < 1) return `${(s * 1e3).toFixed(0)} ms`;
  if (s < 120) return `${s} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

const NS = "http://www.w3.org/2000/svg";

/** One chart's elements: the server's own, kept and updated. */
class Plot {
  constructor(figure, charts) {
    this.charts = charts;
    this.y = figure.querySelector(".yaxis");
    this.x = figure.querySelector(".xaxis");
    this.grid = figure.querySelector(".grid");
    this.shapes = figure.querySelector(".shapes");
    this.bands = figure.querySelector(".marks");
    this.cross = figure.querySelector(".cross");
    this.plot = figure.querySelector(".plot");
    this.void = figure.querySelector(".plot .void");
    this.when = figure.querySelector(".when");
    this.values = [...figure.querySelectorAll(".legend [data-key]")].map((li) => [li.dataset.key, li.querySelector("b")]);
    const { plot } = this;
    plot.addEventListener("pointermove", (e) => this.point(e));
    plot.addEventListener("pointerleave", () => charts.move(null));
    plot.addEventListener("blur", () => charts.move(null));
    plot.addEventListener("keydown", (e) => this.key(e));
    plot.setAttribute("role", "slider");
    plot.setAttribute("aria-valuemin", "0");
    plot.setAttribute("aria-valuemax", "100");
    plot.setAttribute("aria-valuenow", "100");
  }

  point(event) {
    const { meta } = this.charts;
    if (!meta) return;
    const box = this.plot.getBoundingClientRect();
    this.charts.move(meta.now - meta.range + ((event.clientX - box.left) / box.width) * meta.range - meta.step / 2);
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 };
    if (event.key === "Escape") this.charts.move(null);
    else if (event.key in steps) this.charts.step(steps[event.key]);
    else return;
    event.preventDefault();
  }

  frame(labels, bands) {
    each(this.x, "text", labels, (e, [at, text]) => attr(e, { x: percent(at * 100), y: "14" }, text));
    each(this.bands, "rect", bands, (e, [name, at, w]) => attr(e, { class: name, x: percent(at), width: percent(w), y: "0", height: "100%" }));
  }

  scale(labels) {
    each(this.y, "text", labels, (e, [at, text]) => attr(e, { x: "100%", y: percent(at), dy: ".35em" }, text));
    each(this.grid, "line", labels, (e, [at]) => attr(e, { x1: "0", x2: "100%", y1: percent(at), y2: percent(at) }));
  }

  paths(list, empty) {
    each(this.shapes, "path", list, (e, [name, d]) => attr(e, { class: name, d }));
    if (this.void) this.void.hidden = !empty;
  }

  read(values, when, place) {
    for (const [name, element] of this.values) if (element.textContent !== values[name]) element.textContent = values[name];
    if (this.when && this.when.textContent !== when) this.when.textContent = when;
    const at = place === null ? "-1" : percent(place * 100);
    attr(this.cross, { x1: at, x2: at });
    if (place === null) return;
    attr(this.plot, { "aria-valuenow": String(Math.round(place * 100)), "aria-valuetext": [when, ...this.values.map(([n, e]) => `${n} ${e.textContent}`)].join(", ") });
  }
}

/** Makes the children of `parent` match `items`, reusing what is there. */
function each(parent, name, items, set) {
  while (parent.childElementCount > items.length) parent.lastElementChild.remove();
  while (parent.childElementCount < items.length) parent.append(document.createElementNS(NS, name));
  items.forEach((item, i) => set(parent.children[i], item));
}

function attr(element, values, text) {
  for (const name in values) if (element.getAttribute(name) !== values[name]) element.setAttribute(name, values[name]);
  if (text !== undefined && element.textContent !== text) element.textContent = text;
}
