// Starts what a browser adds to a page that already works without it.
import { localise, zone } from "./clock.js";
import { Live } from "./live.js";
import { keys } from "./keys.js";
import { morph } from "./morph.js";

document.documentElement.classList.add("js");
localise(document);
zone();
for (const pre of document.querySelectorAll("pre[data-origin]")) {
  pre.textContent = pre.textContent.replaceAll(pre.dataset.origin, location.origin);
}
const live = document.body.dataset.live ? new Live() : null;
keys(live);

// What goes on behind a form is asked for again; what somebody types beside it stays.
async function again() {
  const old = document.querySelector("[data-again]");
  if (!old) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(old.id);
    if (fresh) {
      localise(fresh);
      morph(old, fresh);
    }
  } catch {
    // The server is away: asked again, like everything else.
  }
  setTimeout(again, 2000);
}
setTimeout(again, 2000);
