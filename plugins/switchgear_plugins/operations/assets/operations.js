// Calls that are answered later: where each is, and a way to stop it. What was asked and answered is their owners'.
import { Button, Drawer, Empty, Filters, Id, Link, Page, Status, Table, Time, complain, confirm, html, id as escaped, page, place, setQuery, toast, useEvery, useState, JsonView } from "../ui/kit.js";

const STATES = ["pending", "running", "completed", "failed", "cancelled"];
const isOpen = (it) => it.status === "pending" || it.status === "running";

function Operations({ api }) {
  const { status = "" } = place.value.query;
  const [turn, setTurn] = useState(0);
  const [open, setOpen] = useState(null);
  useEvery(open && isOpen(open) ? 1000 : 0, async () => { const now = await api(`operations/${escaped(open.id)}`).catch(complain); if (now) setOpen(now); }, [open?.id, open?.status]);
  const cancel = async () => {
    if (!(await confirm({ title: `Cancel ${open.id}?`, body: html`<p>What it asks a provider is given up.</p>`, action: "Cancel it", danger: true }))) return;
    try { setOpen(await api(`operations/${escaped(open.id)}/cancel`, { method: "POST" })); toast("Cancelled"); setTurn((it) => it + 1); } catch (error) { complain(error); }
  };
  return html`<${Page} title="Operations" about="Calls that clients left to be answered later, with ?async=true.">
    <${Table} name="operations" deps=${[status, turn]} load=${({ cursor, limit, signal }) => api("operations", { query: { status, cursor, limit }, signal })} onRow=${setOpen}
      columns=${[
        { key: "created_at", title: "Asked", align: "fix", show: (it) => html`<${Time} at=${it.created_at} relative />` }, { key: "status", title: "State", align: "fix", show: (it) => html`<${Status} value=${it.status} />` },
        { key: "endpoint", title: "What" }, { key: "model", title: "Model" }, { key: "owner", title: "Whose" }, { key: "tries", title: "Tries", align: "num" }, { key: "status_code", title: "Answer", align: "num" },
        { key: "ended_at", title: "Ended", align: "fix", show: (it) => html`<${Time} at=${it.ended_at} relative />` }, { key: "id", title: "ID", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
      ]} tools=${html`<${Filters} filters=${[{ name: "status", choices: STATES }]} values=${{ status }} onChange=${setQuery} />`}
      empty=${html`<${Empty} title="No operation">A call with <code>?async=true</code> is answered at once with an id, and done behind the scenes.<//>`} />
    ${open && html`<${Drawer} title="Operation" onClose=${() => setOpen(null)} actions=${isOpen(open) ? html`<${Button} kind="danger small" onClick=${cancel}>Cancel it<//>` : null}>
      <dl class="facts"><dt>ID</dt><dd><${Id} value=${open.id} /></dd><dt>State</dt><dd><${Status} value=${open.status} />${open.tries > 1 ? `, begun ${open.tries} times` : ""}</dd><dt>What</dt><dd>${open.endpoint} of ${open.model}</dd><dt>Whose</dt><dd>${open.owner}</dd>
        <dt>Asked</dt><dd><${Time} at=${open.created_at} /></dd><dt>Begun</dt><dd><${Time} at=${open.started_at} /></dd><dt>Ended</dt><dd><${Time} at=${open.ended_at} /></dd><dt>Kept until</dt><dd><${Time} at=${open.expires_at} /></dd>
        ${open.request_id ? html`<dt>Request</dt><dd><${Link} to=${["requests"]} query=${{ request: open.request_id }}>${open.request_id}<//></dd>` : null}</dl>
      ${open.error ? html`<section class="section"><h2>Why it failed</h2><${JsonView} value=${open.error} /></section>` : null}<//>`}
  <//>`;
}

export const show = page(Operations);
