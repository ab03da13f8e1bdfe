// The page: what is chosen is uploaded, followed and shown. The job that is looked at stands in the address, so that a reload finds it again.

import * as api from "./api.js";
import * as camera from "./camera.js";
import { $, clock } from "./dom.js";
import * as history from "./history.js";
import * as result from "./result.js";

let now = { stop: () => {} };  // what is being followed

function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function options() {
  const outputs = ["report", "frames", ...($("overlay").checked ? ["overlay"] : [])].join(",");
  return { frames: $("frames").value || "32", outputs };
}

function busy(title, status, share) {
  $("job").hidden = false;
  $("job-title").textContent = title;
  $("status").textContent = status;
  if (share === null) $("progress").removeAttribute("value");
  else $("progress").value = share;
}

function preview(file) {
  const video = $("preview");
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.hidden = !file?.type.startsWith("video/");
  if (!video.hidden) {
    video.src = URL.createObjectURL(file);
    video.onerror = () => (video.hidden = true);
  }
}

// Take files: upload one after the other, then look at the first. The address changes only when all are sent: `open` ends an upload.
async function take(files) {
  complain("");
  now.stop();
  $("result").hidden = true;
  const before = location.hash;
  const problems = [];
  let first = "";
  preview(files[0]);
  for (const file of files) {
    busy(file.name, "Uploading …", 0);
    if (file === files[0]) $("job-title").focus();
    const upload = api.upload(file, options(), (share) => busy(file.name, `Uploading: ${Math.round(100 * share)} %`, share));
    now = { stop: upload.cancel };
    $("cancel").onclick = upload.cancel;
    try {
      const job = await upload.done;
      history.note(job);
      first ||= job.id;
    } catch (error) {
      problems.push(refused(error, file.name));
      complain(problems.join(" "));
      if (error.code === "cancelled" || error.status === 401) break;
    }
  }
  if (location.hash !== before) return;  // another job was chosen meanwhile
  if (first) location.hash = first;
  else $("job").hidden = true;
}

// What to say of a refusal; of a missing token nothing, as the page then asks for one.
function refused(error, name) {
  if (error.status === 401) {
    $("token-section").hidden = false;
    $("token").focus();
    return "";
  }
  return error.code === "cancelled" ? "The upload was cancelled." : `${name}: ${error.message}`;
}

// Look at the job that the address names.
async function open() {
  now.stop();
  const id = location.hash.slice(1);
  $("result").hidden = true;
  if (!/^[0-9a-f]{32}$/.test(id)) {
    $("job").hidden = true;
    return;
  }
  const stopping = new AbortController();
  now = { stop: () => stopping.abort() };
  $("cancel").onclick = () => api.remove(id).catch((error) => complain(error.message));
  busy("Judging", "Asking the server …", null);
  try {
    const job = await api.follow(id, (kind, value) => told(kind, value), stopping.signal);
    if (stopping.signal.aborted) return;
    $("job").hidden = true;
    preview(null);
    history.note(job, result.headline(job));
    await result.show(job);
  } catch (error) {
    if (stopping.signal.aborted) return;
    $("job").hidden = true;
    if (error.status === 404) history.drop(id);
    complain(refused(error, "This job"));
  }
}

function told(kind, value) {
  if (kind === "away") busy($("job-title").textContent, "The server cannot be reached; trying again …", null);
  else if (kind === "progress" && value.stage === "judging") {
    const so = value.score === null || value.score === undefined ? "no face so far" : `score so far ${value.score.toFixed(2)}`;
    const total = value.total || 1;
    busy($("job-title").textContent, `Judging: frame ${value.frames} of ${total}${value.time_s ? ` (${clock(value.time_s)})` : ""}, ${so}`, value.frames / total);
    const video = $("preview");
    if (!video.hidden && value.time_s !== undefined && video.readyState > 0) video.currentTime = value.time_s;
  } else if (kind === "progress") {
    busy($("job-title").textContent, { report: "Writing the report …", overlay: "Drawing the annotated copy …" }[value.stage] ?? "Judging …", null);
  } else if (kind === "state") {
    const waits = value.ahead ? `Waiting: ${value.ahead} ahead of it` : "Waiting for its turn";
    busy(value.name, { waiting: waits, fetching: "The server is fetching the file …", running: "Judging …" }[value.state] ?? "…", null);
  }
}

async function meet() {
  try {
    const said = await api.json("/v1/models");
    const model = said.models[0];
    $("judge").textContent = `Judged by ${model.file} (${model.backbone ?? "unknown network"}), threshold ${Number(model.threshold).toFixed(2)}.`
      + (model.warnings.length ? ` ${model.warnings.join(" ")}` : "");
    $("accepts").textContent = said.accepts ? `Up to ${Math.floor(said.accepts.bytes / 2 ** 20)} MiB each.` : "";
    $("url-form").hidden = !said.accepts?.urls;
    $("token-section").hidden = true;
  } catch (error) {
    if (error.status === 401) refused(error, "");
    else {
      $("judge").textContent = "The detector is being loaded …";
      setTimeout(meet, 2000);
    }
  }
}

$("file").addEventListener("change", () => {
  if ($("file").files.length) take([...$("file").files]);
  $("file").value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
}
$("url-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  complain("");
  try {
    const job = await api.submitUrl($("url").value, options());
    history.note(job);
    preview(null);
    location.hash = job.id;
  } catch (error) {
    complain(refused(error, $("url").value));
  }
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  api.setToken($("token").value);
  $("token").value = "";
  meet();
  open();
});
camera.start(take, complain);
history.start(async (id) => {
  await api.remove(id).catch(() => {});
  history.drop(id);
  if (location.hash.slice(1) === id) location.hash = "";
});
addEventListener("hashchange", open);
meet();
open();
