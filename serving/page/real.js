// "Which is real?": pairs of a real tile and a generated one, the score, and what chance alone would give.

import { forget, show, tileAddress } from "./api.js";
import { $, complain, el, say } from "./dom.js";
import { realTiles } from "./grid.js";
import { anySeed } from "./state.js";

const FEWEST = 5; // answers before the score says anything of chance

const TAKEN = {
  simulated: "cut from a simulated frame of the survey, which the generator never saw",
  sdss: "taken by the survey's telescope",
  local: "cut from a frame of the survey",
};

const scores = new Map(); // by tile set and recipe: {right, asked}
let game = null; // the card, the real tiles' description, the pair on show

/** Listen for the next pair, and for the keys 1 and 2. */
export function prepareReal() {
  $("next-pair").onclick = next;
  document.addEventListener("keydown", (event) => {
    if ($("real").hidden || $("real-game").hidden || event.target.matches("input, select")) return;
    $("pair").querySelectorAll("button")[["1", "2"].indexOf(event.key)]?.click();
  });
}

/** Start with the state's recipe, or go on with the pair on show. */
export async function drawReal(state, cards, signal) {
  const card = cards.find(({ tiles, recipe }) => tiles === state.tiles && recipe === state.model);
  const real = await realTiles(state.tiles, signal);
  $("real-none").hidden = real !== null;
  $("real-none").textContent = `This service holds no real tiles of ${state.tiles} to compare with.`;
  $("real-game").hidden = real === null;
  say("");
  if (real === null || game?.card.sha256 === card.sha256) return;
  const taken = TAKEN[real.source] ?? "real";
  const drawn = `the other was drawn from a seed by ${card.recipe}`;
  $("real-task").textContent = `One of these was ${taken}; ${drawn}. Which is the real one?`;
  await deal(card, real, signal);
}

function next() {
  $("next-pair").disabled = true;
  deal(game.card, game.real).catch((error) => complain(error, next));
}

/** Put a new pair on the table, both at once, so that neither's loading tells which it is. */
async function deal(card, real, signal) {
  const index = crypto.getRandomValues(new Uint32Array(1))[0] % real.count;
  const state = { seed: anySeed(), noise: "survey", seeing: "survey" };
  const taken = [`v1/real/${card.tiles}/${index}.png`, `Real: tile ${index}, field ${real.fields[index]}`];
  const drawn = [tileAddress("tile", state, card, 0, ".png"), `Generated: seed ${state.seed}`];
  const two = [taken, drawn].map(([address, origin], place) => ({ real: place === 0, address, origin }));
  if (crypto.getRandomValues(new Uint8Array(1))[0] % 2) two.reverse();
  const images = two.map((_, place) => el("img", { alt: `Tile ${place + 1}`, width: card.size, height: card.size }));
  await Promise.all(images.map((image, place) => show(image, two[place].address, signal)));
  document.querySelectorAll("#pair img").forEach(forget);
  $("pair").replaceChildren(...images.map((image, place) => figure(image, place)));
  $("next-pair").disabled = true;
  $("verdict").textContent = "";
  game = { card, real, pair: two };
  showScore();
}

function figure(image, place) {
  const name = el("span", {}, `Tile ${place + 1}`);
  const button = el("button", { type: "button", onclick: () => answer(place) }, image, name);
  return el("figure", {}, button, el("figcaption"));
}

function answer(place) {
  const right = game.pair[place].real;
  const score = scoreOf(game.card);
  score.asked += 1;
  score.right += right ? 1 : 0;
  [...$("pair").children].forEach((figure, at) => {
    figure.classList.toggle("is-real", game.pair[at].real);
    figure.querySelector("button").disabled = true;
    figure.querySelector("figcaption").textContent = game.pair[at].origin;
  });
  $("verdict").textContent = right ? "Right: that is the real one." : "No: that one was generated.";
  $("next-pair").disabled = false;
  $("next-pair").focus();
  showScore();
}

function scoreOf({ tiles, recipe }) {
  const key = `${tiles}/${recipe}`;
  if (!scores.has(key)) scores.set(key, { right: 0, asked: 0 });
  return scores.get(key);
}

function showScore() {
  const { right, asked } = scoreOf(game.card);
  if (asked === 0) $("score").textContent = "";
  else if (asked < FEWEST) $("score").textContent = `${right} of ${asked} right`;
  else $("score").textContent = `${right} of ${asked} right; ${comment(right, asked)}`;
}

function comment(right, asked) {
  const chance = atLeast(right, asked);
  const percent = chance < 0.001 ? "less than 0.1 %" : `${(100 * chance).toPrecision(2)} %`;
  return `by guessing alone, as many or more come with probability ${percent}`;
}

/** The probability of `right` or more heads in `asked` throws of a fair coin. */
export function atLeast(right, asked) {
  let ways = 1;
  let sum = 0;
  for (let heads = 0; heads <= asked; heads++) {
    if (heads >= right) sum += ways;
    ways = (ways * (asked - heads)) / (heads + 1);
  }
  return sum / 2 ** asked;
}
