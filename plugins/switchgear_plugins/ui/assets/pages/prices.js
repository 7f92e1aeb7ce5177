import { Empty, Fragment, Link, Loaded, Page, Status, Tag, html, money, number, page, useLoad, useState } from "../kit.js";

const perMillion = (price) => (price === null || price === undefined ? "–" : money(price));

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
  <//>`;
}

export const show = page(Prices);
