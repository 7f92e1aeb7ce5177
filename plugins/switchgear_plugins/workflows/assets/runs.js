// Runs of workflows, each with its steps.
import { Drawer, Empty, Filters, Id, Link, Loaded, Page, Status, Table, Time, findIn, html, id as escaped, money, page, place, setQuery, span, useLoad } from "../ui/kit.js";
import { Trace } from "./trace.js";

const STATES = ["completed", "failed", "cancelled"];

function One({ api, id, onClose }) {
  const found = useLoad((signal) => api(`workflow-runs/${escaped(id)}`, { signal }), [id]);
  return html`<${Drawer} title="Run" onClose=${onClose}><p><${Id} value=${id} /></p><${Loaded} from=${found}>${(it) => html`<${Trace} run=${it} />`}<//><//>`;
}

function Runs({ api, below: [of] }) {
  const { run, columns: _, ...query } = place.value.query;
  const filters = of ? { workflow: of, status: query.status } : { workflow: query.workflow, status: query.status };
  const table = html`<${Table} name="workflow-runs" deps=${[JSON.stringify(filters)]} load=${({ cursor, limit, signal }) => api("workflow-runs", { query: { ...filters, cursor, limit }, signal })}
    columns=${[
      { key: "at_us", title: "When", align: "fix", show: (it) => html`<${Time} at=${it.at_us} relative />` },
      { key: "workflow", title: "Workflow", hidden: Boolean(of), show: (it) => html`<${Link} to=${["k", "workflows", it.workflow]}>${it.workflow}<//>` },
      { key: "status", title: "State", align: "fix", show: (it) => html`<${Status} value=${it.status} />` },
      { key: "error", title: "Why it failed" }, { key: "steps_taken", title: "Steps", align: "num" },
      { key: "took_ms", title: "Took", align: "num", show: (it) => span(it.took_ms * 1000) },
      { key: "cost_microusd", title: "Cost", align: "num", show: (it) => money(it.cost_microusd) },
      { key: "principal", title: "For" }, { key: "version", title: "Version", align: "num", hidden: true }, { key: "id", title: "ID", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
    ]} onRow=${(it) => setQuery({ run: it.id })} selected=${run}
    tools=${html`<${Filters} filters=${[...(of ? [] : [{ name: "workflow", find: findIn("workflows") }]), { name: "status", choices: STATES }]} values=${{ workflow: query.workflow || "", status: query.status || "" }} onChange=${setQuery} />`}
    empty=${html`<${Empty} title="No run yet">Run a workflow on its page, with <code>POST /v1/workflows/ID/execute</code>, or by its name as a model.<//>`} />`;
  return html`${of ? table : html`<${Page} title="Workflow runs" about="Each run of a workflow, step by step.">${table}<//>`}${run && html`<${One} api=${api} id=${run} onClose=${() => setQuery({ run: "" })} />`}`;
}

export const show = page(Runs);
