// The walk between two seeds: one contact sheet from the service, cut into frames here.

import { call, request } from "./api.js";
import { $, say } from "./dom.js";
import { change } from "./state.js";

const SEAM_PX = 2; // of the service's contact sheets
const STRIP_FRAMES = 9; // under the walk: the whole way at a glance
const FRAME_MS = 130;
const CALM_FRAME_MS = 1000; // for those who ask for less motion

const NO_WALK = (recipe) =>
  `Recipe ${recipe} has no walk: between the skies of two seeds stars would appear and vanish. Choose another recipe.`;

let walk = null; // the sheet, its columns, the size of a tile, the state it belongs to
let timer = null;
let heading = 1;

/** Listen to the slider, the strip and the play button. */
export function prepareWalk() {
  $("walk-step").oninput = ({ target }) => {
    stop();
    drawFrame(Number(target.value));
  };
  $("walk-step").onchange = keep;
  $("walk-play").onclick = () => {
    if (timer === null) return play();
    stop();
    return keep();
  };
  $("walk-strip").onclick = (event) => {
    if (walk === null) return;
    const place = Math.floor((event.offsetX / $("walk-strip").clientWidth) * STRIP_FRAMES);
    stop();
    drawFrame(stepAt(Math.min(place, STRIP_FRAMES - 1)));
    keep();
  };
}

/** Put the step on show into the address: not while it moves, since browsers bear only so many changes a minute. */
function keep() {
  change({ step: $("walk-step").value }, { replace: true });
}

/** Draw the state's step, having fetched the walk where it is not the one at hand. */
export async function drawWalk(state, cards, signal) {
  const card = cards.find(({ tiles, recipe }) => tiles === state.tiles && recipe === state.model);
  $("walk-place").parentElement.hidden = $("walk-tile").hidden = $("walk-strip").hidden = !card.takes.walk;
  if (!card.takes.walk) {
    stop();
    walk = null;
    $("walk-note").textContent = NO_WALK(card.recipe);
    say(NO_WALK(card.recipe));
    return;
  }
  const { path, body } = request(state, card, "png");
  if (walk?.body !== body) {
    stop();
    const sheet = await createImageBitmap(await (await call(path, { body, signal })).blob());
    const steps = Number(state.steps);
    const columns = Math.ceil(Math.sqrt(steps));
    walk = { body, sheet, steps, columns, size: card.size, from: state.seed, to: state.to };
    drawStrip();
    const way = card.latents === "normal" ? "along the sphere that the latents lie near" : "in a straight line";
    const sky = card.takes.noise ? ", under the conditions of the first throughout" : "";
    $("walk-note").textContent = `${steps} steps between the two seeds' first tiles, ${way}${sky}.`;
    say(`Walk of ${steps} steps from seed ${state.seed} to seed ${state.to}`);
  }
  drawFrame(Number(state.step));
  $("walk-play").disabled = $("walk-step").disabled = false;
}

/** Stop playing, as when another view is opened. */
export function stop() {
  clearInterval(timer);
  timer = null;
  $("walk-play").textContent = "Play";
  $("walk-play").setAttribute("aria-pressed", "false");
}

function play() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  timer = setInterval(advance, calm ? CALM_FRAME_MS : FRAME_MS);
  $("walk-play").textContent = "Pause";
  $("walk-play").setAttribute("aria-pressed", "true");
}

/** One step on, turning round at the ends. */
function advance() {
  const step = Number($("walk-step").value);
  if (step + heading < 0 || step + heading >= walk.steps) heading = -heading;
  drawFrame(step + heading);
}

function drawFrame(step) {
  const { size, steps, from, to } = walk;
  const canvas = $("walk-tile");
  canvas.width = canvas.height = size;
  copy(step, canvas.getContext("2d"), 0);
  canvas.setAttribute("aria-label", `Step ${step + 1} of ${steps} from seed ${from} to seed ${to}`);
  $("walk-step").max = steps - 1;
  $("walk-step").value = step;
  $("walk-step").setAttribute("aria-valuetext", `step ${step + 1} of ${steps}`);
  $("walk-place").textContent = `${step + 1} / ${steps}`;
}

function drawStrip() {
  const strip = $("walk-strip");
  Object.assign(strip, { width: STRIP_FRAMES * walk.size, height: walk.size });
  const context = strip.getContext("2d");
  for (let place = 0; place < STRIP_FRAMES; place++) copy(stepAt(place), context, place * walk.size);
}

const stepAt = (place) => Math.round((place * (walk.steps - 1)) / (STRIP_FRAMES - 1));

function copy(step, context, left) {
  const { sheet, size, columns } = walk;
  const from = [(step % columns) * (size + SEAM_PX), Math.floor(step / columns) * (size + SEAM_PX)];
  context.drawImage(sheet, ...from, size, size, left, 0, size, size);
}
