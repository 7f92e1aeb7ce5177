import { Button, Empty, Figure, Fragment, Link, Loaded, Page, Status, Tag, Trouble, html, isAbort, money, number, page, useEffect, useLoad, useRef, useState } from "../kit.js";

const perMillion = (price) => (price === null || price === undefined ? "–" : money(price));

const DAYS = { 1: "The last day", 7: "The last 7 days", 30: "The last 30 days" };

// What calls that were made would have cost at the prices of now. Nothing is changed.
function Repriced({ api }) {
  const [days, setDays] = useState("7");
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async () => {
    const { signal } = running.current = new AbortController();
    setState({ busy: true });
    try { setState({ it: await api("prices/reprice", { method: "POST", body: { since_us: Math.round((Date.now() - days * 864e5) * 1000) }, signal }) }); } catch (error) { setState(isAbort(error) ? null : { error }); }
  };
  const it = state?.it;
  return html`<section class="section"><h2>Calls at the prices of now</h2><p class="muted">What calls that were made would have cost. Nothing is changed.</p>
    <p class="bar"><select class="small" aria-label="Which calls" value=${days} onChange=${(event) => setDays(event.target.value)}>${Object.entries(DAYS).map(([value, title]) => html`<option value=${value}>${title}</option>`)}</select>
      <${Button} onClick=${run} busy=${state?.busy}>Reckon<//>${state?.busy && html`<${Button} onClick=${() => running.current.abort()}>Stop<//>`}</p>
    ${state?.error && html`<${Trouble} error=${state.error} />`}
    ${it && html`<div class="figures"><${Figure} label="Calls" value=${number(it.requests)}>${it.complete ? "all of them" : "the newest; there are more"}<//><${Figure} label="Cost then" value=${money(it.recorded_microusd)}>${it.unknown ? `${number(it.unknown)} without a price` : ""}<//><${Figure} label="Cost now" value=${money(it.repriced_microusd)}>${it.unpriced ? `${number(it.unpriced)} without a price` : ""}<//></div>
      ${it.data.length ? html`<div class="table-box"><table><thead><tr><th>Model</th><th class="num">Calls</th><th class="num">Then</th><th class="num">Now</th></tr></thead><tbody>${it.data.map((one) => html`<tr key=${one.model}><td>${one.model}</td><td class="num">${number(one.requests)}</td><td class="num">${money(one.recorded_microusd)}</td><td class="num">${money(one.repriced_microusd)}</td></tr>`)}</tbody></table></div>` : null}`}</section>`;
}

function Prices({ api }) {
  const found = useLoad((signal) => api("prices", { signal }), []);
  const [word, setWord] = useState("");
  return html`<${Page} title="Prices" about="What each model costs here, in dollars for a million of a unit, and by which book. A model's own pricing comes before the book's.">
    <${Loaded} from=${found}>${(it) => {
      const wanted = it.data.filter((one) => !word || `${one.model} ${one.provider} ${one.provider_model}`.toLowerCase().includes(word.toLowerCase()));
      const units = [...new Set(wanted.flatMap((one) => Object.keys(one.units || {})))].slice(0, 6);
      return html`<${Fragment}>
        <dl class="facts"><dt>Book</dt><dd>${it.book || "none"}</dd><dt>Without a price</dt><dd>${it.unpriced ? html`<${Status} value="warn" as="warn">${number(it.unpriced)} models<//>` : html`<${Status} value="ok">none<//>`}</dd></dl>
        <div class="bar tools section"><input class="small" type="search" placeholder="Find" aria-label="Find prices" value=${word} onInput=${(event) => setWord(event.target.value)} /></div>
        ${wanted.length ? html`<div class="table-box"><table><thead><tr><th>Model</th><th>At</th>${units.map((unit) => html`<th class="num">${unit.replaceAll("_", " ")}</th>`)}<th>By</th></tr></thead><tbody>${wanted.slice(0, 500).map((one) => html`<tr key=${`${one.model}/${one.provider}`}>
          <td><${Link} to=${["k", "models", one.model]}>${one.model}<//></td><td>${one.provider_model} <span class="muted">at ${one.provider}</span></td>${units.map((unit) => html`<td class="num">${perMillion(one.units?.[unit])}</td>`)}
          <td>${one.units ? html`<span class="muted">${one.version}</span>` : html`<${Status} value="warn" as="warn">no price<//>`}${one.tiers?.length ? html` <${Tag}>tiers<//>` : null}</td></tr>`)}</tbody></table></div>` : html`<${Empty} title="No model yet">Prices of models are listed as there are models.<//>`}
        ${it.notice ? html`<p class="muted section">${it.notice}</p>` : null}<//>`;
    }}<//>
    <${Repriced} api=${api} />
  <//>`;
}

export const show = page(Prices);
