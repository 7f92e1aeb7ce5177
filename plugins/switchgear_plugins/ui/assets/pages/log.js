// What request log and live requests have in common: columns, filters, and the drawer with all that is known of one.
import {
  Button, Copy, Drawer, Empty, Id, JsonView, Link, Loaded, Status, Tag, Time, compact, findIn, go, html, money, number, place, setQuery, span, title, useLoad, useState,
} from "../kit.js";
import { Explained } from "./explained.js";
import { curl } from "./snippets.js";

export const OUTCOMES = ["complete", "partial", "error", "cancelled", "rejected"];

const served = (it) => (it.target ? html`${it.provider_model && it.provider_model !== it.target ? html`<span title=${`${it.target} at ${it.provider}`}>${it.provider_model}</span>` : it.target} <span class="muted">at ${it.provider}</span>` : html`<span class="muted">nobody</span>`);

const FAILED = /^(.+?) at (.+?): (\w+)(?: \((\d+)\))? after ([\d.]+) s/;

// Why a call went where it did, in a line: what failed last, or what the name that was asked for stands for.
export const reasonOf = ({ why, cause }) => why?.findLast((line) => FAILED.test(line)) || why?.[0] || cause || "";

export const COLUMNS = [
  { key: "at_us", title: "Time", align: "fix", show: (it) => html`<${Time} at=${it.at_us} />` },
  { key: "outcome", title: "Outcome", align: "fix", show: (it) => html`<${Status} value=${it.outcome} />${it.status !== 200 ? html` <span class="muted">${it.status}</span>` : null}` },
  { key: "model", title: "Asked for", show: (it) => it.model || html`<span class="muted">–</span>` },
  { key: "target", title: "Served by", show: served },
  { key: "why", title: "Why", show: (it) => html`<span class="muted">${reasonOf(it).slice(0, 90)}</span>` },
  { key: "operation", title: "Operation", hidden: true },
  { key: "dialect", title: "API", hidden: true },
  { key: "key_id", title: "Key", align: "fix", hidden: true, show: (it) => html`<${Link} to=${["k", "api-keys", it.key_id]}>${it.key_id}<//>` },
  { key: "team_id", title: "Team", hidden: true },
  { key: "user_id", title: "User", hidden: true },
  { key: "input_tokens", title: "In", align: "num", show: (it) => compact(it.input_tokens) },
  { key: "output_tokens", title: "Out", align: "num", show: (it) => compact(it.output_tokens) },
  { key: "cost_microusd", title: "Cost", align: "num", show: (it) => money(it.cost_microusd) },
  { key: "ttft_us", title: "First token", align: "num", show: (it) => span(it.ttft_us) },
  { key: "latency_us", title: "Took", align: "num", show: (it) => span(it.latency_us) },
  { key: "attempts", title: "Attempts", align: "num", hidden: true },
  { key: "cache", title: "Cache", hidden: true },
  { key: "stream", title: "Stream", hidden: true, show: (it) => (it.stream ? "yes" : "no") },
  { key: "request_id", title: "Request", align: "fix", hidden: true, show: (it) => html`<${Id} value=${it.request_id} />` },
  { key: "client_request_id", title: "Client's own id", hidden: true },
  { key: "upstream_request_id", title: "Provider's own id", hidden: true },
];

// Declared dimensions, never what rows happen to hold.
export const FILTERS = [
  { name: "model", title: "Asked for", find: findIn("callable") },
  { name: "target", title: "Served by", find: findIn("models") },
  { name: "provider", title: "Provider", find: findIn("providers") },
  { name: "provider_model", title: "Provider's model" },
  { name: "outcome", title: "Outcome", choices: OUTCOMES },
  { name: "status", title: "Status" },
  { name: "cause", title: "Cause" },
  { name: "key_id", title: "Key", find: findIn("api-keys") },
  { name: "team_id", title: "Team" },
  { name: "user_id", title: "User" },
  { name: "operation", title: "Operation" },
  { name: "dialect", title: "API", choices: ["openai", "anthropic"] },
  { name: "stream", title: "Stream", choices: ["true", "false"] },
  { name: "cache", title: "Cache" },
  { name: "request_id", title: "Request" },
  { name: "client_request_id", title: "Client's own id" },
  { name: "upstream_request_id", title: "Provider's own id" },
];

