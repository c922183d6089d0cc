// Makes an element equal to a fresh one while keeping every node that is the same:
// focus, selection, scroll positions, open details and what is chosen in a list survive a tick.

const key = (node) => (node.nodeType === 1 ? node.id || node.dataset?.key : undefined);
// What a person opened or chose stays.
const theirs = (name, node) => (name === "open" && node.nodeName === "DETAILS") || (name === "selected" && node.nodeName === "OPTION");
const chosen = (node) => node.nodeName === "OPTION" && node.selected && node.value !== "";
const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

/** Turns `old` into `fresh`; returns the node that now stands in the page. */
export function morph(old, fresh) {
  if (!same(old, fresh)) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType !== 1) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return old;
  }
  attributes(old, fresh);
  children(old, fresh);
  return old;
}

function attributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !theirs(name, old)) old.removeAttribute(name);
  }
}

function children(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) {
    const k = key(child);
    if (k !== undefined && !keyed.has(k)) keyed.set(k, child);
  }
  let here = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const k = key(child);
    const match = k !== undefined ? keyed.get(k) : here && key(here) === undefined ? here : undefined;
    if (match && same(match, child)) {
      keyed.delete(k);
      if (match === here) here = here.nextSibling;
      else old.insertBefore(match, here);
      morph(match, child);
    } else {
      old.insertBefore(child, here);
    }
  }
  while (here) {
    const next = here.nextSibling;
    if (!chosen(here)) here.remove();
    here = next;
  }
}
