// The client of the admin API: everything the console shows or does goes through here.
import { signal } from "./dom.js";

// Where the gateway is, whatever path a proxy has it below: this module is at ui/ui/kit/api.js of it.
export const base = new URL("../../../", import.meta.url);

// A key that was typed in lives here, in memory alone: a reload forgets it. A session lives in a cookie that no script can read.
let bearer = null;
let csrf = null;

// "unknown" until somebody was asked, then "in" or "out".
export const session = signal({ state: "unknown", who: null });

export function useCredentials({ key = null, token = null }) {
  bearer = key;
  csrf = token;
}

export const hasKey = () => bearer !== null;

// What an error answer says: problem details (RFC 9457) of the admin API, or the error of a dialect.
export class Problem extends Error {
  constructor(status, body, fallback) {
    const said = body?.detail || body?.error?.message || body?.message || fallback;
    super(said);
    this.status = status;
    this.code = body?.type?.replace("urn:switchgear:problem:", "") || body?.error?.code || "";
    this.errors = body?.errors || [];
    this.requestId = body?.request_id || null;
  }
}

export const isAbort = (error) => error?.name === "AbortError";

// Sends a request to any path of the gateway; returns the Response, whatever its status.
export function send(path, { method = "GET", body, headers = {}, signal: until, key } = {}) {
  const given = new Headers(headers);
  if (body !== undefined && !(body instanceof FormData)) {
    if (!given.has("content-type")) given.set("content-type", "application/json");
    body = typeof body === "string" ? body : JSON.stringify(body);
  }
  const as = key === undefined ? bearer : key;
  if (as) given.set("authorization", `Bearer ${as}`);
  else if (csrf) given.set("x-csrf-token", csrf);
  const credentials = as ? "omit" : "same-origin";
  return fetch(new URL(path, base), { method, body, headers: given, signal: until, credentials, cache: "no-store" });
}

// Throws a Problem unless the answer is good.
export async function checked(answer) {
  if (answer.ok) return answer;
  const text = await answer.text();
  let body = null;
  try { body = JSON.parse(text); } catch { /* what is no JSON says nothing */ }
  if (answer.status === 401 && session.value.state === "in" && answer.url.includes("/admin/v1/")) {
    session.value = { state: "out", who: null, expired: true, ways: session.value.ways || { password: session.value.who?.kind === "user" } };
  }
  throw new Problem(answer.status, body, `${answer.status} ${answer.statusText}`.trim());
}

// The path of something below /admin/v1, with its query; parts of ids are escaped by `id`.
export function path(where, query) {
  const pairs = Object.entries(query || {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `admin/v1/${where}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;
}

export const id = (text) => encodeURIComponent(text);

const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (it) => it.toString(16).padStart(2, "0")).join("");

// Makes the function that pages are given: api("models", { query, method, body }) resolves to JSON. What it began ends with `until`.
export function client(until) {
  const api = async (where, { query, method = "GET", body, version, merge = false, signal: own } = {}) => {
    const headers = {};
    if (version !== undefined) headers["if-match"] = `"${version}"`;
    if (method === "POST") headers["idempotency-key"] = random();
    if (merge) headers["content-type"] = "application/merge-patch+json";
    const both = own && until ? AbortSignal.any([own, until]) : own || until;
    const answer = await checked(await send(path(where, query), { method, body, headers, signal: both }));
    if (answer.status === 204) return null;
    return (answer.headers.get("content-type") || "").includes("json") ? answer.json() : answer.text();
  };
  api.signal = until;
  api.send = (where, options = {}) => send(where, { signal: until, ...options });
  return api;
}

// Who asks, as far as the admin API tells: throws a Problem where nobody is let in.
export async function probe() {
  const answer = await send("admin/v1/config/version");
  if (answer.status === 401) await checked(answer);
  return answer.status;
}
