// Requests to the server that shows this page. A token is kept for this tab alone.

const TOKEN = "fpg-token";

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const setToken = (token) => sessionStorage.setItem(TOKEN, token);

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

async function refusal(response) {
  let said = {};
  try {
    said = await response.json();
  } catch { /* no JSON: the status says what there is to say */ }
  return new Refused(response.status, said.code ?? "", said.error ?? `The server answered with status ${response.status}.`);
}

export async function get(path) {
  const response = await fetch(path, { headers: headers(), cache: "no-store" });
  if (!response.ok) throw await refusal(response);
  return response;
}

export const json = async (path) => (await get(path)).json();

export async function remove(id) {
  const response = await fetch(`/v1/jobs/${id}`, { method: "DELETE", headers: headers() });
  if (!response.ok && response.status !== 404) throw await refusal(response);
}

export async function submitUrl(url, options) {
  const body = JSON.stringify({ url, ...options, outputs: options.outputs.split(",") });
  const response = await fetch("/v1/jobs", { method: "POST", headers: headers({ "Content-Type": "application/json", "Idempotency-Key": key() }), body });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Upload a file; `told` gets the share that is sent. Gives {done: a promise of the job, cancel}.
export function upload(file, options, told) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.onprogress = (event) => told(event.loaded / event.total);
    request.onload = () => {
      let said = {};
      try {
        said = JSON.parse(request.responseText);
      } catch { /* as above */ }
      if (request.status < 300) resolve(said);
      else reject(new Refused(request.status, said.code ?? "", said.error ?? `The server answered with status ${request.status}.`));
    };
    request.onerror = () => reject(new Refused(0, "away", "The server cannot be reached, or aborted the upload."));
    request.onabort = () => reject(new Refused(0, "cancelled", "The upload was cancelled."));
  });
  const form = new FormData();
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  form.append("file", file, file.name);
  request.open("POST", "/v1/jobs");
  for (const [name, value] of Object.entries(headers({ "Idempotency-Key": key() }))) request.setRequestHeader(name, value);
  request.send(form);
  return { done, cancel: () => request.abort() };
}

// Follow a job to its end; `told(kind, value)` for each event. Connects again when the connection breaks. Gives the job.
export async function follow(id, told, signal) {
  for (let failures = 0; ;) {
    try {
      const response = await fetch(`/v1/jobs/${id}/events`, { headers: headers(), signal, cache: "no-store" });
      if (!response.ok) throw await refusal(response);
      for await (const [kind, value] of events(response.body)) {
        failures = 0;
        told(kind, value);
        if (kind === "end") return await json(`/v1/jobs/${id}`);
      }
    } catch (error) {
      if (signal.aborted || (error instanceof Refused && error.status < 500)) throw error;
    }
    failures += 1;
    told("away", { failures });
    await new Promise((resolve) => setTimeout(resolve, Math.min(8000, 500 * failures)));
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split("\n");
      const kind = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
      if (kind && data) yield [kind, JSON.parse(data)];
    }
  }
}
