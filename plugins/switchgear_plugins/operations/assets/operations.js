// Calls that are answered later: where each is, a way to stop it, and of one's own what came of it.
import {
  Button, Drawer, Empty, Filters, Fragment, Id, JsonView, Link, Loaded, Page, Status, Table, Time, Who, asDate, checked, complain, confirm, html, id as escaped, page, place, session, setQuery, span, toast,
  useEvery, useLoad, useState,
} from "../ui/kit.js";

const STATES = ["pending", "running", "completed", "failed", "cancelled"];
const OPEN = ["pending", "running"];
const isOpen = (it) => OPEN.includes(it?.status);
const took = (it) => (it.started_at && it.ended_at ? span((asDate(it.ended_at) - asDate(it.started_at)) * 1000) : "–");

// What came of one's own, as its owner gets it over the API for clients.
async function mine(api, it, signal) {
  if (it.owner !== session.value.who?.user?.id || it.status !== "completed") return null;
  return (await (await checked(await api.send(`v1/operations/${escaped(it.id)}`, { signal }))).json()).result;
}

function One({ api, id, onClose, onChanged }) {
  const found = useLoad(async (signal) => { const it = await api(`operations/${escaped(id)}`, { signal }); return { ...it, result: await mine(api, it, signal) }; }, [id]);
  useEvery(isOpen(found.data) ? 1000 : 0, found.reload, [id, found.data?.status]);
  const cancel = async () => {
    if (!(await confirm({ title: `Cancel ${id}?`, body: html`<p>What it asks a provider is given up.</p>`, action: "Cancel it", danger: true }))) return;
    try { await api(`operations/${escaped(id)}/cancel`, { method: "POST" }); toast("Cancelled"); found.reload(); onChanged(); } catch (error) { complain(error); }
  };
  return html`<${Drawer} title="Operation" onClose=${onClose} actions=${isOpen(found.data) ? html`<${Button} kind="danger small" onClick=${cancel}>Cancel it<//>` : null}><${Loaded} from=${found}>${(it) => html`<${Fragment}>
    <dl class="facts"><dt>ID</dt><dd><${Id} value=${it.id} /></dd><dt>State</dt><dd><${Status} value=${it.status} />${it.tries > 1 ? `, begun ${it.tries} times` : ""}</dd><dt>What</dt><dd>${it.endpoint} of ${it.model}</dd><dt>Whose</dt><dd><${Who} id=${it.owner} /></dd>
      <dt>Asked</dt><dd><${Time} at=${it.created_at} /></dd>${it.started_at ? html`<dt>Begun</dt><dd><${Time} at=${it.started_at} /></dd>` : null}${it.ended_at ? html`<dt>Ended</dt><dd><${Time} at=${it.ended_at} />, after ${took(it)}</dd>` : null}${it.expires_at ? html`<dt>Kept until</dt><dd><${Time} at=${it.expires_at} /></dd>` : null}
      ${it.status_code ? html`<dt>Answered with</dt><dd>${it.status_code}</dd>` : null}${it.request_id ? html`<dt>Request</dt><dd><${Link} to=${["requests"]} query=${{ request: it.request_id }}>${it.request_id}<//></dd>` : null}</dl>
    ${it.error ? html`<section class="section"><h2>Why it failed</h2><${JsonView} value=${it.error} /></section>` : null}
    ${it.result ? html`<section class="section"><h2>Result</h2><${JsonView} value=${it.result} /></section>` : it.status === "completed" ? html`<p class="hint section">What was answered is its owner's alone: <code>GET /v1/operations/${it.id}</code> with their key.</p>` : null}<//>`}<//><//>`;
}

function Operations({ api }) {
  const { status = "", operation } = place.value.query;
  const [turn, setTurn] = useState(0);
  const [going, setGoing] = useState(false);
  const again = () => setTurn((it) => it + 1);
  useEvery(going ? 2000 : 0, again, [going, status]);
  const load = async ({ cursor, limit, signal }) => {
    const found = await api("operations", { query: { status, cursor, limit }, signal });
    if (!cursor) setGoing(found.data.some(isOpen));
    return found;
  };
  return html`<${Page} title="Operations" about="Calls that clients left to be answered later, with ?async=true.">
    <${Table} name="operations" deps=${[status, turn]} load=${load} onRow=${(it) => setQuery({ operation: it.id })} selected=${operation}
      columns=${[
        { key: "created_at", title: "Asked", align: "fix", show: (it) => html`<${Time} at=${it.created_at} relative />` }, { key: "status", title: "State", align: "fix", show: (it) => html`<${Status} value=${it.status} />` },
        { key: "endpoint", title: "What" }, { key: "model", title: "Model" }, { key: "owner", title: "Whose", show: (it) => html`<${Who} id=${it.owner} />` }, { key: "tries", title: "Tries", align: "num" }, { key: "status_code", title: "Answer", align: "num" },
        { key: "took", title: "Took", align: "num", show: took }, { key: "ended_at", title: "Ended", align: "fix", hidden: true, show: (it) => html`<${Time} at=${it.ended_at} relative />` }, { key: "id", title: "ID", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
      ]} tools=${html`<${Filters} filters=${[{ name: "status", title: "State", choices: STATES }]} values=${{ status }} onChange=${setQuery} />`}
      empty=${html`<${Empty} title=${status ? "None of this state" : "No operation yet"}>A call with <code>?async=true</code> is answered at once with an id, and done behind the scenes: <code>POST /v1/chat/completions?async=true</code>.<//>`} />
    ${operation && html`<${One} key=${operation} api=${api} id=${operation} onClose=${() => setQuery({ operation: "" })} onChanged=${again} />`}
  <//>`;
}

export const show = page(Operations);