export const RANGES = { "": "Any time", "15m": "Last 15 minutes", "1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days" };
const SPANS = { m: 60e6, h: 3600e6, d: 864e8 };
export const sinceOf = (range) => (/^\d+[mhd]$/.test(range || "") ? Date.now() * 1000 - parseInt(range, 10) * SPANS[range.slice(-1)] : undefined);

const NOT_FILTERS = new Set(["range", "since", "until", "columns", "request", "tab"]);
export const filtersOf = (query) => Object.fromEntries(Object.entries(query).filter(([name]) => !NOT_FILTERS.has(name)));
export const askedOf = (query) => ({ ...filtersOf(query), since: query.since || sinceOf(query.range), until: query.until });

// ----- the drawer

function Lane({ label, from, to, whole, tone, note }) {
  return html`<div class="lane"><span title=${label}>${label}</span><span class="lane-track"><i style=${{ left: `${(from / whole) * 100}%`, width: `${Math.max(0.5, ((to - from) / whole) * 100)}%`, background: tone ? `var(--${tone})` : undefined }}></i></span><span class="num">${note}</span></div>`;
}

// When what happened, as far as the record says.
function Timeline({ it }) {
  const whole = Math.max(it.latency_us, 1);
  const failed = (it.why || []).map((line) => FAILED.exec(line)).filter(Boolean);
  let from = 0;
  const lanes = failed.map((match) => {
    const took = parseFloat(match[5]) * 1e6;
    const lane = html`<${Lane} label=${`${match[1]} at ${match[2]}`} from=${from} to=${Math.min(whole, from + took)} whole=${whole} tone="bad" note=${match[3].replaceAll("_", " ")} />`;
    from = Math.min(whole, from + took);
    return lane;
  });
  if (it.target && it.outcome !== "error") lanes.push(html`<${Lane} label=${`${it.provider_model || it.target} at ${it.provider}`} from=${from} to=${whole} whole=${whole} note=${span(it.latency_us - from)} />`);
  if (it.ttft_us !== null) {
    lanes.push(html`<${Lane} label="to the first token" from=${0} to=${it.ttft_us} whole=${whole} tone="series-5" note=${span(it.ttft_us)} />`);
    lanes.push(html`<${Lane} label="the answer" from=${it.ttft_us} to=${whole} whole=${whole} tone="series-3" note=${span(it.latency_us - it.ttft_us)} />`);
  }
  lanes.push(html`<${Lane} label="the whole" from=${0} to=${whole} whole=${whole} tone="muted" note=${span(whole)} />`);
  return html`<div class="lanes">${lanes}</div>`;
}

const UNITS = { input_tokens: "input", cached_input_tokens: "of it from the cache", cache_write_tokens: "of it into the cache", output_tokens: "output", reasoning_tokens: "of it reasoning" };

