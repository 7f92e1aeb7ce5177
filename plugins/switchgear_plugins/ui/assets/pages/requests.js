import { Button, Empty, Filters, Link, Page, Table, base, complain, html, page, path, place, send, setQuery, checked, useState } from "../kit.js";
import { COLUMNS, DetailOf, FILTERS, RANGES, askedOf, filtersOf } from "./log.js";

function Range() {
  const { range = "", since, until } = place.value.query;
  return html`<select class="small" aria-label="Time" value=${since || until ? "own" : range} onChange=${(event) => setQuery({ range: event.target.value, since: "", until: "" })}>
    ${since || until ? html`<option value="own">As in the address</option>` : null}${Object.entries(RANGES).map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select>`;
}

// Fetches everything that the filters leave, a page at a time on the gateway's side, and saves it.
export function Export({ query }) {
  const [busy, setBusy] = useState("");
  const save = async (format) => {
    setBusy(format);
    try {
      const answer = await checked(await send(path("usage/export", { ...query, format })));
      const url = URL.createObjectURL(await answer.blob());
      const link = Object.assign(document.createElement("a"), { href: url, download: `usage.${format}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 30_000);
    } catch (error) { complain(error); }
    setBusy("");
  };
  return html`<details class="menu"><summary class="button quiet">${busy ? "Saving…" : "Export"}</summary><div class="menu-body">
    <p class="muted">What the filters leave.</p><${Button} onClick=${() => save("csv")} busy=${Boolean(busy)}>CSV<//><${Button} onClick=${() => save("ndjson")} busy=${Boolean(busy)}>NDJSON<//></div></details>`;
}

function Requests({ api }) {
  const { query } = place.value;
  const [rows, setRows] = useState([]);
  const asked = askedOf(query);
  const shown = { ...filtersOf(query) };
  const load = async ({ cursor, limit, signal }) => {
    const found = await api("usage", { query: { ...asked, limit, cursor }, signal });
    setRows((it) => (cursor ? [...it, ...found.data] : found.data));
    return found;
  };
  const { request: _r, columns: _c, ...rest } = query;
  const filtered = Object.keys(rest).length > 0;
  return html`<${Page} title="Request log" about="Every call, newest first: what was asked for, who served it, what it cost. No content of a call is in it." actions=${html`<${Link} to=${["live"]} query=${shown} class="button">Follow live<//><${Export} query=${asked} />`}>
    <${Table} name="requests" columns=${COLUMNS} deps=${[JSON.stringify(rest)]} load=${load} selected=${query.request || null} onRow=${(it) => setQuery({ request: it.id, since: query.since, until: query.until })}
      tools=${html`<${Range} /><${Filters} filters=${FILTERS} values=${shown} onChange=${setQuery} />`}
      empty=${filtered ? html`<${Empty} title="Nothing fits">No request has all of this. Take a filter off, or look further back.<//>`
        : html`<${Empty} title="No request yet" action=${html`<${Link} to=${["playground"]} class="button primary">Send one from the playground<//>`}>Every call to the gateway will be listed here. Or with curl: <code>POST ${base.pathname}v1/chat/completions</code>.<//>`} />
    <${DetailOf} api=${api} rows=${rows} />
  <//>`;
}

export const show = page(Requests);
