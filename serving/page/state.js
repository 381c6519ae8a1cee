// What is shown, as the address says it: every view can be shared, bookmarked and gone back to.
// Values are strings, since seeds go beyond what a JavaScript number holds exactly.

export const MAX_SEED = 2n ** 63n - 1n;
export const COUNTS = ["4", "9", "16", "36"];
export const STEPS = ["9", "17", "33"];
export const VIEWS = ["grid", "recipes", "walk", "real"];
const CONDITIONS = { noise: "survey", seeing: "survey" };
const DEFAULTS = { view: "grid", seed: "7", to: "8", ...CONDITIONS, n: "9", steps: "17", step: "0" };

/** The seed that a text names, or null: an integer from 0 to 2^63 - 1. */
export function parseSeed(text) {
  const digits = text.trim().replaceAll(/[\s_,]/g, "");
  return /^[0-9]{1,19}$/.test(digits) && BigInt(digits) <= MAX_SEED ? String(BigInt(digits)) : null;
}

/** The seed `steps` further on, from 0 to 2^63 - 1 and round again. */
export function seedBeside(seed, steps) {
  const all = MAX_SEED + 1n;
  return String((BigInt(seed) + BigInt(steps) + all) % all);
}

/** A seed by chance, short enough to be read aloud. */
export const anySeed = () => String(crypto.getRandomValues(new Uint32Array(1))[0]);

/** The state that the address holds; what it lacks or has wrong is the default, by the cards of the service. */
export function readState(cards) {
  const said = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const state = { ...DEFAULTS, ...said };
  const sets = [...new Set(cards.map((card) => card.tiles))];
  const numbers = ({ size, bands }) => size * size * bands.length;
  const richest = cards.reduce((best, card) => (numbers(card) > numbers(best) ? card : best));
  state.tiles = pick(said.tiles, sets, richest.tiles);
  const ofSet = cards.filter((card) => card.tiles === state.tiles);
  const champion = ofSet.find((card) => card.champion) ?? ofSet[0];
  state.model = pick(said.model, ofSet.map((card) => card.recipe), champion.recipe);
  state.view = pick(state.view, VIEWS, DEFAULTS.view);
  state.n = pick(state.n, COUNTS, DEFAULTS.n);
  state.steps = pick(state.steps, STEPS, DEFAULTS.steps);
  for (const seed of ["seed", "to"]) state[seed] = parseSeed(state[seed]) ?? DEFAULTS[seed];
  state.step = pick(state.step, [...Array(Number(state.steps)).keys()].map(String), "0");
  state.tile = pick(said.tile, [...Array(Number(state.n)).keys()].map(String), null);
  return state;
}

const pick = (value, choices, otherwise) => (choices.includes(value) ? value : otherwise);

/** The address of the present one with `changes`; null takes a value out. */
export function addressOf(changes) {
  const values = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) values.delete(name);
    else values.set(name, value);
  }
  return `#${values}`;
}

/** Change the state: a step that the back button undoes, unless it `replace`s the present one. */
export function change(changes, { replace = false } = {}) {
  const address = addressOf(changes);
  if (address === (location.hash || "#")) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new Event("statechange"));
}
