import { Chart, Empty, Figure, Fragment, Link, Loaded, Page, Status, Time, compact, costOf, html, kindNamed, money, number, page, percent, place, plural, setQuery, span, useEvery, useLoad, useState } from "../kit.js";
import { BudgetsNow } from "./budgets.js";
import { reasonOf } from "./log.js";
import { Targets } from "./panels.js";

const RANGES = { "1h": ["Last hour", 3600e6, "minute", 60], "24h": ["Last 24 hours", 864e8, "hour", 3600], "7d": ["Last 7 days", 7 * 864e8, "hour", 3600], "30d": ["Last 30 days", 30 * 864e8, "day", 86400] };

const sum = (rows, of) => rows.reduce((all, it) => all + (of(it) || 0), 0);
const good = (it) => it.group.outcome === "complete";

// Every step of the time that is looked at, those without a request too.
export function steps(since, until, every) {
  const found = [];
  for (let at = Math.floor(since / 1e6 / every) * every; at <= until / 1e6 && found.length < 2000; at += every) found.push(at);
  return found;
}

// A quantile out of the buckets of a Prometheus histogram, in seconds.
function quantile(text, name, share) {
  const buckets = new Map();
  for (const line of text.split("\n")) {
    const match = line.startsWith(name) && /^\S+_bucket\{(.*)le="([^"]+)"(.*)\}\s+(\S+)/.exec(line);
    if (match) buckets.set(match[2], (buckets.get(match[2]) || 0) + Number(match[4]));
  }
  const all = [...buckets].map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count]).sort((a, b) => a[0] - b[0]);
  const whole = all.at(-1)?.[1];
  if (!whole) return null;
  const wanted = whole * share;
  let low = 0, below = 0;
  for (const [le, count] of all) {
    if (count >= wanted) return le === Infinity ? low : low + (le - low) * ((wanted - below) / Math.max(1e-9, count - below));
    low = le; below = count;
  }
  return low;
}

