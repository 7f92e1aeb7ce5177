// Runs of workflows, and one with each of its steps.
import { Empty, Filters, Id, Link, Loaded, Page, Status, Table, Time, Who, findIn, go, html, id as escaped, money, page, place, setQuery, span, useLoad } from "../ui/kit.js";
import { Trace } from "./trace.js";

const HERE = ["p", "workflows", "workflow-runs"];
const STATES = ["completed", "failed", "cancelled"];

function One({ api, id }) {
  const found = useLoad((signal) => api(`workflow-runs/${escaped(id)}`, { signal }), [id]);
  return html`<${Loaded} from=${found}>${(it) => html`<${Page} title=${`Run of ${it.workflow}`} about=${html`<span class="bar"><${Link} to=${HERE}>All runs<//> <${Id} value=${id} /> <span><${Link} to=${["k", "workflows", it.workflow]}>${it.workflow}<//>, version ${it.version}</span> <span><${Time} at=${it.at_us} relative /> for <${Who} id=${it.principal} /></span>
      <${Link} to=${["requests"]} query=${{ "labels.parent": id }}>Its calls<//></span>`}><${Trace} run=${it} /><//>`}<//>`;
}

// Of one workflow in its tab, or of all.
function List({ api, of }) {
  const { query } = place.value;
  const filters = { workflow: of || query.workflow, status: query.status };
  return html`<${Table} name="workflow-runs" deps=${[JSON.stringify(filters)]} load=${({ cursor, limit, signal }) => api("workflow-runs", { query: { ...filters, cursor, limit }, signal })}
    columns=${[
      { key: "at_us", title: "When", align: "fix", show: (it) => html`<${Link} to=${[...HERE, it.id]}><${Time} at=${it.at_us} relative /><//>` },
      { key: "workflow", title: "Workflow", hidden: Boolean(of), show: (it) => html`<${Link} to=${["k", "workflows", it.workflow]}>${it.workflow}<//>` },
      { key: "status", title: "State", align: "fix", show: (it) => html`<${Status} value=${it.status} />` },
      { key: "error", title: "Why it failed" }, { key: "steps_taken", title: "Steps", align: "num" },
      { key: "took_ms", title: "Took", align: "num", show: (it) => span(it.took_ms * 1000) },
      { key: "cost_microusd", title: "Cost", align: "num", show: (it) => money(it.cost_microusd) },
      { key: "principal", title: "For", show: (it) => html`<${Who} id=${it.principal} />` }, { key: "version", title: "Version", align: "num", hidden: true }, { key: "id", title: "ID", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
    ]} onRow=${(it) => go([...HERE, it.id])}
    tools=${html`<${Filters} filters=${[...(of ? [] : [{ name: "workflow", find: findIn("workflows") }]), { name: "status", choices: STATES }]} values=${of ? { status: query.status || "" } : { workflow: query.workflow || "", status: query.status || "" }} onChange=${setQuery} />`}
    empty=${html`<${Empty} title="No run yet">Run a workflow on its page, with <code>POST /v1/workflows/ID/execute</code>, or by its name as a model.<//>`} />`;
}

function Runs({ api, below: [of], resource }) {
  if (resource) return html`<${List} api=${api} of=${of} />`;
  const id = place.value.parts[HERE.length];
  return id ? html`<${One} key=${id} api=${api} id=${id} />` : html`<${Page} title="Workflow runs" about="Each run of a workflow, step by step."><${List} api=${api} /><//>`;
}

export const show = page(Runs);
