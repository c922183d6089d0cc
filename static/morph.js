// Makes an element equal to a fresh one while keeping every node that is the same:
// focus, selection, scroll positions, open details and what is chosen in a list survive a tick.

const key = (node) => (node.nodeType === 1 ? node.id || node.dataset?.key : undefined);
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
  if (old.nodeName === "SELECT") return list(old, fresh);
  attributes(old, fresh);
  children(old, fresh);
  return old;
}

// What a person chose in a list stays chosen, also where it is not offered any more.
function list(old, fresh) {
  const { value } = old;
  const offered = [...fresh.options].some((option) => option.value === value);
  if (value && !offered) fresh.append(old.selectedOptions[0].cloneNode(true));
  attributes(old, fresh);
  children(old, fresh);
  if (value || offered) old.value = value;
  return old;
}

function attributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    // What a person opened stays open.
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
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
    here.remove();
    here = next;
  }
}
