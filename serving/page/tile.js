// The dialog of one tile: the tile enlarged with its sources ringed, its histogram, its numbers, its files.

import { call, conditions, save, show, tileAddress } from "./api.js";
import { $, complain, el, svg } from "./dom.js";
import { histogram } from "./histogram.js";
import { change } from "./state.js";
import { curlOfTile } from "./take.js";

const RING_LIGHT_RADII = 2; // radius of a ring around a source, in half-light radii
const LEAST_RING_PX = 3;
const COLUMNS = [
  ["magnitude", "r mag", 2],
  ["x", "x px", 1],
  ["y", "y px", 1],
  ["half_light_radius_px", "radius px", 2],
  ["ellipticity", "ellipticity", 2],
  ["g_r", "g−r", 2],
  ["r_i", "r−i", 2],
];

let shown = null; // the tile on show: state, card and the place in the grid

/** Listen to the dialog's buttons and keys; closing it, in whatever way, takes the tile out of the state. */
export function prepareTile() {
  const dialog = $("tile");
  $("tile-close").onclick = () => dialog.close();
  $("tile-previous").onclick = () => step(-1);
  $("tile-next").onclick = () => step(1);
  $("tile-circles").onchange = ({ target }) => $("tile-picture").classList.toggle("bare", !target.checked);
  $("tile-pixels").onchange = ({ target }) => $("tile-picture").classList.toggle("smooth", !target.checked);
  dialog.onclick = ({ target }) => {
    if (target === dialog) dialog.close(); // the dark around it
  };
  dialog.onclose = () => shown && change({ tile: null });
  dialog.onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  };
}

function step(by) {
  const index = Number(shown.state.tile) + by;
  if (index >= 0 && index < Number(shown.state.n)) change({ tile: index }, { replace: true });
}

/** Show the tile that the state names, or close the dialog. */
export async function showTile(state, cards, signal) {
  const dialog = $("tile");
  if (state.tile === null || !["grid", "recipes"].includes(state.view)) {
    shown = null;
    return dialog.open && dialog.close();
  }
  const card = cards.find(({ tiles, recipe }) => tiles === state.tiles && recipe === state.model);
  shown = { state, card };
  describe(state, card);
  if (!dialog.open) dialog.showModal();
  const [answer] = await Promise.all([
    call(tileAddress("measure", state, card, state.tile), { signal }),
    show(dialog.querySelector("img"), tileAddress("tile", state, card, state.tile, ".png"), signal),
  ]);
  const numbers = await answer.json();
  numbers.sources.sort((one, other) => one.magnitude - other.magnitude);
  showNumbers(numbers, card, state);
  showRings(numbers.sources, card.size);
}

function describe(state, card) {
  const image = $("tile").querySelector("img");
  $("tile-title").textContent = `Tile ${state.tile} of seed ${state.seed}`;
  image.alt = `Tile ${state.tile} of seed ${state.seed}, ${card.recipe}, enlarged`;
  image.width = image.height = card.size;
  $("tile-picture").querySelector("svg").replaceChildren();
  $("tile-numbers").replaceChildren(el("p", { class: "note" }, "Measuring…"));
  $("tile-previous").disabled = state.tile === "0";
  $("tile-next").disabled = Number(state.tile) === Number(state.n) - 1;
  $("tile-curl").textContent = curlOfTile(state, card);
  $("tile-links").replaceChildren(...["fits", "npy", "png"].map((ending) => link(state, card, ending)));
}

/** A link to one file of the tile, fetched by the page so that a key goes with it and errors are put in words. */
function link(state, card, ending) {
  const path = tileAddress("tile", state, card, state.tile, `.${ending}`);
  const name = `skygen-${card.tiles}-${card.recipe}-${state.seed}-tile${state.tile}.${ending}`;
  const fetched = (event) => {
    event.preventDefault();
    save({ path, name }).catch((error) => complainHere(error));
  };
  return el("a", { href: path, download: name, onclick: fetched }, ending === "fits" ? "FITS" : ending);
}

function complainHere(error) {
  $("tile").close();
  complain(error, () => location.reload());
}

function showNumbers({ flux, sky_noise_nmgy, sources }, card, state) {
  const { noise, seeing } = conditions(state, card);
  const facts = [
    ["Recipe", `${card.tiles} ${card.recipe}`],
    ["Noise", noise === "survey" || noise === "none" ? noise : `${noise} nmgy in r`],
    ["Seeing", seeing === "survey" ? seeing : `${seeing} arcsec`],
    ...Object.entries(sky_noise_nmgy).map(([band, value]) => [`Sky noise in ${band}`, `${value.toPrecision(3)} nmgy`]),
  ];
  const pairs = facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  $("tile-numbers").replaceChildren(
    el("dl", { class: "facts" }, ...pairs),
    el("h3", {}, "Pixels by flux"),
    histogram(flux),
    el("h3", {}, sources.length === 1 ? "1 source found in r" : `${sources.length} sources found in r`),
    sources.length ? table(sources) : el("p", { class: "note" }, "Nothing here rises far enough above the noise."),
  );
}

function table(sources) {
  const columns = COLUMNS.filter(([name]) => name in sources[0]);
  const cell = (value, digits) => el("td", {}, value === null ? "–" : value.toFixed(digits).replace("-", "−"));
  const rows = sources.map((source, place) => {
    const [on, off] = [() => mark(place), () => mark(null)];
    const listening = { tabindex: "0", onfocus: on, onmouseenter: on, onblur: off, onmouseleave: off };
    return el("tr", listening, ...columns.map(([name, , digits]) => cell(source[name], digits)));
  });
  const head = el("tr", {}, ...columns.map(([, title]) => el("th", { scope: "col" }, title)));
  return el("div", { class: "table" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
}

/** Row 0 of a tile is the bottom row of its picture. */
function showRings(sources, size) {
  const picture = $("tile-picture").querySelector("svg");
  picture.setAttribute("viewBox", `0 0 ${size} ${size}`);
  const rings = sources.map(({ x, y, half_light_radius_px: radius }) =>
    svg("circle", { cx: x + 0.5, cy: size - 0.5 - y, r: Math.max(LEAST_RING_PX, RING_LIGHT_RADII * radius) }),
  );
  picture.replaceChildren(...rings);
}

function mark(place) {
  const rings = $("tile-picture").querySelector("svg").children;
  [...rings].forEach((ring, at) => ring.classList.toggle("marked", at === place));
}
