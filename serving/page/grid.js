// Tiles in squares: the view of one recipe, and the view of all recipes of a set (and real tiles) side by side.
// Elements are kept between drawings, so that a new seed changes pictures in their places.

import { call, forget, show, tileAddress } from "./api.js";
import { $, el, say } from "./dom.js";
import { change } from "./state.js";

const real = new Map(); // by tile set, what the service says of its real tiles

/** Draw the tiles of the state's recipe. */
export async function drawGrid(state, cards, signal) {
  const card = cards.find(({ tiles, recipe }) => tiles === state.tiles && recipe === state.model);
  const squares = arrange($("grid"), [{ key: "grid" }]);
  await drawTiles(squares[0], state, card, signal);
  say(`${state.n} tiles of seed ${state.seed}, ${card.tiles} ${card.recipe}`);
}

/** Draw the same seed by every recipe of the set, beside real tiles where the service has some. */
export async function drawRecipes(state, cards, signal) {
  const ofSet = cards.filter(({ tiles }) => tiles === state.tiles);
  const survey = await realTiles(state.tiles, signal);
  const groups = ofSet.map((card) => ({ key: card.recipe, title: card.recipe, note: noteOf(card, state) }));
  const from = survey?.source === "simulated" ? "of simulated frames" : "of the survey";
  if (survey) groups.push({ key: "real tiles", title: "real", note: from });
  const squares = arrange($("recipes"), groups);
  const drawing = ofSet.map((card, place) => drawTiles(squares[place], state, card, signal));
  if (survey) drawing.push(drawReal(squares.at(-1), state, survey.count, signal));
  await Promise.all(drawing);
  say(`Seed ${state.seed} of ${state.tiles} by ${ofSet.map(({ recipe }) => recipe).join(", ")}`);
}

/** How many real tiles there are and where they are from, or null where the service has none of this set. */
export async function realTiles(tiles, signal) {
  if (!real.has(tiles)) {
    const answer = call(`v1/real/${tiles}`, { signal }).then((response) => response.json());
    real.set(tiles, await answer.catch((error) => (error.status === 404 ? null : Promise.reject(error))));
  }
  return real.get(tiles);
}

function noteOf(card, state) {
  const paints = !card.takes.noise && state.noise !== "survey" ? "paints its own noise" : "";
  return [card.champion ? "champion" : "", paints].filter(Boolean).join(", ");
}

/** A square list for each group, in `root`; those that are there already stay. */
function arrange(root, groups) {
  const before = new Map([...root.children].map((block) => [block.dataset.key, block]));
  const blocks = groups.map(({ key, title, note }) => {
    const made = () => el("div", { class: "block", "data-key": key }, el("h2"), el("ol", { class: "square" }));
    const block = before.get(key) ?? made();
    block.firstChild.replaceChildren(title ?? "", note ? el("small", {}, note) : "");
    block.firstChild.hidden = !title;
    return block;
  });
  const same = blocks.length === before.size && blocks.every((block) => block.parentElement === root);
  if (!same) root.replaceChildren(...blocks); // else none is taken out, which would lose the focus in it
  return blocks.map((block) => block.lastChild);
}

function drawTiles(square, state, card, signal) {
  const buttons = places(square, state.n, () => el("button", { type: "button", onkeydown: walkByArrows }, el("img")));
  return Promise.all(
    buttons.map((button, index) => {
      button.onclick = () => change({ tile: index, model: card.recipe });
      button.firstChild.alt = `Tile ${index} of seed ${state.seed}, ${card.recipe}`;
      return fillPlace(button.firstChild, tileAddress("tile", state, card, index, ".png"), signal);
    }),
  );
}

function drawReal(square, state, count, signal) {
  const images = places(square, state.n, () => el("img"));
  return Promise.all(
    images.map((image, place) => {
      const index = Number((BigInt(state.seed) * BigInt(state.n) + BigInt(place)) % BigInt(count));
      image.alt = `Real tile ${index}`;
      return fillPlace(image, `v1/real/${state.tiles}/${index}.png`, signal);
    }),
  );
}

async function fillPlace(image, address, signal) {
  const place = image.closest("li");
  place.classList.add("waiting");
  await show(image, address, signal);
  place.classList.remove("waiting");
}

/** The first child of each of `count` list items, made by `make` where they are missing. */
function places(square, count, make) {
  square.style.setProperty("--columns", Math.sqrt(count));
  while (square.children.length > count) {
    square.querySelectorAll("li:last-child img").forEach(forget);
    square.lastChild.remove();
  }
  while (square.children.length < count) square.append(el("li", {}, make()));
  return [...square.children].map((item) => item.firstChild);
}

/** Arrow keys move between the tiles of a square, as the eye would. */
function walkByArrows(event) {
  const item = event.currentTarget.parentElement;
  const columns = Math.sqrt(item.parentElement.children.length);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const next = by && [...item.parentElement.children][[...item.parentElement.children].indexOf(item) + by];
  if (!next) return;
  event.preventDefault();
  next.firstChild.focus();
}
