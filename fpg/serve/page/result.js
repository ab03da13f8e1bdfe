// The finding in words, its limits, the record, and what there is to keep.

import { get } from "./api.js";
import { $, element, size } from "./dom.js";
import * as frames from "./frames.js";
import { draw } from "./timeline.js";

const WHAT = { report: "Report (HTML)", overlay: "Annotated copy", record: "Result (JSON)" };

// A line for headings and the history.
export function headline(job) {
  const result = job.result?.results?.[0];
  if (job.state === "cancelled") return "Cancelled";
  if (!result || result.score === null || result.score === undefined) return `Not judged: ${job.error ?? result?.error ?? job.state}`;
  return `${capital(result.finding?.words ?? "not calibrated")}, score ${result.score.toFixed(2)}`;
}

// Colour follows the level alone: what is inconclusive or not calibrated stamps nothing.
export const colour = (level) => ({ strong: "fake", moderate: "fake", little: "real", none: "real" })[level] ?? "";

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export async function show(job) {
  const result = job.result?.results?.[0];
  const title = $("result-title");
  title.textContent = `${job.name}: ${headline(job)}`;
  title.className = colour(result?.finding?.level);
  $("words").textContent = result?.finding?.text ?? help(job.error_code);
  $("warnings").replaceChildren(...(result?.warnings ?? []).map((text) => element("li", { textContent: text })));
  facts(job, result);
  downloads(job);
  $("result").hidden = false;
  $("timeline-box").hidden = $("faces-box").hidden = $("frame-box").hidden = true;
  title.focus();
  if (!result) return;
  await frames.load(job.outputs.includes("frames") ? job.id : "", result.tracks ?? [], colour);
  draw(result, frames.show);
  await frames.faces(result.tracks ?? []);
}

// A value of JSON as a line of text.
function plain(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(plain).filter(Boolean).join("; ");
  if (typeof value !== "object") return String(value);
  return Object.entries(value).map(([key, inner]) => [key, plain(inner)]).filter(([, text]) => text).map((pair) => pair.join(" ")).join(", ");
}

function help(code) {
  return {
    no_face: "The file was read, and no face was found in it. The detector judges only faces.",
    face_too_small: "The faces in it are too small to be judged.",
    not_media: "This is neither a picture nor a video.",
    worker: "The process that worked on it crashed twice. The file may be damaged in an unusual way.",
    timeout: "It took longer than the server allows.",
    cancelled: "Nothing was judged.",
  }[code] ?? "The file could not be judged.";
}

function facts(job, result) {
  const model = job.result?.model ?? {}, protocol = job.result?.protocol ?? {}, record = job.result?.record ?? {};
  const rows = [
    ["File", `${job.name}, ${size(job.bytes)}`],
    ["SHA-256 of the file", result?.sha256],
    ["Detector", [model.file, model.backbone, model.image_size && `${model.image_size} px`, model.precision].filter(Boolean).join(", ")],
    ["SHA-256 of the detector", model.sha256],
    ["Score", typeof result?.score === "number" ? result.score.toFixed(6) : null],
    ["Threshold", result?.threshold],
    ["Stream", plain(result?.stream)],
    ["Frames examined", protocol.frames && `${protocol.frames}: ${protocol.sampling}`],
    ["Aggregation", protocol.aggregation],
    ["What the file says about itself", plain(result?.media)],
    ["Content Credentials", plain(result?.c2pa)],
    ["Judged", job.ended && new Date(1000 * job.ended).toISOString()],
    ...Object.entries(record).map(([key, value]) => [`Record: ${key}`, plain(value)]),
  ];
  $("facts").replaceChildren(
    ...rows.filter(([, value]) => value !== undefined && value !== null && value !== "").flatMap(([name, value]) => [
      element("dt", { textContent: name }), element("dd", { textContent: String(value) })]),
  );
}

function downloads(job) {
  const outputs = [...(job.result ? ["record"] : []), ...job.outputs.filter((name) => name in WHAT)];
  $("downloads").replaceChildren(
    ...outputs.map((name) => element("button", { type: "button", className: "plain", textContent: WHAT[name], onclick: () => save(job, name) })));
}

// By script, as a link cannot bring the token.
async function save(job, name) {
  const response = await get(`/v1/jobs/${job.id}/${name}`).catch(() => null);
  if (!response) {
    $("words").textContent = "This has expired, or could not be made.";
    return;
  }
  const named = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? name;
  const url = URL.createObjectURL(await response.blob());
  element("a", { href: url, download: `${job.name.replace(/\.[^.]*$/, "")}-${named}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
