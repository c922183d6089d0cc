// Pure geometry, the same as the server's: a box of 1000 x 1000, bands in percent.
import { hms } from "./clock.js";

const fix = (v) => Math.round(v * 10) / 10;

/** Percent of a width or height, as an attribute. */
export const percent = (v) => `${Math.round(v * 100) / 100}%`;

/** Splits points at every null. */
function split(points) {
  const runs = [[]];
  for (const p of points) {
    if (p) runs.at(-1).push(p);
    else runs.push([]);
  }
  return runs.filter((r) => r.length);
}

/** A line; null lifts the pen, a lone point becomes a short stroke. */
export function line(points) {
  return split(points)
    .map((run) => run.map(([x, y], i) => `${i ? "L" : "M"}${fix(x)} ${fix(y)}`).join("") + (run.length === 1 ? "h2" : ""))
    .join("");
}

/** The area between points and a baseline. */
export function area(points, base) {
  return split(points)
    .map((run) => `M${fix(run[0][0])} ${base}` + run.map(([x, y]) => `L${fix(x)} ${fix(y)}`).join("") + `V${base}H${fix(run[0][0])}z`)
    .join("");
}

/** The least round number at or above `value` that four grid steps divide well. */
export function ceiling(value) {
  if (!(value > 0 && Number.isFinite(value))) return 1;
  const scale = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 1.2, 1.6, 2, 2.4, 2.8, 3.2, 3.6, 4, 4.4, 4.8, 5.2, 5.6, 6, 6.4, 7.2, 8, 8.8, 10];
  return (steps.find((s) => s * scale >= value * 0.999999) ?? 10) * scale;
}

/** Labels of a time axis at round local times: [part of the width, text]. */
export function times(from, to) {
  const range = Math.max(1, to - from);
  const steps = [10, 15, 30, 60, 120, 180, 300, 600, 900, 3600, 7200, 14400];
  const step = steps.find((s) => range / s <= 6) ?? 21600;
  const shift = -new Date(to * 1000).getTimezoneOffset() * 60;
  const out = [];
  for (let t = Math.ceil((from + shift) / step) * step - shift; t <= to; t += step) {
    out.push([(t - from) / range, hms(t * 1000, step < 60)]);
  }
  return out;
}

/** Bands: never read, partial, not complete yet: [class, left, width] in percent. */
export function marks(columns, from, now, step) {
  const bands = [];
  const push = (name, a, b) => {
    const last = bands.at(-1);
    if (last && last[0] === name && last[2] >= a) last[2] = Math.max(last[2], b);
    else bands.push([name, a, b]);
  };
  let at = null;
  for (const c of columns) {
    if (at !== null && at < c[0]) push("gap", at, c[0]);
    at = c[0] + step;
    if ((c[1] & 3) === 3) push("partial", c[0], at);
    if (!(c[1] & 1)) push("open", c[0], at);
  }
  if (at !== null && at < now) push(!(columns.at(-1)[1] & 1) || now - at <= 5 ? "open" : "gap", at, now);
  const place = (t) => ((Math.min(Math.max(t, from), now) - from) / (now - from)) * 100;
  return bands.map(([name, a, b]) => [name, place(a), place(b) - place(a)]).filter(([, , w]) => w > 0);
}