export function Detail({ api, it, onClose }) {
  const [asked, setAsked] = useState(false);
  const facts = [
    ["Outcome", html`<${Status} value=${it.outcome} /> <span class="muted">HTTP ${it.status}${it.cause ? `, ${it.cause.replaceAll("_", " ")}` : ""}</span>`],
    ["Began", html`<${Time} at=${it.at_us} /> <span class="muted">(<${Time} at=${it.at_us} relative />)</span>`],
    ["Asked for", html`${it.model || "–"} <span class="muted">${it.operation}, ${it.dialect}${it.stream ? ", streamed" : ""}</span>`],
    ["Served by", it.target ? html`<${Link} to=${["k", "models", it.target]}>${it.target}<//> <span class="muted">which is ${it.provider_model} at</span> <${Link} to=${["k", "providers", it.provider]}>${it.provider}<//>` : "nobody"],
    ["Key", html`<${Id} value=${it.key_id} to=${["k", "api-keys", it.key_id]} />`],
    ["Team", it.team_id], ["User", it.user_id],
    ["Cache", it.cache === "none" ? null : it.cache],
    ["Tags", it.tags?.length ? it.tags.map((tag) => html`<${Tag}>${tag}<//> `) : null],
    ...Object.entries(it.labels || {}).map(([name, value]) => [name, value]),
    ["Request", html`<${Id} value=${it.request_id} />`],
    ["Client's own id", it.client_request_id && html`<${Id} value=${it.client_request_id} />`],
    ["Provider's own id", it.upstream_request_id && html`<${Id} value=${it.upstream_request_id} />`],
  ].filter(([, value]) => value);
  const again = { model: it.model, messages: [{ role: "user", content: "Hello" }], ...(it.stream ? { stream: true } : {}) };
  return html`<${Drawer} title=${html`Request <code>${it.request_id.slice(0, 12)}…</code>`} onClose=${onClose}
      actions=${html`<${Copy} text=${curl(again)} label="Copy as curl">curl<//><${Button} kind="small" onClick=${() => { onClose(); go(["playground"], { models: it.model }); }}>To the playground<//>`}>
    <dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>
    <section class="section"><h2>Time line</h2><${Timeline} it=${it} /></section>
    <section class="section"><h2>Why this route</h2>${it.why?.length ? html`<ul>${it.why.map((line) => html`<li>${line}</li>`)}</ul>` : html`<p class="muted">There was one place to go, and one attempt.</p>`}
      ${it.possible_duplicate ? html`<p><${Status} value="warn" as="warn">An attempt before the last may have run to its end, and be billed<//></p>` : null}</section>
    <section class="section"><h2>What it consumed${it.usage_estimated ? html` <${Tag}>estimated<//>` : null}</h2>
      ${it.input_tokens === null ? html`<p class="muted">No provider was asked, so nothing.</p>` : html`<table><tbody>${Object.entries(UNITS).filter(([name]) => it[name]).map(([name, label]) => html`<tr><td>${label}</td><td class="num">${number(it[name])} tokens</td></tr>`)}
        ${Object.entries(it.units || {}).map(([name, count]) => html`<tr><td>${name.replaceAll("_", " ")}</td><td class="num">${number(count)}</td></tr>`)}
        <tr><td><strong>Cost</strong></td><td class="num"><strong>${it.cost_microusd === null ? "no price is known" : money(it.cost_microusd)}</strong></td></tr></tbody></table>`}</section>
    ${it.model && html`<details class="section" onToggle=${(event) => setAsked(event.target.open)}><summary>Where the same would go now</summary>${asked && html`<${Explained} api=${api} model=${it.model} keyId=${it.key_id?.startsWith("key_") ? it.key_id : undefined} />`}</details>`}
    <details class="section"><summary>The record</summary><${JsonView} value=${it} /></details>
  <//>`;
}

// Shows the record that the address names, whichever list it is opened from.
export function DetailOf({ api, rows }) {
  const wanted = place.value.query.request;
  const known = rows?.find((it) => it.id === wanted);
  const found = useLoad(async (signal) => (known || !wanted ? null : (await api("usage", { query: { request_id: wanted, since: place.value.query.since, until: place.value.query.until, limit: 1 }, signal })).data[0] || false), [wanted]);
  if (!wanted) return null;
  const close = () => setQuery({ request: "" });
  if (known || found.data) return html`<${Detail} api=${api} it=${known || found.data} onClose=${close} />`;
  return html`<${Drawer} title="Request" onClose=${close}><${Loaded} from=${found}>${() => html`<${Empty} title="This request is not in the log">It may have been refused before it was recorded, or be older than what is kept.<//>`}<//><//>`;
}
