// The form: what may be chosen, from the service's cards, and what a choice does to the state.
// It shows the state and changes it; drawing is the views' affair.

import { $, el, option, wrong } from "./dom.js";
import { anySeed, change, COUNTS, MAX_SEED, parseSeed, seedBeside, STEPS } from "./state.js";

const BAD_SEED = `a whole number from 0 to ${MAX_SEED}`;

/** Fill the form with the choices that the cards leave, and listen to it. */
export function prepareControls(cards) {
  const sets = new Map(cards.map((card) => [card.tiles, card]));
  const shape = (card) => `${card.size}×${card.size} ${card.bands.join(" ")}`;
  refill("sets", [...sets.values()].map((card) => option("tiles", card.tiles, card.tiles, shape(card))));
  refill("counts", COUNTS.map((count) => option("n", count, count)));
  refill("step-counts", STEPS.map((count) => option("steps", count, count)));
  $("controls").onsubmit = (event) => event.preventDefault();
  $("controls").onchange = changed;
  $("seed-down").onclick = () => change({ seed: seedBeside($("seed").value, -1) });
  $("seed-up").onclick = () => change({ seed: seedBeside($("seed").value, 1) });
  $("seed-any").onclick = () => change({ seed: anySeed() });
}

function refill(id, options) {
  $(id).replaceChildren($(id).firstElementChild, ...options);
}

function changed({ target }) {
  const [name] = (target.name || target.id).split("-");
  if (name === "seed" || name === "to") return changeSeed(name, target.value);
  if (name === "tiles") return change({ tiles: target.value, model: null });
  if (name === "noise" || name === "seeing") {
    const chosen = document.querySelector(`input[name=${name}]:checked`).value;
    const level = $(`${name}-level`).value;
    if (target.type === "number" && chosen !== "level") return undefined;
    if (chosen === "level" && level === "") return wrong(name, "a number");
    return change({ [name]: chosen === "level" ? String(Number(level)) : chosen });
  }
  return change({ [name]: target.value });
}

function changeSeed(name, text) {
  const seed = parseSeed(text);
  wrong(name, seed === null ? BAD_SEED : "");
  if (seed !== null) change({ [name]: seed });
}

/** Show the state in the form, with the fields that its view uses and its model can follow. */
export function showControls(state, cards) {
  const ofSet = cards.filter((card) => card.tiles === state.tiles);
  const card = ofSet.find(({ recipe }) => recipe === state.model);
  for (const field of document.querySelectorAll("[data-views]")) {
    field.hidden = !field.dataset.views.split(" ").includes(state.view);
  }
  const title = ({ recipe, champion }) => (champion ? `${recipe} (champion)` : recipe);
  $("model").replaceChildren(...ofSet.map((of) => el("option", { value: of.recipe }, title(of))));
  $("model").value = state.model;
  $("seed").value = state.seed;
  $("to").value = state.to;
  $("seed-label").textContent = state.view === "walk" ? "From seed" : "Seed";
  for (const name of ["tiles", "n", "steps"]) check(name, state[name]);
  showCondition("noise", state);
  showCondition("seeing", state);
  showLimits(state, card, ofSet);
  showCard(card);
}

function check(name, value) {
  document.querySelector(`input[name=${name}][value="${value}"]`).checked = true;
}

function showCondition(name, state) {
  const words = name === "noise" ? ["survey", "none"] : ["survey"];
  const level = !words.includes(state[name]);
  check(name, level ? "level" : state[name]);
  if (level) $(`${name}-level`).value = state[name];
  $(`${name}-level`).disabled = !level;
}

function showLimits(state, card, ofSet) {
  const able = state.view === "recipes" ? ofSet : [card];
  const noise = able.some(({ takes }) => takes.noise);
  const seeing = able.some(({ takes }) => takes.seeing);
  $("noise-field").disabled = !noise;
  $("seeing-field").disabled = !seeing;
  const fixed = [!noise && "noise", !seeing && "seeing"].filter(Boolean).join(" and ");
  const who = state.view === "recipes" ? "These recipes paint their" : `Recipe ${card.recipe} paints its`;
  $("painted").textContent = `${who} own ${fixed}, as in the survey.`;
  $("painted").hidden = !fixed || state.view === "real";
}

function showCard(card) {
  const spaced = ([name, value]) => [name.replaceAll("_", " "), value.toPrecision(4)];
  const measured = Object.entries(card.validation).map(spaced);
  const facts = {
    Recipe: card.champion ? `${card.recipe}, champion of ${card.tiles}` : `${card.recipe} for ${card.tiles}`,
    "Trained at": card.trained_at.slice(0, 10),
    Iterations: card.iteration.toLocaleString("en"),
    "Images seen": card.images_seen.toLocaleString("en"),
    "Pixel scale": `${card.pixel_scale_arcsec} arcsec`,
    ...Object.fromEntries(measured),
    Engine: card.engine,
    Data: card.data_hash,
    Commit: card.commit,
    Bundle: card.sha256,
  };
  const known = Object.entries(facts).filter(([, value]) => value);
  $("card").replaceChildren(...known.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
