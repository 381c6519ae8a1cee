// The flux histogram as SVG: counts on a logarithmic axis over flux on an asinh one, a line a band.

import { svg } from "./dom.js";

const WIDTH = 400;
const HEIGHT = 190;
const LEFT = 38;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 34;
const LINEAR_NMGY = 0.1; // flux below which the axis is linear: three times the survey's sky noise
const TICKS_NMGY = [-10, -1, -0.1, 0, 0.1, 1, 10, 100];

/** The picture of `{edges, counts: {band: [...]}}`, in nmgy. */
export function histogram({ edges, counts }) {
  const bent = (flux) => Math.asinh(flux / LINEAR_NMGY);
  const [low, high] = [bent(edges[0]), bent(edges.at(-1))];
  const most = Math.max(10, ...Object.values(counts).flat());
  const x = (flux) => LEFT + ((bent(flux) - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
  const height = (count) => Math.log10(Math.max(count, 0.5) / 0.5) / Math.log10(most / 0.5);
  const y = (count) => HEIGHT - BOTTOM - height(count) * (HEIGHT - TOP - BOTTOM);
  const bands = Object.keys(counts);
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "histogram", role: "img", "aria-label": inWords(edges, counts) },
    ...axes(x, y, edges, most),
    ...bands.map((band) => svg("path", { class: `line band-${band}`, d: outline(edges, counts[band], x, y) })),
    ...legend(bands),
  );
}

function axes(x, y, edges, most) {
  const decades = [...Array(Math.floor(Math.log10(most)) + 1).keys()].map((power) => 10 ** power);
  const ticks = TICKS_NMGY.filter((flux) => flux >= edges[0] && flux <= edges.at(-1));
  const floor = HEIGHT - BOTTOM;
  return [
    ...decades.flatMap((count) => [
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(count), y2: y(count) }),
      svg("text", { x: LEFT - 5, y: y(count) + 3.5, "text-anchor": "end" }, count.toLocaleString("en")),
    ]),
    ...ticks.flatMap((flux) => [
      svg("line", { class: "tick", x1: x(flux), x2: x(flux), y1: floor, y2: floor + 4 }),
      svg("text", { x: x(flux), y: floor + 15, "text-anchor": "middle" }, String(flux).replace("-", "−")),
    ]),
    svg("line", { class: "tick", x1: LEFT, x2: WIDTH - RIGHT, y1: floor, y2: floor }),
    svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "flux of a pixel, nmgy"),
  ];
}

function outline(edges, counts, x, y) {
  const steps = counts.map((count, bin) => `V${y(count).toFixed(1)}H${x(edges[bin + 1]).toFixed(1)}`);
  return `M${x(edges[0]).toFixed(1)} ${y(0).toFixed(1)}${steps.join("")}V${y(0).toFixed(1)}`;
}

function legend(bands) {
  return bands.flatMap((band, place) => {
    const left = WIDTH - RIGHT - 34 * (bands.length - place);
    return [
      svg("line", { class: `line band-${band}`, x1: left, x2: left + 16, y1: TOP + 6, y2: TOP + 6 }),
      svg("text", { x: left + 20, y: TOP + 10 }, band),
    ];
  });
}

/** The same for those who cannot see it: the commonest flux and the brightest pixels of each band. */
function inWords(edges, counts) {
  const sentences = Object.entries(counts).map(([band, of]) => {
    const peak = of.indexOf(Math.max(...of));
    const last = of.findLastIndex((count) => count > 0);
    const [near, most] = [edges[peak], edges[last + 1]].map((flux) => flux.toPrecision(2));
    return `${band}: most pixels near ${near}, the brightest up to ${most} nmgy`;
  });
  return `Histogram of flux. ${sentences.join(". ")}.`;
}
