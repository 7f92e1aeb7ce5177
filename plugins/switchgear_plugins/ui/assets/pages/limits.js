import { Bar, Button, Empty, Link, Page, Status, Table, Trouble, html, number, page, useLoad, useEffect, useState, title } from "../kit.js";

// The counters of one key, asked for when its row is in sight of somebody who wants to know.
function Live({ api, id, model }) {
  const [state, setState] = useState(null);
  useEffect(() => {
    const ending = new AbortController();
    api("explain", { method: "POST", body: { request: { model }, key_id: id }, signal: ending.signal }).then((it) => setState(it), (error) => { if (!ending.signal.aborted) setState({ error }); });
    return () => ending.abort();
  }, [id, model]);
  if (!state) return html`<span class="muted">…</span>`;
  if (state.error) return html`<span class="muted">${state.error.message}</span>`;
  const rows = state.policies.flatMap((policy) => Object.entries(policy.says || {}).filter(([, one]) => one && typeof one === "object" && "limit" in one));
  if (!rows.length) return html`<span class="muted">nothing is counted</span>`;
  return rows.map(([name, one]) => {
    const left = one.remaining ?? one.left;
    const used = one.used ?? (left === undefined || left === null ? 0 : one.limit - left);
    return html`<div class="nowrap"><${Bar} part=${used} whole=${one.limit} tone=${used / one.limit > 0.9 ? "bad" : used / one.limit > 0.7 ? "warn" : ""} /> ${number(used)} of ${number(one.limit)} <span class="muted">${title(name).toLowerCase()}</span></div>`;
  });
}

function Limits({ api }) {
  const model = useLoad((signal) => api("models", { query: { limit: 1 }, signal }), []);
  const [turn, setTurn] = useState(0);
  const name = model.data?.data[0]?.id;
  return html`<${Page} title="Limits of keys" about="Requests and tokens a minute and requests at once, as each key may have them, and what is used of them now." actions=${html`<${Button} onClick=${() => setTurn((it) => it + 1)}>Look again<//>`}>
    ${model.error && html`<${Trouble} error=${model.error} />`}
    ${model.data && html`<${Table} name="limits" deps=${[turn]} load=${({ cursor, limit, signal }) => api("api-keys", { query: { cursor, limit: Math.min(limit, 25) }, signal })} columns=${[
      { key: "name", title: "Key", show: (it) => html`<${Link} to=${["k", "api-keys", it.id]}>${it.name}<//>` },
      { key: "status", title: "State", show: (it) => html`<${Status} value=${it.status} />` },
      { key: "requests_per_minute", title: "Requests/min", align: "num", show: (it) => number(it.limits.requests_per_minute) },
      { key: "tokens_per_minute", title: "Tokens/min", align: "num", show: (it) => number(it.limits.tokens_per_minute) },
      { key: "concurrent_requests", title: "At once", align: "num", show: (it) => number(it.limits.concurrent_requests) },
      { key: "now", title: "Now", show: (it) => (Object.values(it.limits).some((one) => one) && name ? html`<${Live} key=${turn} api=${api} id=${it.id} model=${name} />` : html`<span class="muted">no limit</span>`) },
    ]} empty=${html`<${Empty} title="No key yet" action=${html`<${Link} to=${["k", "api-keys", ""]} query=${{ new: 1 }} class="button primary">Make a key<//>`}>Limits are set on a key.<//>`} />`}
  <//>`;
}

export const show = page(Limits);
