// What some kinds have besides their generated page: panels of one, fields of their own, columns of the list.
import {
  Button, Code, Codes, Field, Fragment, Id, Link, Loaded, Picker, SchemaForm, Status, Tag, Time, Chart, cell, client, complain, costOf, findAmong, html, number, offers, span,
  title, toast, useLoad, useState, JsonInput, id as escaped, compact, go,
} from "../kit.js";
import { BudgetPanel } from "./budgets.js";
import { Explained } from "./explained.js";
import { Standing } from "./standing.js";
import { clientLines } from "./snippets.js";

// ----- fields

function Offered({ id, described, value, onChange, kind, label }) {
  const found = useLoad(() => offers(), []);
  const choices = (found.data?.[kind] || []).map((it) => ({ id: it.name, title: it.summary }));
  return html`<${Picker} id=${id} describedBy=${described} value=${value} onChange=${(text) => onChange(text || undefined)} find=${findAmong(choices)} placeholder=${label} strict />`;
}

function useOffer(kind, name) {
  const found = useLoad(() => offers(), []);
  return found.data?.[kind]?.find((it) => it.name === name);
}

// The settings of what an offer makes, by its own JSON Schema; JSON where it tells none.
function Settings({ kind, type, value, onChange, id, skip = [], secrets = [] }) {
  const offer = useOffer(kind, type);
  if (!type) return html`<p class="muted">Choose the type first.</p>`;
  if (!offer) return html`<${JsonInput} id=${id} value=${value} onChange=${onChange} />`;
  if (!offer.settings) return html`<p class="muted">${type} takes none.</p>`;
  return html`<div class="group" id=${id}><${SchemaForm} schema=${offer.settings} defs=${offer.settings.$defs || {}} value=${value || {}} skip=${skip} secrets=${secrets} onChange=${(to) => onChange(Object.keys(to).length ? to : undefined)} /></div>`;
}

const BACKEND_SECRETS = ["values.*"];

// Where a secret is held: the backend, and what that wants to know.
export function Source({ id, value, onChange }) {
  const now = value || {};
  const found = useLoad(() => offers(), []);
  const choices = found.data?.credential_backends || [];
  return html`<div class="group" id=${id}>
    <${Field} label="Held in" hint=${choices.find((it) => it.name === now.backend)?.summary}>${(inner, described) => html`<select id=${inner} aria-describedby=${described} value=${now.backend || ""} onChange=${(event) => onChange({ backend: event.target.value, ...(event.target.value === "encrypted" ? { values: { api_key: "" } } : {}) })}>
      <option value="">–</option>${choices.map((it) => html`<option value=${it.name}>${it.name}</option>`)}</select>`}<//>
    ${now.backend && html`<${Settings} kind="credential_backends" type=${now.backend} value=${now} skip=${["backend"]} secrets=${BACKEND_SECRETS} onChange=${(to) => onChange({ ...to, backend: now.backend })} />`}
  </div>`;
}

export function ownFields(kind, value) {
  if (kind.name === "providers") {
    return {
      type: (it) => html`<${Offered} ...${it} kind="providers" label="Which API it has" />`,
      settings: (it) => html`<${Settings} ...${it} kind="providers" type=${value.type} />`,
    };
  }
  if (kind.name === "credentials") {
    return { type: (it) => html`<${Offered} ...${it} kind="providers" label="Which sort of provider it is for" />`, source: (it) => html`<${Source} ...${it} />` };
  }
  if (kind.name === "models") {
    return { provider_model: ({ id, described, value: now, onChange }) => html`<${Picker} id=${id} describedBy=${described} value=${now} onChange=${(text) => onChange(text || undefined)} placeholder="What the provider calls it" find=${async (word, signal) => {
      if (!value.provider_id) return [];
      const { data } = await client(signal)(`providers/${escaped(value.provider_id)}/models`);
      return findAmong(data.map((it) => ({ id: it.name, title: it.title })))(word);
    }} />` };
  }
  if (kind.name === "policy-attachments") return { policy: (it) => html`<${Offered} ...${it} kind="policies" label="Which policy" />` };
  return {};
}

// ----- panels

function Simulated({ api, resource }) {
  return html`<${Explained} api=${api} model=${resource.id} />`;
}

