// Keys and switches. Everything here is also a link or a button.
const KEPT = ["range", "lang", "theme", "kiosk"];
const THEMES = ["auto", "light", "dark", "contrast"];
const YEAR = 31536000;
const page = document.documentElement;

const cookie = (name, value) => (document.cookie = `${name}=${value}; path=/; max-age=${YEAR}; samesite=lax`);

function address(change) {
  const url = new URL(location.href);
  change(url.searchParams);
  history.replaceState(null, "", url);
}

function theme(name) {
  page.dataset.theme = name;
  cookie("theme", name);
  address((q) => q.set("theme", name));
  for (const a of document.querySelectorAll("[data-theme-to]")) {
    if (a.dataset.themeTo === name) a.setAttribute("aria-current", "true");
    else a.removeAttribute("aria-current");
  }
}

let lock;
async function awake() {
  // A screen that is not allowed to stay awake is still a screen.
  lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
}

function kiosk() {
  const on = page.toggleAttribute("data-kiosk");
  address((q) => (on ? q.set("kiosk", "1") : q.delete("kiosk")));
  if (on) awake();
  else lock?.release();
}

function help() {
  const dialog = document.getElementById("help");
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

export function keys(live) {
  if (page.hasAttribute("data-kiosk")) awake();
  document.addEventListener("visibilitychange", () => !document.hidden && page.hasAttribute("data-kiosk") && awake());

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    if (event.key === "Escape") for (const d of document.querySelectorAll(".drop[open]")) d.open = false;
    if (event.key === " ") {
      // Space keeps its meaning on what can be pressed.
      if (event.target.closest?.("a, button, summary, dialog") || !live) return;
      live.pause();
    } else if (event.key === "?") help();
    else if (event.key === "t") theme(THEMES[(THEMES.indexOf(page.dataset.theme) + 1) % THEMES.length]);
    else if (event.key === "k") kiosk();
    else if (event.key === "/") document.querySelector("[data-find]")?.select();
    else if (event.key === "l") document.querySelector("[data-lang]:not([aria-current])")?.click();
    else if (/^[1-9]$/.test(event.key)) document.querySelectorAll("[data-range]")[Number(event.key) - 1]?.click();
    else return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    for (const d of document.querySelectorAll(".drop[open]")) if (!d.contains(event.target)) d.open = false;
    const hit = event.target.closest?.("[data-theme-to], [data-kiosk-to], [data-help], [data-lang]");
    if (!hit) return;
    if (hit.dataset.lang) return cookie("lang", hit.dataset.lang);
    event.preventDefault();
    if (hit.dataset.themeTo) theme(hit.dataset.themeTo);
    else if ("help" in hit.dataset) help();
    else kiosk();
    const drop = hit.closest(".drop");
    if (drop) drop.open = false;
  });

  // Links keep the state of the view, also those that came by the stream, which is the same for everybody.
  document.addEventListener("pointerdown", keep, true);
  document.addEventListener("focusin", keep, true);
}

function keep(event) {
  const link = event.target.closest?.("main a[href], .top a[href]");
  if (!link || link.origin !== location.origin || link.matches("[data-range], [data-lang], [data-theme-to], [data-kiosk-to]")) return;
  const url = new URL(link.href);
  const here = new URLSearchParams(location.search);
  for (const name of KEPT) {
    if (here.has(name)) url.searchParams.set(name, here.get(name));
    else url.searchParams.delete(name);
  }
  if (url.href !== link.href) link.href = url.href;
}
