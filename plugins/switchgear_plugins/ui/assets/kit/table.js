// A list of any length: a page at a time by cursor, filtered by the gateway, with its state in the address.
import { html, useEffect, useRef, useState, cx, Fragment } from "./dom.js";
import { Button, Empty, Skeleton, Slow, Trouble, stopped } from "./parts.js";
import { Picker, findAmong } from "./picker.js";
import { place, setQuery } from "./router.js";
import { title } from "./format.js";

const PAGE = 50;

// Which columns are shown, and remembered in this browser.
function useColumns(name, columns) {
  const key = `columns:${name}`;
  const usual = () => columns.filter((it) => !it.hidden).map((it) => it.key);
  const [chosen, setChosen] = useState(() => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } });
  const inView = place.value.query.columns?.split(",");
  const keys = inView || chosen || usual();
  const put = (next) => {
    setChosen(next);
    try { if (next) localStorage.setItem(key, JSON.stringify(next)); else localStorage.removeItem(key); } catch { /* not remembered, then */ }
    setQuery({ columns: "" });
  };
  return [columns.filter((it) => keys.includes(it.key)), put, keys];
}

export function ColumnChoice({ columns, keys, put }) {
  return html`<details class="menu"><summary class="button quiet">Columns</summary><div class="menu-body">
    ${columns.map((it) => html`<label class="check" key=${it.key}><input type="checkbox" checked=${keys.includes(it.key)} onChange=${(event) => put(columns.map((one) => one.key).filter((one) => (one === it.key ? event.target.checked : keys.includes(one))))} /> ${it.title}</label>`)}
    <${Button} kind="link" onClick=${() => put(null)}>As usual<//></div></details>`;
}

// Filters that are set, each of which can be taken off, and a field to set another.
export function Filters({ filters, values, onChange, reserved = [] }) {
  const set = Object.entries(values).filter(([name, value]) => value !== "" && !reserved.includes(name));
  const [adding, setAdding] = useState(null);
  const known = filters.find((it) => it.name === adding);
  const word = useRef("");
  const done = () => { if (adding && word.current !== "") onChange({ [adding]: word.current }); word.current = ""; setAdding(null); };
  const [, again] = useState(0);
  return html`<div class="filters">
    ${set.map(([name, value]) => html`<span class="chip" key=${name}><span class="muted">${filters.find((it) => it.name === name)?.title || title(name)}</span> ${value}<button type="button" aria-label=${`Take off the filter ${name}`} onClick=${() => onChange({ [name]: "" })}>✕</button></span>`)}
    ${adding === null ? html`<select class="small" aria-label="Add a filter" value="" onChange=${(event) => { word.current = ""; setAdding(event.target.value); }}><option value="">+ Filter</option>${filters.map((it) => html`<option value=${it.name}>${it.title || title(it.name)}</option>`)}</select>`
      : html`<form class="chip" onSubmit=${(event) => { event.preventDefault(); done(); }}><span class="muted">${known?.title || title(adding)}</span>
          ${known?.find || known?.choices ? html`<${Picker} label=${`Value of ${adding}`} value=${word.current} find=${known.find || findAmong(known.choices.map((it) => ({ id: it })))} onChange=${(text) => { word.current = text; again((n) => n + 1); }} />`
            : html`<input class="small" aria-label=${`Value of ${adding}`} autofocus onInput=${(event) => { word.current = event.target.value; }} />`}
          <button type="submit" class="button small">Set</button><button type="button" aria-label="No filter" onClick=${() => setAdding(null)}>✕</button></form>`}
  </div>`;
}

