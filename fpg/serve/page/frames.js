// The frames that were judged, with boxes and where the network found evidence.

import { get, json } from "./api.js";
import { $, element } from "./dom.js";

const STROKES = { fake: "#ff6a3d", real: "#2ec4b6", "": "#e6ebf0" };
let kept = [], job = "", scale = 0, wanted = -1, tones = new Map(), colour = () => "";
const pictures = new Map();

// `colours` says by a face's level in which tone it is shown.
export async function load(id, tracks, colours) {
  [kept, job, wanted, colour] = [[], id, -1, colours];
  tones = new Map(tracks.map((track) => [track.track, colour(track.level)]));
  pictures.forEach((picture) => picture.close());
  pictures.clear();
  $("frame-box").hidden = $("faces-box").hidden = true;
  try {
    kept = await json(`/v1/jobs/${id}/frames`);
  } catch {
    return; // made without frames, or by curl
  }
  const values = kept.flatMap((frame) => frame.faces.flatMap((face) => (face.map ?? []).flat()));
  scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  $("show-map").parentElement.hidden = scale === 0;
}

async function picture(frame) {
  if (!pictures.has(frame.index)) {
    const blob = await (await get(`/v1/jobs/${job}/frames/${frame.index}`)).blob();
    pictures.set(frame.index, await createImageBitmap(blob));
  }
  return pictures.get(frame.index);
}

const closest = (index) => kept.reduce((best, frame) => (Math.abs(frame.index - index) < Math.abs(best.index - index) ? frame : best), kept[0]);

export async function show(index, label) {
  if (!kept.length) return;
  wanted = index;
  const frame = closest(index);
  const image = await picture(frame);
  if (wanted !== index) return; // another was chosen meanwhile
  const canvas = $("frame"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [image.width, image.height];
  context.drawImage(image, 0, 0);
  const zoom = image.width / frame.width;
  for (const face of frame.faces) {
    if (face.map && $("show-map").checked) heat(context, face, zoom);
    context.lineWidth = Math.max(2, image.width / 250);
    context.strokeStyle = STROKES[tones.get(face.track) ?? ""];
    const [x0, y0, x1, y1] = face.box.map((value) => value * zoom);
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
  canvas.setAttribute("aria-label", `${label}. ${frame.faces.length} faces are marked.`);
  $("frame-caption").textContent = frame.index === index ? label : `${label} (shown: frame ${frame.index})`;
  $("frame-box").hidden = false;
}

function heat(context, face, zoom) {
  const rows = face.map.length, columns = face.map[0].length;
  const small = new OffscreenCanvas(columns, rows), ink = small.getContext("2d"), pixels = ink.createImageData(columns, rows);
  face.map.flat().forEach((value, i) => {
    const strength = scale ? value / scale : 0;
    pixels.data.set(strength > 0 ? [255, 70, 30, 190 * strength] : [40, 120, 255, 120 * -strength], 4 * i);
  });
  ink.putImageData(pixels, 0, 0);
  const [x0, y0, x1, y1] = face.crop.map((value) => value * zoom);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, x0, y0, x1 - x0, y1 - y0);
}

export async function faces(tracks) {
  const shown = [];
  for (const track of [...tracks].sort((a, b) => b.score - a.score).slice(0, 12)) {
    const of = (frame) => frame.faces.find((face) => face.track === track.track);
    const frame = kept.filter(of).sort((a, b) => of(b).score - of(a).score)[0];
    if (!frame) continue;
    const image = await picture(frame), zoom = image.width / frame.width, face = of(frame);
    const [x0, y0, x1, y1] = face.box.map((value) => value * zoom);
    const canvas = element("canvas", { width: 160, height: 160 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Face ${track.track}`);
    const side = Math.max(x1 - x0, y1 - y0);
    canvas.getContext("2d").drawImage(image, (x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, side, 0, 0, 160, 160);
    const className = colour(track.level);
    const says = `score ${track.score.toFixed(3)}${track.interval ? ` (${track.interval.map((v) => v.toFixed(2)).join(" to ")})` : ""}, ${track.frames} frames`;
    shown.push(element("li", {}, canvas, element("div", { className, textContent: `Face ${track.track}` }), element("div", { textContent: says })));
  }
  $("faces").replaceChildren(...shown);
  $("faces-box").hidden = shown.length === 0;
}

$("show-map").addEventListener("change", () => wanted >= 0 && show(wanted, $("frame-caption").textContent));
