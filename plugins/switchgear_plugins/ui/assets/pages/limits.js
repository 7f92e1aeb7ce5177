import { Button, Empty, Link, Page, Status, Table, html, number, page, useState } from "../kit.js";
import { Standing } from "./standing.js";

function Limits({ api }) {
  const [turn, setTurn] = useState(0);
  return html`<${Page} title="Limits of keys" about="Requests and tokens a minute and requests at once, as each key may have them, and what is used of them and of its budgets now." actions=${html`<${Button} onClick=${() => setTurn((it) => it + 1)}>Look again<//>`}>
    <${Table} name="limits" deps=${[turn]} load=${({ cursor, limit, signal }) => api("api-keys", { query: { cursor, limit: Math.min(limit, 25) }, signal })} columns=${[
      { key: "name", title: "Key", show: (it) => html`<${Link} to=${["k", "api-keys", it.id]}>${it.name}<//>` },
      { key: "status", title: "State", show: (it) => html`<${Status} value=${it.status} />` },
      { key: "requests_per_minute", title: "Requests/min", align: "num", show: (it) => number(it.limits.requests_per_minute) },
      { key: "tokens_per_minute", title: "Tokens/min", align: "num", show: (it) => number(it.limits.tokens_per_minute) },
      { key: "concurrent_requests", title: "At once", align: "num", show: (it) => number(it.limits.concurrent_requests) },
      { key: "now", title: "Now", show: (it) => html`<${Standing} api=${api} id=${it.id} turn=${turn} plain />` },
    ]} empty=${html`<${Empty} title="No key yet" action=${html`<${Link} to=${["k", "api-keys", ""]} query=${{ new: 1 }} class="button primary">Make a key<//>`}>Limits are set on a key.<//>`} />
  <//>`;
}

export const show = page(Limits);
