// What was sent to whom and what came back: of all webhooks as a page, of one as its tab, where a test event can be sent.
import { Button, Drawer, Empty, Filters, Fragment, Id, JsonView, Link, Loaded, Page, Status, Table, Time, complain, findIn, html, id as escaped, page, place, setQuery, span, toast, useLoad, useState } from "../ui/kit.js";

const STATES = ["pending", "delivered", "dead"];

function One({ api, id, onClose, onAgain }) {
  const found = useLoad((signal) => api(`webhook-deliveries/${escaped(id)}`, { signal }), [id]);
  const again = async () => { try { const it = await api(`webhook-deliveries/${escaped(id)}/redeliver`, { method: "POST" }); toast("It is delivered once more"); onAgain(it); } catch (error) { complain(error); } };
  return html`<${Drawer} title="Delivery" onClose=${onClose} actions=${html`<${Button} kind="small" onClick=${again}>Deliver again<//>`}><${Loaded} from=${found}>${(it) => html`
    <dl class="facts"><dt>State</dt><dd><${Status} value=${it.state} /> after ${it.tries} ${it.tries === 1 ? "try" : "tries"}${it.due_at && it.state === "pending" ? html`, next <${Time} at=${it.due_at} relative />` : null}</dd>
      <dt>To</dt><dd><${Link} to=${["k", "webhooks", it.webhook]}>${it.webhook}<//></dd><dt>Event</dt><dd>${it.name} <${Id} value=${it.event} /></dd><dt>Last answer</dt><dd>${it.status ?? "none"}${it.took_ms === null ? "" : ` in ${span(it.took_ms * 1000)}`}</dd>
      ${it.error ? html`<dt>Why</dt><dd>${it.error}</dd>` : null}${it.answer ? html`<dt>It said</dt><dd class="wrap">${it.answer}</dd>` : null}</dl>
    <section class="section"><h2>What is sent</h2><${JsonView} value=${it.body} /></section>`}<//><//>`;
}

function Deliveries({ api, below: [of] }) {
  const { delivery, columns: _, webhook = "", state = "" } = place.value.query;
  const [turn, setTurn] = useState(0);
  const again = () => setTurn((it) => it + 1);
  const test = async () => {
    try { const it = await api(`webhooks/${escaped(of)}/test`, { method: "POST" }); toast(it.state === "delivered" ? `Delivered: ${it.status}` : `Not delivered: ${it.error || it.status}`, { tone: it.state === "delivered" ? "good" : "bad" }); again(); } catch (error) { complain(error); }
  };
  const filters = { webhook: of || webhook, state };
  const table = html`<${Table} name="webhook-deliveries" deps=${[JSON.stringify(filters), turn]} load=${({ cursor, limit, signal }) => api("webhook-deliveries", { query: { ...filters, cursor, limit }, signal })}
    columns=${[
      { key: "created_at", title: "When", align: "fix", show: (it) => html`<${Time} at=${it.created_at} relative />` }, { key: "webhook", title: "To", hidden: Boolean(of) }, { key: "name", title: "Event" },
      { key: "state", title: "State", align: "fix", show: (it) => html`<${Status} value=${it.state} />` }, { key: "tries", title: "Tries", align: "num" }, { key: "status", title: "Answer", align: "num" }, { key: "error", title: "Why" },
      { key: "took_ms", title: "Took", align: "num", show: (it) => (it.took_ms === null ? "–" : span(it.took_ms * 1000)) }, { key: "id", title: "ID", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
    ]} onRow=${(it) => setQuery({ delivery: it.id })} selected=${delivery}
    tools=${html`<${Filters} filters=${[...(of ? [] : [{ name: "webhook", find: findIn("webhooks") }]), { name: "state", choices: STATES }]} values=${of ? { state } : { webhook, state }} onChange=${setQuery} />${of && html`<${Button} onClick=${test}>Send a test event<//>`}`}
    empty=${html`<${Empty} title="Nothing was sent yet">What a webhook is told is listed here, with what came back. Those with the state <em>dead</em> are not tried any more.<//>`} />`;
  return html`<${Fragment}>${of ? table : html`<${Page} title="Webhook deliveries" about="What was sent to whom, and what came back.">${table}<//>`}
    ${delivery && html`<${One} api=${api} id=${delivery} onClose=${() => setQuery({ delivery: "" })} onAgain=${(it) => { again(); setQuery({ delivery: it.id }); }} />`}<//>`;
}

export const show = page(Deliveries);