// `load({ cursor, limit, signal })` resolves to { data, next_cursor }. What it depends on is in `deps`.
export function Table({ name, columns, load, deps = [], keyOf = (it) => it.id, onRow, selected, empty, tools, live, foot }) {
  const [state, setState] = useState({ rows: null, cursor: null, error: null, busy: true });
  const [turn, setTurn] = useState(0);
  const [shown, put, keys] = useColumns(name, columns);
  const body = useRef(null);
  const running = useRef(null);
  useEffect(() => {
    const ending = running.current = new AbortController();
    setState((it) => ({ ...it, busy: true }));
    load({ cursor: null, limit: PAGE, signal: ending.signal }).then(
      (page) => { if (!ending.signal.aborted) setState({ rows: page.data, cursor: page.next_cursor, error: null, busy: false }); },
      (error) => { if (!ending.signal.aborted) setState((it) => ({ ...it, error, busy: false })); },
    );
    return () => ending.abort();
  }, [...deps, turn]);
  const more = async () => {
    const ending = running.current = new AbortController();
    setState((it) => ({ ...it, busy: true }));
    try {
      const page = await load({ cursor: state.cursor, limit: PAGE, signal: ending.signal });
      setState((it) => ({ rows: [...it.rows, ...page.data], cursor: page.next_cursor, error: null, busy: false }));
    } catch (error) { if (!ending.signal.aborted) setState((it) => ({ ...it, error, busy: false })); }
  };
  const stop = () => { running.current.abort(); setState((it) => ({ ...it, error: stopped(), busy: false })); };
  const rows = live ?? state.rows;
  const key = (event) => {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (event.target.tagName !== "TR") return;
    if (step) {
      event.preventDefault();
      const all = [...body.current.children];
      all[Math.max(0, Math.min(all.length - 1, all.indexOf(event.target) + step))]?.focus();
    } else if (event.key === "Enter") { event.preventDefault(); event.target.click(); }
  };
  return html`<${Fragment}>
    <div class="bar tools">${tools}<span class="grow"></span>${state.busy && rows ? html`<span class="muted">loading…</span>` : null}
      ${!live && html`<${Button} kind="quiet" onClick=${() => setTurn((it) => it + 1)} aria-label="Load again">↻<//>`}<${ColumnChoice} columns=${columns} keys=${keys} put=${put} /></div>
    ${state.busy && html`<${Slow} stop=${stop} />`}
    ${state.error && html`<${Trouble} error=${state.error} again=${() => setTurn((it) => it + 1)} />`}
    ${!rows && !state.error ? html`<${Skeleton} lines=${10} />` : null}
    ${rows && !rows.length && state.cursor && !live ? html`<${Empty} title="Nothing yet" action=${html`<${Button} onClick=${more} busy=${state.busy}>Look further<//>`}>None of the first thousands fits; there are more.<//>` : rows && !rows.length ? empty || html`<${Empty} title="Nothing here">No row fits.<//>` : null}
    ${rows && rows.length ? html`<div class=${cx("table-box", state.busy && "stale")} tabindex="-1"><table>
      <thead><tr>${shown.map((it) => html`<th key=${it.key} class=${it.align || ""} scope="col">${it.title}</th>`)}</tr></thead>
      <tbody ref=${body} onKeyDown=${key}>${rows.map((row) => html`<tr key=${keyOf(row)} class=${cx(onRow && "leads", selected !== undefined && selected === keyOf(row) && "selected")} tabindex=${onRow ? 0 : undefined}
        aria-selected=${selected !== undefined ? selected === keyOf(row) : undefined}
        onClick=${onRow ? (event) => { if (!event.target.closest("a, button, input") && !String(getSelection())) onRow(row); } : undefined}>
        ${shown.map((it) => html`<td key=${it.key} class=${it.align || ""}>${it.show ? it.show(row) : cell(row[it.key])}</td>`)}</tr>`)}</tbody>
    </table></div>` : null}
    ${rows && rows.length ? html`<div class="bar foot"><span class="muted">${rows.length.toLocaleString("en-US")} shown${!live && state.cursor ? ", there are more" : ""}</span>${foot}
      ${!live && state.cursor && html`<${Button} onClick=${more} busy=${state.busy}>Show more<//>`}</div>` : null}
  <//>`;
}

export function cell(value) {
  if (value === null || value === undefined || value === "") return html`<span class="muted">–</span>`;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length ? value.map((it) => (typeof it === "object" ? JSON.stringify(it) : it)).join(", ").slice(0, 120) : html`<span class="muted">–</span>`;
  if (typeof value === "object") { const text = JSON.stringify(value); return text === "{}" ? html`<span class="muted">–</span>` : text.slice(0, 120); }
  const text = String(value);
  return text.length > 120 ? html`<span title=${text.slice(0, 2000)}>${text.slice(0, 120)}…</span>` : text;
}
