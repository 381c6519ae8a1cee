// Taking tiles away: the download, and the lines of curl and Python that fetch what is shown.

import { conditions, hasKey, request, save, tileAddress } from "./api.js";
import { $, complain, option, say } from "./dom.js";

const FORMATS = { fits: "FITS", npy: "npy", png: "PNG" };
const COPIED_MS = 1500;

let offered = []; // the requests for what is shown

/** Listen to the format, the download and the copy buttons. */
export function prepareTake() {
  $("formats").append(...Object.entries(FORMATS).map(([value, text]) => option("format", value, text)));
  $("formats").querySelector("input").checked = true;
  $("download").onclick = download;
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.onclick = () => copy($(button.dataset.copy), button);
  }
}

/** Offer what the state shows: one file, or one a recipe. */
export function showTake(state, cards) {
  const ofSet = cards.filter(({ tiles }) => tiles === state.tiles);
  const shown = state.view === "recipes" ? ofSet : ofSet.filter(({ recipe }) => recipe === state.model);
  const refresh = () => {
    offered = shown.map((card) => request(state, card, $("formats").querySelector(":checked").value));
    $("curl").textContent = offered.map(curl).join("\n");
  };
  const walks = shown.every(({ takes }) => takes.walk);
  $("take").hidden = state.view === "real" || (state.view === "walk" && !walks);
  $("formats").onchange = refresh;
  $("python").textContent = python(state, shown);
  refresh();
}

async function download() {
  try {
    for (const each of offered) {
      say(`Fetching ${each.name}…`);
      await save(each);
      say(`Saved ${each.name}`);
    }
  } catch (error) {
    complain(error, download);
  }
}

async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code); // without HTTPS there is no clipboard: select it for Ctrl+C
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
}

const KEY_OPTION = '-H "Authorization: Bearer $SKYGEN_API_KEY" ';
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const withKey = () => (hasKey() ? KEY_OPTION : "");

function curl({ path, body, name }) {
  const posted = `-H 'Content-Type: application/json' -d ${quoted(body)}`;
  return `curl --fail -o ${name} ${withKey()}${posted} ${quoted(absolute(path))}`;
}

/** The line that fetches one tile as FITS. */
export function curlOfTile(state, card) {
  const address = absolute(tileAddress("tile", state, card, state.tile, ".fits"));
  const name = `skygen-${card.tiles}-${card.recipe}-${state.seed}-tile${state.tile}.fits`;
  return `curl --fail -o ${name} ${withKey()}${quoted(address)}`;
}

/** The lines of Python that give what is shown as arrays, by skygen.client. */
function python(state, shown) {
  const key = hasKey() ? ', key=os.environ["SKYGEN_API_KEY"]' : "";
  return [
    ...(key ? ["import os", ""] : []),
    "from skygen.client import Client",
    "",
    `with Client(${JSON.stringify(absolute("").replace(/\/$/, ""))}${key}) as client:`,
    ...shown.map((card) => `    ${card.recipe.replaceAll(/\W/g, "_")} = client.${invocation(state, card)}.flux`),
  ].join("\n");
}

function invocation(state, card) {
  const { model, noise, seeing } = conditions(state, card);
  const walking = state.view === "walk";
  const counted = walking ? { to: state.to, steps: state.steps } : { n: state.n };
  const words = { seed: state.seed, ...counted, model: JSON.stringify(model) };
  if (noise !== "survey") words.noise = noise === "none" ? JSON.stringify(noise) : noise;
  if (seeing !== "survey") words.seeing = seeing;
  const said = Object.entries(words).map(([name, value]) => `${name}=${value}`);
  return `${walking ? "interpolate" : "generate"}(${[JSON.stringify(card.tiles), ...said].join(", ")})`;
}

/** The whole address of what lies at `path` beside this page. */
function absolute(path) {
  return new URL(path, document.baseURI.replace(/[?#].*$/, "")).href;
}