// How the targets of a provider fare: breaker, what runs, latency.
export function Targets({ api, provider, model }) {
  const found = useLoad((signal) => api("targets", { query: { provider_id: provider, provider_model: model }, signal }), [provider, model]);
  const reset = async (it) => {
    try { await api("targets/reset", { method: "POST", body: { provider_id: it.provider_id, provider_model: it.provider_model } }); toast(`${it.provider_model} is asked again`); found.reload(); } catch (error) { complain(error); }
  };
  return html`<${Loaded} from=${found} lines=${2}>${({ data }) => (!data.length ? html`<p class="muted">No name leads to a model here yet.</p>` : html`<div class="table-box"><table>
    <thead><tr><th>Model there</th><th>Breaker</th><th>Since</th><th class="num">Recent</th><th class="num">Failed</th><th>Causes</th><th class="num">In flight</th><th class="num">Latency</th><th></th></tr></thead>
    <tbody>${data.map((it) => html`<tr key=${it.provider_id + it.provider_model}>
      <td>${provider ? it.provider_model : html`${it.provider_model} <span class="muted">at ${it.provider_id}</span>`}</td>
      <td class="fix"><${Status} value=${it.breaker.state} />${it.cooling_s > 0 ? html` <${Status} value="cooling">${it.cooling_s.toFixed(0)} s pause<//>` : null}</td>
      <td class="fix"><${Time} at=${it.breaker.since_us} relative /></td>
      <td class="num">${number(it.breaker.requests)}</td><td class="num">${number(it.breaker.failures)}</td>
      <td>${Object.entries(it.breaker.causes).map(([cause, count]) => `${count} ${cause.replaceAll("_", " ")}`).join(", ") || html`<span class="muted">–</span>`}</td>
      <td class="num">${it.active}${it.limit ? ` of ${it.limit}` : ""}${it.waiting ? `, ${it.waiting} wait` : ""}</td>
      <td class="num">${it.latency_s === null ? "–" : span(it.latency_s * 1e6)}</td>
      <td class="num">${it.breaker.state !== "closed" || it.cooling_s > 0 ? html`<${Button} kind="small" onClick=${() => reset(it)}>Ask it again<//>` : null}</td></tr>`)}</tbody></table></div>`)}<//>`;
}

// Tries a credential and says what came of it.
export function Trial({ api, id }) {
  const [state, setState] = useState(null);
  const run = async () => {
    setState({ busy: true });
    try { setState({ done: await api(`credentials/${escaped(id)}/test`, { method: "POST", body: {} }) }); } catch (error) { setState({ done: { ok: false, detail: error.message } }); }
  };
  return html`<div class="bar"><${Button} onClick=${run} busy=${state?.busy}>${state?.busy ? "Asking…" : "Test"}<//>
    <span role="status">${state?.done && html`<${Status} value=${state.done.ok ? "good" : "failed"}>${state.done.ok ? "accepted" : "refused"}<//> ${state.done.detail}${state.done.latency_ms ? html` <span class="muted">${state.done.latency_ms} ms</span>` : null}`}</span></div>`;
}

