import { Bar, Chart, Empty, Figure, Filters, Fragment, Link, Loaded, Page, compact, costOf, html, money, number, page, percent, place, plural, setQuery, span, title, useLoad } from "../kit.js";
import { FILTERS, filtersOf } from "./log.js";
import { Export } from "./requests.js";
import { steps } from "./overview.js";

const BY = { model: "Model asked for", target: "Model that served", provider: "Provider", key_id: "Key", team_id: "Team", user_id: "User", operation: "Operation", dialect: "API", outcome: "Outcome" };
const WHAT = {
  cost: ["Cost", (it) => it.sums.cost_microusd, money], requests: ["Requests", (it) => it.requests, number],
  tokens: ["Tokens", (it) => (it.sums.input_tokens || 0) + (it.sums.output_tokens || 0), compact], input: ["Tokens in", (it) => it.sums.input_tokens, compact], output: ["Tokens out", (it) => it.sums.output_tokens, compact],
};
const RANGES = { "24h": ["Last 24 hours", 864e5, "hour", 3600], "7d": ["Last 7 days", 7 * 864e5, "day", 86400], "30d": ["Last 30 days", 30 * 864e5, "day", 86400], "90d": ["Last 90 days", 90 * 864e5, "day", 86400] };
const MOST = 7;

function Usage({ api }) {
  const { query } = place.value;
  const range = RANGES[query.range] ? query.range : "30d";
  const label = query.label;
  const by = label ? `labels.${label}` : BY[query.by] ? query.by : "model";
  const { by: _b, what: _w, label: _l, ...others } = filtersOf(query);
  const chosen = WHAT[query.what] ? query.what : "";
  const [, length, unit, every] = RANGES[range];
  const found = useLoad(async (signal) => {
    const until = Date.now();
    const since = unit === "day" ? Date.parse(new Date(until - length + 864e5).toISOString().slice(0, 10)) : until - length;
    const asked = { ...others, limit: 10000 };
    const [now, before] = await Promise.all([
      api("usage/summary", { query: { ...asked, by: `${unit},${by}`, since: since * 1000, until: until * 1000 }, signal }),
      api("usage/summary", { query: { ...asked, by, since: (since - (until - since)) * 1000, until: since * 1000 }, signal }),
    ]);
    return { now: now.data, before: before.data, since, until };
  }, [range, by, JSON.stringify(others)]);
  const { range: _r, ...forExport } = { ...others };
  return html`<${Page} title="Usage and cost" about="What was consumed, compared with as long a time before." actions=${html`<${Export} query=${{ ...forExport, since: (Date.now() - length) * 1000 }} />`}>
    <div class="bar tools">
      <select class="small" aria-label="Time" value=${range} onChange=${(event) => setQuery({ range: event.target.value })}>${Object.entries(RANGES).map(([key, [text]]) => html`<option value=${key}>${text}</option>`)}</select>
      <select class="small" aria-label="What" value=${chosen} onChange=${(event) => setQuery({ what: event.target.value })}><option value="">Cost, where known</option>${Object.entries(WHAT).map(([key, [text]]) => html`<option value=${key}>${text}</option>`)}</select>
      <select class="small" aria-label="By" value=${label ? "label" : by} onChange=${(event) => (event.target.value === "label" ? setQuery({ label: prompt("Which label?") || "" }) : setQuery({ by: event.target.value, label: "" }))}>${Object.entries(BY).map(([key, text]) => html`<option value=${key}>by ${text.toLowerCase()}</option>`)}<option value="label">by a label…</option></select>
      <${Filters} filters=${FILTERS} values=${others} onChange=${setQuery} />
    </div>
    <${Loaded} from=${found}>${({ now, before, since, until }) => {
      if (!now.length) return html`<${Empty} title="Nothing was used" action=${html`<${Link} to=${["playground"]} class="button">Try the playground<//>`}>There is no call in this time${Object.keys(others).length ? " that fits the filters" : ""}.<//>`;
      const what = chosen || (now.some((it) => it.sums.cost_microusd) ? "cost" : "requests");
      const [name, of, show] = WHAT[what];
      const total = new Map(), was = new Map(before.map((it) => [it.group[by] ?? "none", it]));
      for (const it of now) {
        const key = it.group[by] ?? "none";
        const had = total.get(key) || { requests: 0, sums: {} };
        had.requests += it.requests;
        for (const [unit_, value] of Object.entries(it.sums)) had.sums[unit_] = (had.sums[unit_] || 0) + (value || 0);
        total.set(key, had);
      }
      const rows = [...total].sort((a, b) => (of(b[1]) || 0) - (of(a[1]) || 0));
      const times = steps(since * 1000, until * 1000, every);
      const index = new Map(times.map((it, n) => [it, n]));
      const shown = rows.slice(0, MOST).map(([key]) => key);
      const series = shown.map((key) => ({ label: key, values: times.map(() => 0) }));
      const rest = { label: `${plural(rows.length - MOST, "other")}`, values: times.map(() => 0) };
      for (const it of now) {
        const n = index.get(Math.floor(Date.parse(it.group[unit]) / 1000));
        if (n === undefined) continue;
        const at = shown.indexOf(it.group[by] ?? "none");
        (at < 0 ? rest : series[at]).values[n] += of(it) || 0;
      }
      if (rows.length > MOST) series.push(rest);
      const sum = (all, take) => all.reduce((whole, it) => whole + (take(it) || 0), 0);
      const change = (take) => { const a = sum(now, take), b = sum(before, take); return b ? (a - b) / b : null; };
      const whole = sum(now, of);
      return html`<${Fragment}>
        <div class="figures">${["cost", "requests", "input", "output"].map((key) => html`<${Figure} key=${key} label=${WHAT[key][0]} value=${key === "cost" ? costOf(now) : compact(sum(now, WHAT[key][1]))} change=${change(WHAT[key][1])}>before: ${key === "cost" ? costOf(before) : compact(sum(before, WHAT[key][1]))}<//>`)}</div>
        <section><h2>${name} per ${unit}, ${label ? `by the label ${label}` : `by ${BY[by].toLowerCase()}`}</h2><${Chart} label=${`${name} per ${unit}`} times=${times} series=${series} stacked show=${(it) => show(Math.round(it))} least=${what === "cost" ? 1e6 : 1} height=${240} /></section>
        <section class="section"><div class="table-box"><table><thead><tr><th>${label || BY[by]}</th><th></th><th class="num">Requests</th><th class="num">Tokens in</th><th class="num">Tokens out</th><th class="num">Cost</th><th class="num">Before</th><th class="num">On average</th></tr></thead><tbody>${rows.map(([key, it]) => html`<tr key=${key}>
          <td>${key === "none" ? html`<span class="muted">none</span>` : html`<${Link} to=${["requests"]} query=${{ ...others, [by]: key }}>${key}<//>`}</td>
          <td class="fix"><${Bar} part=${of(it) || 0} whole=${whole} /> <span class="muted">${percent(of(it) || 0, whole)}</span></td>
          <td class="num">${number(it.requests)}</td><td class="num">${compact(it.sums.input_tokens)}</td><td class="num">${compact(it.sums.output_tokens)}</td><td class="num">${costOf([it])}</td><td class="num muted">${was.has(key) ? costOf([was.get(key)]) : "–"}</td><td class="num">${span(Math.round(it.sums.latency_us / it.requests))}</td></tr>`)}</tbody></table></div></section><//>`;
    }}<//>
  <//>`;
}

export const show = page(Usage);
