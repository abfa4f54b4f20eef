"use strict";
const token = document.getElementById("token");
try { token.value = sessionStorage.getItem("chinwag-token") || ""; } catch { token.value = ""; }
function remember(value) {
  token.value = value;
  try { sessionStorage.setItem("chinwag-token", value); } catch { return; }
}
token.addEventListener("change", () => remember(token.value.trim()));

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", reveal);
reveal();

// Each visit has a person of its own, so that the prefilled registration is free, and the log-in is theirs.
function introduce() {
  const registration = document.querySelector("#register textarea");
  if (!registration) return;
  const person = JSON.parse(registration.value);
  const mark = String(Math.floor(1000 + Math.random() * 9000));
  const names = new Map();
  if (person.username) names.set(person.username, person.username + mark);
  if (person.email) names.set(person.email, person.email.replace("@", `${mark}@`));
  for (const area of document.querySelectorAll("textarea")) {
    for (const [old, own] of names) area.value = area.value.replaceAll(JSON.stringify(old), JSON.stringify(own));
  }
}
introduce();

// Puts a value where forms ask for it by this name.
function prefill(name, value) {
  for (const area of document.querySelectorAll("textarea")) {
    try {
      const body = JSON.parse(area.value);
      if (name in body) area.value = JSON.stringify({ ...body, [name]: value }, null, 2);
    } catch { /* what somebody is typing */ }
  }
}

// The page is at /docs below where the API is, or at that place itself, also behind a proxy that adds a path of its own.
const root = location.pathname.replace(/\/(docs)?$/, "");

async function send(form) {
  const query = new URLSearchParams();
  const headers = {};
  const fields = new FormData();
  let path = form.dataset.path;
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value && input.dataset.in === "query") query.append(input.name, input.value);
    else if (input.value && input.dataset.in === "form") fields.append(input.name, input.files?.[0] ?? input.value);
    else if (input.value) headers[input.name] = input.value;
  }
  if (form.dataset.auth && token.value) headers["Authorization"] = `Bearer ${token.value}`;
  const json = form.querySelector("textarea");
  if (json) headers["Content-Type"] = "application/json";
  const body = json ? json.value : [...fields].length ? fields : undefined;
  const url = root + form.dataset.base + path + (query.size ? `?${query}` : "");
  const answer = await fetch(url, { method: form.dataset.method, headers, body });
  const type = answer.headers.get("Content-Type") ?? "";
  const received = await answer.blob();
  let text = /json|^text|^$/.test(type) ? await received.text() : `(${received.size} bytes of ${type})`;
  try {
    const value = JSON.parse(text);
    text = JSON.stringify(value, null, 2);
    const given = value.data ?? value; // some APIs have an envelope around what they answer
    if (answer.ok && typeof given.access_token === "string") remember(given.access_token);
    if (answer.ok && typeof given.refresh_token === "string") prefill("refresh_token", given.refresh_token);
  } catch { /* not JSON: shown as it is */ }
  return `${answer.status} ${answer.statusText}\n${text}`;
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const shown = document.createElement("pre");
    shown.textContent = "…";
    form.querySelector("output").replaceChildren(shown);
    try {
      shown.textContent = await send(form);
    } catch (error) {
      shown.textContent = String(error);
    }
  });
}