// The models a provider says it has, each of which can be added.
export function Discovered({ api, provider, onAdded, asked = false }) {
  const [asking, setAsking] = useState(asked);
  const found = useLoad(async (signal) => (asking ? api(`providers/${escaped(provider)}/models`, { signal }) : { data: [] }), [provider, asking]);
  const [word, setWord] = useState("");
  const [added, setAdded] = useState({});
  const add = async (name) => {
    const id = name.replace(/[^\w.:@/-]+/g, "-").split("/").pop().toLowerCase().replace(/[^a-z0-9._-]/g, "-");
    try {
      const made = await api("models", { method: "POST", body: { id, provider_id: provider, provider_model: name } });
      setAdded((it) => ({ ...it, [name]: made.id }));
      toast(`Clients may ask for ${made.id} now`);
      onAdded?.(made);
    } catch (error) { complain(error); }
  };
  if (!asking) return html`<p><${Button} onClick=${() => setAsking(true)}>Ask it which models it has<//></p>`;
  if (found.error?.code === "not_supported") return html`<p class="muted">${found.error.message}.</p>`;
  return html`<${Loaded} from=${found} lines=${5}>${({ data }) => {
    const wanted = data.filter((it) => !word || `${it.name} ${it.title || ""}`.toLowerCase().includes(word.toLowerCase()));
    return html`<div class="bar tools"><input class="small" type="search" placeholder=${`Find among ${data.length}`} aria-label="Find among the models" value=${word} onInput=${(event) => setWord(event.target.value)} /></div>
      <div class="table-box"><table><thead><tr><th>Model</th><th class="num">Context</th><th class="num">Longest answer</th><th>Here as</th><th></th></tr></thead><tbody>${wanted.slice(0, 100).map((it) => html`<tr key=${it.name}>
        <td>${it.name}${it.title && it.title !== it.name ? html` <span class="muted">${it.title}</span>` : null}</td><td class="num">${compact(it.context_window)}</td><td class="num">${compact(it.max_output_tokens)}</td>
        <td>${[...it.model_ids, ...(added[it.name] ? [added[it.name]] : [])].map((id) => html`<${Link} to=${["k", "models", id]}>${id}<//> `)}</td>
        <td class="num">${added[it.name] || it.model_ids.length ? null : html`<${Button} kind="small" onClick=${() => add(it.name)}>Add<//>`}</td></tr>`)}</tbody></table></div>
      ${wanted.length > 100 ? html`<p class="muted">The first 100 of ${wanted.length}: look for the one you want.</p>` : null}`;
  }}<//>`;
}

function ProviderPanel({ api, resource, reload }) {
  return html`<${Fragment}>
    <section><h2>Credential</h2>${resource.credential_id ? html`<div class="bar"><${Link} to=${["k", "credentials", resource.credential_id]}>${resource.credential_id}<//><${Trial} api=${api} id=${resource.credential_id} /></div>` : html`<p class="muted">It has none${resource.auth === "client" ? ": it is asked with the client's own" : ""}.</p>`}</section>
    <section><h2>Health of its models, in the process that answers</h2><${Targets} api=${api} provider=${resource.id} /></section>
    <section><h2>Models it has</h2><${Discovered} api=${api} provider=${resource.id} onAdded=${reload} /></section>
  <//>`;
}

function CredentialPanel({ api, resource }) {
  const health = useLoad((signal) => api.send("health/detailed", { signal }).then((it) => it.json()), [resource.id]);
  const state = health.data?.credentials?.find((it) => it.credential_id === resource.id);
  return html`<${Fragment}>
    <dl class="facts"><dt>State</dt><dd><${Status} value=${state?.status || "unused"} />${state?.why ? html` ${state.why}` : null}</dd>
      <dt>Fetched</dt><dd><${Time} at=${state?.fetched_us} relative /></dd>
      <dt>Held in</dt><dd>${resource.source.backend}</dd><dt>May be sent to</dt><dd>${cell(resource.hosts)}</dd></dl>
    <section class="section"><h2>Try it</h2><p class="muted">Fetches the secret and makes the cheapest call that needs it.</p><${Trial} api=${api} id=${resource.id} /></section>
  <//>`;
}

const DAYS = 14;
export function UsageOf({ api, query, names = {} }) {
  const since = new Date(Date.now() - (DAYS - 1) * 864e5).toISOString().slice(0, 10);
  const found = useLoad((signal) => api("usage/summary", { query: { by: "day", since, ...query }, signal }), [JSON.stringify(query)]);
  return html`<${Loaded} from=${found} lines=${4}>${({ data }) => {
    if (!data.length) return html`<p class="muted">Nothing in the last ${DAYS} days.</p>`;
    const days = Array.from({ length: DAYS }, (_, n) => new Date(Date.parse(since) + n * 864e5).toISOString().slice(0, 10));
    const of = Object.fromEntries(data.map((it) => [it.group.day, it]));
    return html`<${Chart} label="Requests per day" times=${days.map((it) => Date.parse(it) / 1000)} series=${[{ label: "Requests", values: days.map((it) => of[it]?.requests || 0) }]} bars height=${150} />
      <dl class="facts"><dt>Requests</dt><dd>${number(data.reduce((all, it) => all + it.requests, 0))}</dd><dt>Tokens</dt><dd>${compact(data.reduce((all, it) => all + (it.sums.input_tokens || 0) + (it.sums.output_tokens || 0), 0))}</dd>
      <dt>Cost</dt><dd>${costOf(data)}</dd></dl>`;
  }}<//>`;
}

