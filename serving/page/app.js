// The start: the cards from the service, then a drawing for every state that the address takes.
// A new state cuts off the drawing before it.

import { call, useKey } from "./api.js";
import { prepareControls, showControls } from "./controls.js";
import { $, clearProblems, complain, say } from "./dom.js";
import { drawGrid, drawRecipes } from "./grid.js";
import { drawReal, prepareReal } from "./real.js";
import { addressOf, readState, VIEWS } from "./state.js";
import { prepareTake, showTake } from "./take.js";
import { prepareTile, showTile } from "./tile.js";
import { drawWalk, prepareWalk, stop } from "./walk.js";

const DRAW = { grid: drawGrid, recipes: drawRecipes, walk: drawWalk, real: drawReal };

let cards = null;
let drawing = new AbortController();

async function loadCards() {
  cards = (await (await call("v1/models")).json()).models;
  prepareControls(cards);
}

async function draw() {
  drawing.abort();
  drawing = new AbortController();
  const { signal } = drawing;
  document.body.setAttribute("aria-busy", "true");
  try {
    if (cards === null) await loadCards();
    const state = readState(cards);
    showFrame(state);
    await Promise.all([DRAW[state.view](state, cards, signal), showTile(state, cards, signal)]);
  } catch (error) {
    if (!signal.aborted) await recover(error);
  } finally {
    if (!signal.aborted) document.body.removeAttribute("aria-busy");
  }
}

/** Everything but pictures: the form, the navigation, the lines to copy. */
function showFrame(state) {
  clearProblems();
  $("controls").hidden = false;
  showControls(state, cards);
  showTake(state, cards);
  for (const view of VIEWS) $(view).hidden = view !== state.view;
  for (const link of document.querySelectorAll("#views a")) {
    link.href = addressOf({ view: link.dataset.view, tile: null });
    if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = state.view === "real" ? "skygen: which is real?" : `skygen: ${state.tiles}, seed ${state.seed}`;
  if (state.view !== "walk") stop();
}

async function recover(error) {
  drawing.abort(); // the other pictures of this drawing would only repeat it
  if ($("tile").open) $("tile").close();
  document.body.removeAttribute("aria-busy");
  $("key-form").hidden = error.status !== 401;
  if (error.status === 401) $("key").focus();
  if (error.status === 404) cards = null; // perhaps a bundle was promoted: look at the cards again
  if (error.status === undefined) console.error(error); // ours, not the service's
  complain(error, draw);
}

$("key-form").onsubmit = (event) => {
  event.preventDefault();
  useKey($("key").value);
  $("key").value = "";
  $("key-form").hidden = true;
  draw();
};
document.querySelector("[data-skip]").onclick = (event) => {
  event.preventDefault();
  $("view").focus();
};
prepareTile();
prepareWalk();
prepareReal();
prepareTake();
addEventListener("statechange", draw);
addEventListener("popstate", draw);
say("Loading…");
draw();
