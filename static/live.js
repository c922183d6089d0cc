// The live stream: one EventSource per page, its state said in one badge, its parts applied once per frame.
import { charts } from "./chart.js";
import { duration, hms, localise, unit, words } from "./clock.js";
import { morph } from "./morph.js";

const STALE_MS = 5000; // no frame for so long: what is shown is old (frames come at least once a second)
const DEAD_MS = 15000; // no frame for so long: make a new connection, whatever the browser thinks of it
const HIDDEN_MS = 60000; // a hidden tab gives its connection back after this
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 4000; // and a quarter more: an operator waits for a server that is back no longer than 5 s
const AWAY_MS = 3000; // an outage of so long is said across the page: shorter ones are reconnects
const BECOME_MS = 2000; // a page becomes another at most this often
const SAY_MS = 5000; // state changes are spoken at most this often
const LOST = new Set(["stale", "reconnecting", "bye"]); // nothing comes: what is shown is of the last frame

export class Live {
  constructor() {
    this.page = document.documentElement;
    this.badge = document.getElementById("conn");
    this.icon = document.getElementById("icon");
    this.away = document.getElementById("away");
    this.title = document.title;
    this.heard = performance.now(); // the last frame; the page itself is one
    this.shown = this.heard; // when what is on the screen was made
    this.parts = new Map(); // id -> newest element not shown yet
    this.wait = FIRST_WAIT_MS;
    this.paused = false;
    this.said = { text: document.getElementById("pulse")?.dataset.say, at: -SAY_MS };
    this.becomeAgain = 0;
    this.attach(charts());
    document.addEventListener("visibilitychange", () => this.visibility());
    addEventListener("online", () => this.atOnce());
    addEventListener("pagehide", () => this.source?.close());
    addEventListener("pageshow", (e) => e.persisted && this.open());
    setInterval(() => this.watch(), 500);
    this.open();
  }

  /** Charts belong to a page, the stream goes on when the page becomes another. */
  attach(charts) {
    this.charts = charts;
    if (!charts) return;
    charts.paused = this.paused;
    charts.onlost = () => this.anew();
  }

  get kiosk() {
    return this.page.hasAttribute("data-kiosk");
  }

  /** From the beginning: all parts and the whole history. */
  anew() {
    this.seen = undefined;
    this.open();
  }

  // A stream that a browser resumes itself sends the id of its last frame; one that we make anew says it in the address.
  get address() {
    const address = document.body.dataset.live;
    return this.seen ? `${address}&last_event_id=${encodeURIComponent(this.seen)}` : address;
  }

  open() {
    this.source?.close();
    clearTimeout(this.retry);
    this.last = performance.now();
    this.retryAt = undefined;
    if (!LOST.has(this.state)) this.show("connecting");
    const source = (this.source = new EventSource(this.address));
    const on = (name, act) =>
      source.addEventListener(name, (event) => {
        if (source !== this.source) return;
        this.last = performance.now();
        if (name !== "bye") this.heard = this.last;
        this.wait = FIRST_WAIT_MS;
        this.reborn(event.lastEventId);
        act(event.data, event.lastEventId);
      });
    on("snap", (data) => this.take(data));
    on("frag", (data) => this.take(data));
    on("hist", (data) => this.charts?.hist(JSON.parse(data)));
    on("pt", (data) => this.charts?.pt(JSON.parse(data)));
    // Ends every frame: also says that all is well where nothing changed.
    on("tick", (_, id) => {
      this.seen = id;
      if (this.due) return;
      if (!this.paused) this.shown = this.heard;
      this.show("live");
    });
    on("bye", () => this.again("bye"));
    source.onerror = () => source === this.source && this.again("reconnecting");
  }