function KeyPanel({ api, resource }) {
  return html`<div class="split"><div>
      <section><h2>Use, by day</h2><${UsageOf} api=${api} query=${{ key_id: resource.id }} /></section>
      <section class="section"><h2>Limits and budgets now</h2><${Standing} api=${api} id=${resource.id} /></section>
    </div><div>
      <dl class="facts"><dt>State</dt><dd><${Status} value=${resource.status} /></dd><dt>Secret</dt><dd><code>${resource.prefix}…${resource.last4}</code></dd><dt>May use</dt><dd>${resource.permissions.admin ? html`<${Tag}>admin<//> ` : null}${cell(resource.permissions.models)}</dd>
        <dt>Last used</dt><dd>${resource.last_used_at ? html`<${Time} at=${resource.last_used_at} relative />` : "never"}</dd>
        <dt>Expires</dt><dd><${Time} at=${resource.expires_at} relative /></dd><dt>Tags</dt><dd>${cell(resource.tags)}</dd></dl>
      <p class="section"><${Link} to=${["requests"]} query=${{ key_id: resource.id }}>Its requests<//></p>
    </div></div>`;
}

function Used({ api, kind, resource }) {
  return html`<${UsageOf} api=${api} query=${{ model: resource.id }} />`;
}

export function panelsOf(kind) {
  if (kind.name === "budgets") return [{ id: "now", title: "Where it stands", Show: BudgetPanel }];
  if (kind.name === "providers") return [{ id: "now", title: "Overview", Show: ProviderPanel }];
  if (kind.name === "credentials") return [{ id: "now", title: "Overview", Show: CredentialPanel }];
  if (kind.name === "api-keys") return [{ id: "now", title: "Overview", Show: KeyPanel }];
  if (kind.callable) return [{ id: "simulate", title: "Where requests go", Show: Simulated }, { id: "use", title: "Use", Show: Used }];
  return [];
}

export function columnsOf(kind) {
  if (kind.name !== "api-keys") return null;
  return [
    { key: "name", title: "Name", show: (it) => html`<${Link} to=${["k", "api-keys", it.id]}>${it.name}<//>` },
    { key: "id", title: "ID", align: "fix", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
    { key: "status", title: "State", align: "fix", show: (it) => html`<${Status} value=${it.status} />` },
    { key: "secret", title: "Secret", align: "fix", show: (it) => html`<code>${it.prefix}…${it.last4}</code>` },
    { key: "models", title: "May use", show: (it) => (it.permissions.admin ? html`<${Tag}>admin<//>` : cell(it.permissions.models)) },
    { key: "limits", title: "Limits", show: (it) => Object.entries(it.limits).filter(([, one]) => one).map(([name, one]) => `${number(one)} ${name.replaceAll("_", " ").replace(" per minute", "/min")}`).join(", ") || html`<span class="muted">none</span>` },
    { key: "team_id", title: "Team", hidden: true }, { key: "tags", title: "Tags" },
    { key: "last_used_at", title: "Last used", align: "fix", show: (it) => (it.last_used_at ? html`<${Time} at=${it.last_used_at} relative />` : html`<span class="muted">never</span>`) },
    { key: "expires_at", title: "Expires", align: "fix", show: (it) => html`<${Time} at=${it.expires_at} relative />` },
    { key: "created_at", title: "Made", align: "fix", show: (it) => html`<${Time} at=${it.created_at} relative />` },
  ];
}

// What a person sees who has made one: a key is shown once, with the lines that put it to use.
export function afterCreate(kind, made) {
  if (kind.name !== "api-keys" || !made.key) return null;
  return html`<p class="note">This is shown once: keep it now. Here it cannot be seen again.</p><${Code} text=${made.key} label="Copy the key" />
    <div class="section"><h2>Put it to use</h2><${Codes} texts=${clientLines(made.key)} /></div>
    <p class="bar end"><${Link} to=${["k", "api-keys", made.id]} class="button">To the ${kind.title}<//></p>`;
}
