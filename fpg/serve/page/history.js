// Jobs of this browser: kept here, not on the server; other tabs see changes.

import { $, element } from "./dom.js";

const KEY = "fpg-history";
const MOST = 50;

export function read() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

function write(list) {
  localStorage.setItem(KEY, JSON.stringify(list.slice(0, MOST)));
  show();
}

export function note(job, said = "") {
  const rest = read().filter((entry) => entry.id !== job.id);
  const before = read().find((entry) => entry.id === job.id);
  write([{ id: job.id, name: job.name, at: before?.at ?? Date.now(), state: job.state, said: said || before?.said || "" }, ...rest]);
}

export const drop = (id) => write(read().filter((entry) => entry.id !== id));

let forget = () => {};

export function show() {
  const list = read();
  $("no-history").hidden = list.length > 0;
  $("history").replaceChildren(
    ...list.map((entry) =>
      element("li", {},
        element("a", { href: `#${entry.id}`, textContent: entry.name }),
        element("span", { className: "quiet", textContent: `${entry.said || entry.state} · ${new Date(entry.at).toLocaleString()}` }),
        element("button", { type: "button", className: "plain", textContent: "Forget", ariaLabel: `Forget ${entry.name}`, onclick: () => forget(entry.id) }))),
  );
}

export function start(onForget) {
  forget = onForget;
  addEventListener("storage", (event) => event.key === KEY && show());
  show();
}
