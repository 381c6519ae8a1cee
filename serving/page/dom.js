// Small helpers for the document: elements in one call, and the page's three voices (status, problem, field).
// Nothing here knows about tiles.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** An element with attributes (`onclick` and the like are listeners; false and null are left out) and children. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** A radio button that looks like one part of a switch. */
export function option(name, value, text, detail = "") {
  const label = el("span", {}, text, detail && el("small", {}, detail));
  return el("label", {}, el("input", { type: "radio", name, value }), label);
}

/** Say what happened, politely: in sight and to screen readers. */
export function say(text) {
  $("status").textContent = text;
}

/** Say what went wrong in the words of the error, beside the field at fault where there is one. */
export function complain(error, retry) {
  clearProblems();
  const [place, sentence] = Object.entries(error.fields ?? {}).find(([field]) => $(`${field}-wrong`)) ?? [];
  if (place) wrong(place, sentence);
  const box = $("problem");
  box.querySelector("p").textContent = error.message;
  box.querySelector("button").onclick = retry;
  box.hidden = false;
  say("");
}

/** Mark a field as wrong, with the sentence that says why; or right again, without one. */
export function wrong(field, sentence = "") {
  $(`${field}-wrong`).textContent = sentence;
  const input = $(`${field}-level`) ?? $(field);
  if (sentence) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

export function clearProblems() {
  $("problem").hidden = true;
  for (const field of ["seed", "to", "noise", "seeing"]) wrong(field);
}
