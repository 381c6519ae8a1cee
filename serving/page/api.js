// The service as the page sees it: one way to call it, with the key, patience when it is busy, and errors in words.
// Addresses of tiles are made here too, so that the browser's cache and the curl line agree with what is shown.

import { say } from "./dom.js";

const KEY = "skygen-key";
const PATIENCE = 4; // tries of a call that the service is too busy for
const WORDS = {
  404: "The service does not have that.",
  429: "The service is busy. Try again in a moment.",
  504: "The service took too long and gave up. Fewer tiles may help.",
};

/** What went wrong: `status` (0: no answer at all), the sentence, and sentences by field name. */
export class ServiceError extends Error {
  constructor(status, message, fields = {}) {
    super(message);
    Object.assign(this, { status, fields });
  }
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const useKey = (key) => sessionStorage.setItem(KEY, key);

/** The answer of a GET, or of a POST where there is a body; a busy service is asked again after the time it names. */
export async function call(path, { body, signal } = {}) {
  for (let attempt = 1; ; attempt++) {
    const response = await once(path, body, signal);
    if (response.ok) return response;
    if (response.status !== 429 || attempt === PATIENCE) throw await inWords(response);
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    say(`The service is busy; asking again in ${seconds} s.`);
    await pause(seconds * 1000, signal);
  }
}

async function once(path, body, signal) {
  const headers = hasKey() ? { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServiceError(0, "The service cannot be reached. Is this machine online, and the service running?");
  }
}

async function inWords(response) {
  const said = await response.json().catch(() => ({}));
  const fields = Object.fromEntries((said.detail ?? []).map(({ loc, msg }) => [loc?.[0] ?? "request", msg]));
  const sentence = ([field, text]) => (text.startsWith(field) ? text : `${field}: ${text}`);
  const sentences = Object.entries(fields).map(sentence);
  if (response.status === 401) {
    return new ServiceError(401, hasKey() ? "The service does not know this key." : "The service asks for an API key.");
  }
  const words = response.status === 400 ? sentences.join("; ") || said.error : WORDS[response.status] ?? said.error;
  return new ServiceError(response.status, words ?? `The service answered ${response.status}.`, fields);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => reject(signal.reason));
  });
}

/** Show the picture at `path` in `image`; what it showed before stays until then, and the same picture stays. */
export async function show(image, path, signal) {
  if (image.dataset.address === path) return;
  const picture = URL.createObjectURL(await (await call(path, { signal })).blob());
  forget(image);
  image.src = picture;
  image.dataset.address = path;
  await image.decode();
}

/** Free what `image` shows. */
export function forget(image) {
  if (image.src) URL.revokeObjectURL(image.src);
}

/** Save the answer of a call as a file. */
export async function save({ path, body, name }) {
  const address = URL.createObjectURL(await (await call(path, { body })).blob());
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** What a model can be asked of a state: recipes that paint their own noise or have no PSF take the survey's alone. */
export function conditions(state, card) {
  return {
    model: card.recipe,
    noise: card.takes.noise ? state.noise : "survey",
    seeing: card.takes.seeing ? state.seeing : "survey",
  };
}

/** The address of one tile (`kind` is tile or measure, `ending` .png or the like): the bundle's hash makes it last. */
export function tileAddress(kind, state, card, index, ending = "") {
  const query = new URLSearchParams({ index, ...conditions(state, card), version: card.sha256 });
  return `v1/${kind}/${card.tiles}/${state.seed}${ending}?${query}`;
}

/** The request for all tiles of a grid, or for a walk, in a format: path, body and the name of the file. */
export function request(state, card, format) {
  const common = { tiles: card.tiles, ...conditions(state, card) };
  const walking = state.view === "walk";
  const asked = walking ? { seed: state.seed, to: state.to, steps: state.steps } : { seed: state.seed, n: state.n };
  const words = walking ? [state.seed, "to", state.to, state.steps] : [state.seed, state.n];
  return {
    path: walking ? "v1/interpolate" : "v1/generate",
    body: json({ ...common, ...asked, format }),
    name: `${["skygen", card.tiles, card.recipe, ...words].join("-")}.${format}`,
  };
}

/** JSON in which decimal strings are numbers: seeds go beyond what a JavaScript number holds. */
function json(values) {
  const fields = Object.entries(values).map(([name, value]) => {
    const bare = /^[0-9]+$/.test(value) || (Number.isFinite(Number(value)) && String(Number(value)) === value);
    return `"${name}": ${bare ? value : JSON.stringify(value)}`;
  });
  return `{${fields.join(", ")}}`;
}
