// Score over time: a chart whose frames can be chosen by pointer and by arrow keys.

import { $, clock, element, svg } from "./dom.js";

const HEIGHT = 200, LEFT = 36, RIGHT = 10, TOP = 10, BOTTOM = 26;

export function draw(result, choose) {
  $("timeline-box").hidden = (result.frames ?? []).length < 2;
  const WIDTH = Math.max(280, $("timeline").clientWidth || 720);  // in its own pixels, so that its text stays readable
  const frames = result.frames ?? [];
  const timed = frames.some((frame) => frame.time_s > 0);
  const at = frames.map((frame) => (timed ? frame.time_s : frame.index));
  const first = at[0] ?? 0, last = Math.max(at.at(-1) ?? 1, first + 1e-6);
  const x = (t) => LEFT + ((t - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (score) => HEIGHT - BOTTOM - score * (HEIGHT - TOP - BOTTOM);
  const scores = frames.map((frame) => (frame.faces.length ? Math.max(...frame.faces.map((face) => face.score)) : null));
  const label = (i) => `Frame ${frames[i].index} at ${clock(frames[i].time_s)}: ${scores[i] === null ? "no face" : `score ${scores[i].toFixed(3)}`}`;

  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  const segments = (result.tracks ?? []).flatMap((track) => (track.segments ?? []).map((segment) => ({ ...segment, track: track.track })));
  for (const segment of segments) {
    chart.append(svg("rect", { class: "segment", x: x(segment.start_s), y: TOP, width: Math.max(3, x(segment.end_s) - x(segment.start_s)), height: HEIGHT - TOP - BOTTOM }));
  }
  for (const value of [0, 0.5, 1]) {
    chart.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }), text(4, y(value) + 4, value.toFixed(1)));
  }
  chart.append(svg("line", { class: "threshold", x1: LEFT, x2: WIDTH - RIGHT, y1: y(result.threshold), y2: y(result.threshold) }));
  chart.append(text(LEFT, HEIGHT - 6, timed ? clock(first) : `frame ${first}`));
  chart.append(text(WIDTH - RIGHT - 60, HEIGHT - 6, timed ? clock(last) : `frame ${last}`));
  let path = "";
  scores.forEach((score, i) => {
    if (score !== null) path += `${path && scores[i - 1] !== null ? "L" : "M"}${x(at[i]).toFixed(1)} ${y(score).toFixed(1)}`;
  });
  chart.append(svg("path", { class: "line", d: path || "M0 0" }));
  const points = scores.map((score, i) =>
    svg("circle", { class: score === null ? "point none" : "point", cx: x(at[i]), cy: y(score ?? 0), r: 5, "data-i": i }));
  chart.append(...points);

  // What keys and screen readers use: a slider over the frames, with the chart behind it.
  const slider = element("input", { type: "range", min: 0, max: Math.max(0, frames.length - 1), step: 1, value: 0, ariaLabel: "Frame" });
  const select = (i) => {
    points.forEach((point, j) => point.classList.toggle("chosen", i === j));
    slider.value = i;
    slider.setAttribute("aria-valuetext", label(i));
    choose(frames[i].index, label(i));
  };
  slider.addEventListener("input", () => select(Number(slider.value)));
  chart.addEventListener("click", (event) => {
    const scale = WIDTH / chart.getBoundingClientRect().width;
    const wanted = (event.clientX - chart.getBoundingClientRect().left) * scale;
    select(at.reduce((best, t, i) => (Math.abs(x(t) - wanted) < Math.abs(x(at[best]) - wanted) ? i : best), 0));
  });
  $("timeline").replaceChildren(chart, slider);
  $("segments").replaceChildren(
    ...segments.map((segment) =>
      element("button", {
        type: "button",
        textContent: `Suspicious: ${clock(segment.start_s)} to ${clock(segment.end_s)}, face ${segment.track}, score ${segment.score.toFixed(2)}`,
        onclick: () => select(nearest(frames, segment)),
      })),
  );
  if (frames.length) {
    const highest = scores.reduce((best, score, i) => ((score ?? -1) > (scores[best] ?? -1) ? i : best), 0);
    select(highest);
  }
}

function nearest(frames, segment) {
  const inside = frames.findIndex((frame) => frame.time_s >= segment.start_s - 1e-3);
  return inside < 0 ? 0 : inside;
}

function text(x, y, content) {
  const made = svg("text", { x, y });
  made.textContent = content;
  return made;
}