function Overview({ api }) {
  const range = RANGES[place.value.query.range] ? place.value.query.range : "24h";
  const [, length, unit, every] = RANGES[range];
  const [turn, setTurn] = useState(0);
  const now = Date.now() * 1000;
  const traffic = useLoad(async (signal) => {
    const until = Date.now() * 1000;
    const [current, before] = await Promise.all([
      api("usage/summary", { query: { by: `${unit},outcome`, since: until - length, until, limit: 5000 }, signal }),
      api("usage/summary", { query: { by: "outcome", since: until - 2 * length, until: until - length }, signal }),
    ]);
    return { rows: current.data, before: before.data, since: until - length, until };
  }, [range, turn]);
  const health = useLoad((signal) => api.send("health/detailed", { signal }).then((it) => it.json()), [turn]);
  const metrics = useLoad((signal) => api.send("metrics", { signal }).then((it) => it.text()), [turn]);
  const errors = useLoad((signal) => api("usage", { query: { outcome: "error", since: now - 7 * 864e8, limit: 5 }, signal }), [turn]);
  useEvery(15_000, () => setTurn((it) => it + 1));
  const prefix = metrics.data?.match(/^# TYPE (\w+)_request_duration_seconds/m)?.[1];
  const at = (name, share) => { const found = prefix ? quantile(metrics.data, `${prefix}_${name}`, share) : null; return found === null ? "–" : span(found * 1e6); };
  return html`<${Page} title="Overview" actions=${html`<select class="small" aria-label="Time" value=${range} onChange=${(event) => setQuery({ range: event.target.value === "24h" ? "" : event.target.value })}>${Object.entries(RANGES).map(([name, [title]]) => html`<option value=${name}>${title}</option>`)}</select>`}>
    <${Loaded} from=${traffic}>${({ rows, before, since, until }) => {
      const requests = sum(rows, (it) => it.requests), was = sum(before, (it) => it.requests);
      const failed = sum(rows.filter((it) => it.group.outcome === "error"), (it) => it.requests), failedWas = sum(before.filter((it) => it.group.outcome === "error"), (it) => it.requests);
      const cost = sum(rows, (it) => it.sums.cost_microusd), costWas = sum(before, (it) => it.sums.cost_microusd);
      const tokens = sum(rows, (it) => (it.sums.input_tokens || 0) + (it.sums.output_tokens || 0)), tokensWas = sum(before, (it) => (it.sums.input_tokens || 0) + (it.sums.output_tokens || 0));
      const took = requests ? sum(rows, (it) => it.sums.latency_us) / requests : null;
      const change = (a, b) => (b ? (a - b) / b : null);
      const times = steps(since, until, every);
      const place_ = new Map(times.map((it, n) => [it, n]));
      const spread = (keep, of) => { const all = times.map(() => 0); for (const it of rows) if (keep(it)) { const n = place_.get(Math.floor(Date.parse(it.group[unit]) / 1000)); if (n !== undefined) all[n] += of(it) || 0; } return all; };
      if (!requests && !was) return html`<${Empty} title="No traffic yet" action=${html`<span class="bar"><${Link} to=${["setup"]} class="button primary">Set up a provider<//><${Link} to=${["playground"]} class="button">Try the playground<//></span>`}>Requests, errors, latency and cost will be here as soon as there are calls. The model <code>echo</code> answers without any provider.<//>`;
      return html`<${Fragment}>
        <div class="figures">
          <${Figure} label="Requests" value=${compact(requests)} change=${change(requests, was)}>before: ${compact(was)}<//>
          <${Figure} label="Errors" value=${percent(failed, requests)} change=${change(failed / (requests || 1), failedWas / (was || 1))} better="less">${plural(failed, "call")}<//>
          <${Figure} label="Cost" value=${costOf(rows)} change=${change(cost, costWas)}>before: ${costOf(before)}<//>
          <${Figure} label="Tokens" value=${compact(tokens)} change=${change(tokens, tokensWas)}>in and out<//>
          <${Figure} label="Took" value=${span(took === null ? null : Math.round(took))}>on average<//>
          <${Figure} label="First token" value=${at("ttft_seconds", 0.5)}>p95 ${at("ttft_seconds", 0.95)}, since the start<//>
          <${Figure} label="In flight" value=${number(health.data?.exchanges_in_flight)}>in this process<//>
        </div>
        <div class="columns">
          <section><h2>Requests per ${unit}</h2><${Chart} label=${`Requests per ${unit}`} times=${times} stacked series=${[{ label: "complete", values: spread(good, (it) => it.requests) }, { label: "other", values: spread((it) => !good(it), (it) => it.requests) }]} /></section>
          <section><h2>Cost per ${unit}</h2><${Chart} label=${`Cost per ${unit}`} times=${times} show=${(it) => money(Math.round(it))} least=${1e6} series=${[{ label: "cost", values: spread(() => true, (it) => it.sums.cost_microusd) }]} bars /></section>
        </div><//>`;
    }}<//>
    <section class="section"><h2>Models at providers</h2><${Targets} api=${api} /></section>
    ${kindNamed("budgets") && html`<section class="section"><h2>Budgets</h2><${BudgetsNow} api=${api} turn=${turn} /></section>`}
    <section class="section"><h2>State of this process</h2><${Loaded} from=${health} lines=${2}>${(it) => html`<dl class="facts"><dt>All</dt><dd><${Status} value=${it.status} /> ${it.phase}</dd><dt>Store</dt><dd>${it.store === "ok" ? html`<${Status} value="ok" />` : html`<${Status} value="error">${it.store}<//>`}</dd>
      ${it.broken_resources?.length ? html`<dt>Cannot be used</dt><dd>${it.broken_resources.map((one) => html`<div><${Link} to=${["k", one.kind, one.id]}>${one.id}<//> ${one.reason}</div>`)}</dd>` : null}</dl>`}<//></section>
    <section class="section"><h2>Last errors</h2><${Loaded} from=${errors} lines=${3}>${({ data }) => (data.length ? html`<div class="table-box"><table><thead><tr><th>When</th><th>Model</th><th>Cause</th><th>Why</th></tr></thead><tbody>${data.map((it) => html`<tr key=${it.id}>
      <td class="fix"><${Link} to=${["requests"]} query=${{ request: it.id, since: it.at_us - 1e6, until: it.at_us + 1e6 }}><${Time} at=${it.at_us} relative /><//></td><td>${it.model}</td><td><${Status} value="error">${(it.cause || "error").replaceAll("_", " ")} ${it.status}<//></td><td>${reasonOf(it)}</td></tr>`)}</tbody></table></div>` : html`<p class="muted">None in the last 7 days.</p>`)}<//></section>
  <//>`;
}

export const show = page(Overview);
