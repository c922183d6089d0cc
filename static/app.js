// Starts what a browser adds to a page that already works without it.
import { localise, zone } from "./clock.js";
import { Live } from "./live.js";
import { keys } from "./keys.js";

document.documentElement.classList.add("js");
localise(document);
zone();
for (const pre of document.querySelectorAll("pre[data-origin]")) {
  pre.textContent = pre.textContent.replaceAll(pre.dataset.origin, location.origin);
}
const live = document.body.dataset.live ? new Live() : null;
keys(live);
