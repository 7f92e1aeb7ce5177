// Numbers, amounts, spans and times as people read them.
import { html, useState, useEffect } from "./dom.js";

const plain = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const number = (value) => (value === null || value === undefined ? "–" : plain.format(value));
export const compact = (value) => (value === null || value === undefined ? "–" : Math.abs(value) < 10_000 ? plain.format(Math.round(value * 100) / 100) : short.format(value));
export const percent = (part, whole) => (whole ? `${(Math.round((part / whole) * 1000) / 10).toLocaleString("en-US")} %` : "–");

// Millionths of a US dollar, with as many digits as tell something.
export function money(microusd) {
  if (microusd === null || microusd === undefined) return "–";
  const usd = microusd / 1e6;
  if (usd === 0) return "$0";
  const digits = Math.abs(usd) >= 1000 ? 0 : Math.abs(usd) >= 0.995 ? 2 : Math.abs(usd) >= 0.01 ? 4 : 6;
  return `${usd < 0 ? "−" : ""}$${Math.abs(usd).toLocaleString("en-US", { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits })}`;
}

// What groups of a usage summary cost together: of some calls nobody knows.
export function costOf(groups) {
  const known = groups.reduce((all, it) => all + (it.sums.cost_microusd || 0), 0);
  if (!groups.some((it) => it.sums.unpriced)) return money(known);
  return known ? `${money(known)} and unknown` : "unknown";
}

// A span in microseconds.
export function span(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${us < 1e4 ? (us / 1000).toFixed(1) : Math.round(us / 1000)} ms`;
  if (us < 120e6) return `${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`;
  const minutes = Math.round(us / 60e6);
  return minutes < 120 ? `${minutes} min` : minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} d`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count, unit = -1;
  do { value /= 1024; unit += 1; } while (value >= 1024 && unit < units.length - 1);
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

// Takes microseconds, an RFC 3339 text or a Date.
export const asDate = (at) => (at instanceof Date ? at : typeof at === "number" ? new Date(at / 1000) : new Date(at));

const two = (value) => String(value).padStart(2, "0");
export const local = (at, seconds = true) => {
  const it = asDate(at);
  return `${it.getFullYear()}-${two(it.getMonth() + 1)}-${two(it.getDate())} ${two(it.getHours())}:${two(it.getMinutes())}${seconds ? `:${two(it.getSeconds())}` : ""}`;
};

export function ago(at, now = Date.now()) {
  const seconds = Math.round((now - asDate(at)) / 1000);
  const size = Math.abs(seconds);
  const said = size < 45 ? `${size} s` : size < 2700 ? `${Math.round(size / 60)} min` : size < 86_400 ? `${Math.round(size / 3600)} h` : `${Math.round(size / 86_400)} d`;
  return seconds >= 0 ? (size < 3 ? "now" : `${said} ago`) : `in ${said}`;
}

// A time: local, with UTC when one points at it; `relative` says how long ago.
export function Time({ at, relative = false }) {
  const [, again] = useState(0);
  useEffect(() => {
    if (!relative) return undefined;
    const timer = setInterval(() => again((it) => it + 1), 20_000);
    return () => clearInterval(timer);
  }, [relative]);
  if (at === null || at === undefined) return html`<span class="muted">–</span>`;
  const date = asDate(at);
  if (Number.isNaN(date.getTime())) return html`<span>${String(at)}</span>`;
  const utc = date.toISOString().replace("T", " ").replace(/\.\d+Z$/, "") + " UTC";
  return html`<time datetime=${date.toISOString()} title=${relative ? `${local(date)} here, ${utc}` : utc}>${relative ? ago(date) : local(date)}</time>`;
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
// api_key → API key, provider_id → Provider, updated_at → Updated
const KNOWN = { id: "ID", api_key: "API key", url: "URL", base_url: "Base URL", ttft_us: "First token", latency_us: "Latency", cost_microusd: "Cost", verify_tls: "Verify TLS", ca_bundle: "CA bundle", at_us: "Time", rpm: "RPM", tpm: "TPM" };
export function title(name) {
  if (KNOWN[name]) return KNOWN[name];
  const bare = name.replace(/_(id|at|us)$/, "").replace(/_ms$/, " (ms)").replace(/_s$/, " (s)").replace(/[_-]+/g, " ").trim();
  return capital(bare.replace(/\b(api|id|url|tls|usd)\b/g, (it) => it.toUpperCase()));
}