  // Each attempt doubles the wait, with jitter over more than half of it, so that many screens do not return at once.
  again(state) {
    this.source.close();
    const wait = this.wait * (0.5 + Math.random() * 0.75);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    this.retryAt = performance.now() + wait;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), wait);
    this.show(state);
  }

  // The network is back, or somebody looks again: there is nothing to wait for.
  atOnce() {
    if (this.retryAt !== undefined) this.open();
  }

  // Another process answers: a wall screen nobody reloads by hand may lack its new files.
  reborn(id) {
    const boot = id && id.slice(0, id.lastIndexOf("-"));
    if (boot && boot !== document.body.dataset.boot && this.kiosk) {
      document.body.dataset.boot = boot;
      setTimeout(() => location.reload(), Math.random() * 3000);
    }
  }

  take(html) {
    const box = document.createElement("template");
    box.innerHTML = html;
    for (const part of [...box.content.children]) this.parts.set(part.id, part);
    this.schedule();
  }

  schedule() {
    if (this.paused || this.due) return;
    // A hidden page gets no animation frames; then there is nothing to show anyhow.
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.apply();
    });
  }

  apply() {
    for (const [id, fresh] of this.parts) {
      const old = document.getElementById(id);
      if (!old) {
        this.parts.clear();
        this.become();
        return;
      }
      localise(fresh);
      morph(old, fresh);
    }
    this.parts.clear();
    this.charts?.shown();
    this.shown = this.heard;
    this.show("live");
    this.speak();
  }

  // The view has parts that this page does not: it became another page (first steps, then the overview). Its content
  // is fetched and put in the place of the old; what a person did (pause, keys, colours) stays, for nothing is reloaded.
  async become() {
    if (this.becoming || performance.now() < this.becomeAgain) return;
    this.becoming = true;
    this.becomeAgain = performance.now() + BECOME_MS;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = fresh.getElementById("main");
      if (!main || !fresh.body.dataset.live) return;
      document.body.dataset.live = fresh.body.dataset.live;
      document.getElementById("main").replaceChildren(...main.childNodes);
      localise(document.getElementById("main"));
      this.attach(charts());
      this.anew();
    } catch {
      // The server is away: the stream says so, and the next frame asks again.
    } finally {
      this.becoming = false;
    }
  }

  pause() {
    this.paused = !this.paused;
    if (this.charts) this.charts.paused = this.paused;
    if (!this.paused) this.schedule();
    this.show(this.paused ? "paused" : this.state === "hidden" ? "hidden" : "live");
  }

  visibility() {
    clearTimeout(this.hide);
    if (document.hidden) {
      if (this.kiosk) return;
      this.hide = setTimeout(() => {
        this.source.close();
        clearTimeout(this.retry);
        this.retryAt = undefined;
        this.show("hidden");
      }, HIDDEN_MS);
    } else if (this.state === "hidden") {
      this.open();
    } else {
      this.schedule();
      this.atOnce();
      this.watch();
    }
  }

  // Timers of hidden tabs are throttled: only differences of the clock count.
  watch() {
    const age = performance.now() - this.last;
    if (this.state === "hidden") return;
    if (this.retryAt !== undefined) return this.show(this.state);
    if (age > DEAD_MS && !document.hidden) {
      this.show("stale");
      this.again("stale");
    } else if (age > STALE_MS) {
      this.show("stale");
    } else {
      this.show(this.state);
    }
  }

  show(state) {
    if (this.paused && state === "live") state = "paused";
    const now = performance.now();
    const age = (now - this.heard) / 1000;
    const lost = LOST.has(state);
    const stale = words.stale.replace("{n}", String(Math.floor(age)));
    const next = this.retryAt === undefined ? words.connecting : words.reconnecting.replace("{n}", String(Math.ceil(Math.max(0, this.retryAt - now) / 1000)));
    // While nothing comes, the badge says for how long, whatever is tried meanwhile.
    const text = state === "bye" || !lost ? words[state] ?? "" : stale;
    const small = state === "bye" ? stale : lost ? next : state === "live" ? unit(age.toFixed(1), words.uS) : "";
    const changed = state !== this.state;
    this.state = state;
    this.badge.dataset.state = state;
    set(this.badge.querySelector("b"), text);
    set(this.badge.querySelector("small"), small);
    if (changed) {
      this.page.dataset.conn = state;
      const shape = { live: "ok", paused: "warn", hidden: "warn", connecting: "unknown" }[state] ?? "bad";
      this.badge.querySelector("use").setAttribute("href", `#s-${shape}`);
      if (state === "stale" || state === "bye") this.say(text);
    }
    this.count(now, lost ? age : 0, small);
    this.outside();
  }

  // Ages go on while nothing comes; and a page that is old says so, and of when its numbers are.
  count(now, away, next) {
    if (this.state !== "live") {
      const more = (now - this.shown) / 1000;
      for (const e of document.querySelectorAll("[data-age]")) set(e, duration(Number(e.dataset.age) + more));
    }
    this.away.hidden = away * 1000 < AWAY_MS;
    if (this.away.hidden) return;
    const at = hms(Date.now() - (now - this.shown));
    set(this.away, `${words.away.replace("{n}", String(Math.floor(away))).replace("{time}", at)} \u00b7 ${next}`);
  }

  // What is seen of the page when it is not looked at: its title and its icon.
  outside() {
    const pulse = document.getElementById("pulse");
    const bad = Number(pulse?.dataset.bad || 0);
    const off = this.state !== "live" && this.state !== "connecting";
    const title = (off ? "\u25c7 " : bad ? `(${bad}) ` : "") + this.title;
    if (document.title !== title) document.title = title;
    const icon = this.icon.dataset[off ? "off" : bad ? "bad" : "ok"];
    if (this.icon.getAttribute("href") !== icon) this.icon.setAttribute("href", icon);
  }

  speak() {
    const text = document.getElementById("pulse")?.dataset.say;
    const now = performance.now();
    if (!text || text.replace(/\d+/g, "") === this.said.text?.replace(/\d+/g, "") || now - this.said.at < SAY_MS) return;
    this.said = { text, at: now };
    this.say(text);
  }

  say(text) {
    set(document.getElementById("say"), text);
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
