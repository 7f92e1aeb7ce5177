// Lists that are no resources: what ran, was said or was delivered. One description each; the rest is the same.
import {
  Button, Drawer, Empty, Filters, Id, JsonView, Page, Status, Table, Time, capital, cell, complain, html, id as escaped, money, page, place, setQuery, span, title, toast, useState,
} from "../kit.js";

const at = (key, text = title(key)) => ({ key, title: text, align: "fix", show: (it) => html`<${Time} at=${it[key]} relative />` });
const state = (key = "status") => ({ key, title: "State", align: "fix", show: (it) => html`<${Status} value=${it[key]} />` });

const LISTS = {
  operations: {
    path: "operations", title: "Operations", about: "What was left to run behind the scenes: batches, runs, long calls.",
    filters: ["kind", "status"], actions: [{ name: "cancel", on: (it) => ["waiting", "running"].includes(it.status || it.state) }],
    empty: "Work that takes long is listed here while it runs and for a while after.",
  },
  dialogs: { path: "dialogs", title: "Dialogs", about: "Conversations that are kept, as far as keys may keep them.", empty: "Conversations of clients that keep them will be here." },
  anomalies: { path: "usage/anomalies", title: "Spending out of the usual", about: "Hours in which spending left its usual band.", empty: "Nothing out of the usual. It takes some days of traffic to know what is." },
  "workflow-runs": { path: "workflow-runs", title: "Workflow runs", about: "Each run of a workflow, step by step.", empty: "Run a workflow with POST /v1/workflows/ID/execute, and it is listed here." },
  "test-runs": { path: "test-runs", title: "Test runs", about: "What came of running test cases.", empty: "Run test cases with POST /admin/v1/test-runs." },
  "webhook-deliveries": {
    path: "webhook-deliveries", title: "Webhook deliveries", about: "What was sent to whom, and what came back.",
    actions: [{ name: "redeliver", on: () => true }], empty: "Make a webhook, and what it is told is listed here.",
  },
};

const TIMES = /(_at|_us)$/;
const WORDS = new Set(["status", "state", "outcome"]);

function columnsOf(rows) {
  const first = rows[0] || {};
  let shown = 0;
  return Object.keys(first).map((key) => {
    const value = rows.find((it) => it[key] !== null && it[key] !== undefined)?.[key];
    const hidden = (typeof value === "object" && value !== null) || value === undefined || ++shown > 8;
    if (WORDS.has(key)) return { ...state(key), hidden: false };
    if (/latency_us|took_us|duration_us/.test(key)) return { key, title: title(key), align: "num", hidden, show: (it) => span(it[key]) };
    if (/microusd$/.test(key)) return { key, title: title(key.replace("_microusd", "")), align: "num", hidden, show: (it) => money(it[key]) };
    if (TIMES.test(key) && (typeof value === "string" || value > 1e14)) return { ...at(key), hidden };
    return { key, title: title(key), hidden, show: (it) => (key === "id" ? html`<${Id} value=${String(it.id)} />` : cell(it[key])) };
  });
}

function Collection({ api }) {
  const name = place.value.parts[0];
  const list = LISTS[name] || LISTS.operations;
  const { query } = place.value;
  const [columns, setColumns] = useState([{ key: "id", title: "ID" }]);
  const [open, setOpen] = useState(null);
  const [turn, setTurn] = useState(0);
  const { columns: _c, ...filters } = query;
  const load = async ({ cursor, limit, signal }) => {
    const found = await api(list.path, { query: { ...filters, cursor, limit }, signal });
    if (!cursor) setColumns(columnsOf(found.data));
    return { data: found.data, next_cursor: found.next_cursor || null };
  };
  const act = async (action) => {
    try { await api(`${list.path}/${escaped(open.id)}/${action.name}`, { method: "POST" }); toast(`${capital(action.name)}: ${open.id}`); setOpen(null); setTurn((it) => it + 1); } catch (error) { complain(error); }
  };
  return html`<${Page} title=${list.title} about=${list.about}>
    <${Table} key=${columns.map((it) => it.key).join()} name=${name} columns=${columns} deps=${[name, JSON.stringify(filters), turn]} load=${load} onRow=${setOpen} keyOf=${(it) => it.id ?? JSON.stringify(it)}
      tools=${list.filters ? html`<${Filters} filters=${list.filters.map((one) => ({ name: one }))} values=${filters} onChange=${setQuery} />` : null}
      empty=${html`<${Empty} title="Nothing here yet">${list.empty}<//>`} />
    ${open && html`<${Drawer} title=${open.id || list.title} onClose=${() => setOpen(null)} actions=${(list.actions || []).filter((it) => it.on(open)).map((it) => html`<${Button} kind="small" onClick=${() => act(it)}>${capital(it.name)}<//>`)}><${JsonView} value=${open} height=${640} /><//>`}
  <//>`;
}

export const show = page(Collection);
