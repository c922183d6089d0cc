// Times in the browser's own zone, and numbers as the server writes them.
export const words = document.getElementById("words").dataset;
const two = (n) => String(n).padStart(2, "0");

/** Time of day of epoch milliseconds, with seconds where asked for. */
export function hms(ms, seconds = true) {
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}` + (seconds ? `:${two(d.getSeconds())}` : "");
}

/** Rewrites every <time> below `root`; elements keep their width, since the figures are tabular. */
export function localise(root) {
  for (const t of root.querySelectorAll("time[data-f]")) {
    const at = Date.parse(t.dateTime);
    if (Number.isNaN(at)) continue;
    const d = new Date(at);
    const day = t.dataset.f === "d" ? `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` : "";
    t.textContent = day + hms(at);
  }
}

/** Names the zone that the times are in. */
export function zone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  document.getElementById("zone").textContent = words.zone.replace("{zone}", name);
}

// A Latin unit stands apart from its number, a Korean one does not.
export const unit = (n, name) => (/^[a-z]/.test(name) ? `${n} ${name}` : `${n}${name}`);
const trim = (s) => (s.includes(".") ? s.replace(/\.?0+$/, "") : s);

/** A rate: 0.42, 6.1, 287, 1,240. */
export function rate(r) {
  if (r == null || !Number.isFinite(r)) return "\u2013";
  if (r === 0) return "0";
  if (r < 0.005) return "<0.01";
  if (r < 0.995) return r.toFixed(2);
  if (r < 99.95) return r.toFixed(1);
  return Math.round(r).toLocaleString("en-US");
}

/** A latency: 8.4 ms, 240 ms, 9.2 s, 48 s, 3 min 10 s. */
export function duration(s) {
  if (s == null || !Number.isFinite(s)) return "\u2013";
  const a = Math.abs(s);
  const sign = s < 0 ? "\u2212" : "";
  if (a < 0.00995) return sign + (a === 0 ? "0" : (a * 1e3).toFixed(1)) + " " + words.uMs;
  if (a < 0.9995) return sign + (a * 1e3).toFixed(0) + " " + words.uMs;
  if (a < 9.95) return sign + unit(a.toFixed(1), words.uS);
  if (a < 99.5) return sign + unit(a.toFixed(0), words.uS);
  const n = Math.round(a);
  const pair = (x, large, y, small) => sign + unit(x, large) + (y ? " " + unit(y, small) : "");
  if (n < 3600) return pair(Math.floor(n / 60), words.uMin, n % 60, words.uS);
  return pair(Math.floor(n / 3600), words.uH, Math.floor((n % 3600) / 60), words.uMin);
}

/** A number of an axis: 950, 1.2 k, 3.4 M. */
export function short(v) {
  const a = Math.abs(v);
  if (a >= 999.5e3) return trim((v / 1e6).toFixed(a < 9.95e6 ? 1 : 0)) + " M";
  if (a >= 999.5) return trim((v / 1e3).toFixed(a < 9950 ? 1 : 0)) + " k";
  return trim(v.toFixed(a >= 9.95 ? 0 : a >= 0.95 ? 1 : 2));
}
