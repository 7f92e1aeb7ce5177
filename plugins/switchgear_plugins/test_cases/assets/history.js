// Runs one test case, and shows what came of it before.
import { Button, Drawer, Empty, Fragment, Status, Table, Time, complain, html, id as escaped, money, page, span, toast, useEvery, useState } from "../ui/kit.js";
import { Changed, Result } from "./result.js";

const ENDED = ["done", "failed", "cancelled"];

function History({ api, below: [id] }) {
  const [turn, setTurn] = useState(0);
  const [run, setRun] = useState(null);
  const [open, setOpen] = useState(null);
  const begin = async () => { try { setRun(await api(`test-cases/${escaped(id)}/run`, { method: "POST" })); } catch (error) { complain(error); } };
  useEvery(run ? 700 : 0, async () => {
    const now = await api(`test-runs/${escaped(run.id)}`).catch(complain);
    if (!now || !ENDED.includes(now.state)) return;
    setRun(null);
    setTurn((it) => it + 1);
    const [last] = now.results;
    toast(last ? `${id}: ${last.status}` : now.error || "Nothing came of it", { tone: last?.status === "passed" ? "good" : "bad" });
  }, [run?.id]);
  return html`<${Fragment}><p class="bar"><${Button} kind="primary" busy=${Boolean(run)} onClick=${begin}>Run it<//><span role="status">${run && html`<${Status} value="running" />`}</span></p>
    <${Table} name="test-history" deps=${[id, turn]} load=${({ cursor, limit, signal }) => api(`test-cases/${escaped(id)}/history`, { query: { cursor, limit }, signal })} onRow=${setOpen}
      columns=${[
        { key: "at_us", title: "When", align: "fix", show: (it) => html`<${Time} at=${it.at_us} relative />` }, { key: "status", title: "Result", align: "fix", show: (it) => html`<${Status} value=${it.status} />` },
        { key: "change", title: "Since the last", align: "fix", show: (it) => html`<${Changed} value=${it.change} />` }, { key: "subject", title: "Asked" }, { key: "variant", title: "As", hidden: true },
        { key: "case_version", title: "Case version", align: "num" }, { key: "latency_ms", title: "Took", align: "num", show: (it) => span(it.latency_ms * 1000) }, { key: "cost_microusd", title: "Cost", align: "num", show: (it) => money(it.cost_microusd) },
      ]} empty=${html`<${Empty} title="It has not run yet">Run it here, or all of them in CI: <code>switchgear test run</code>.<//>`} />
    ${open && html`<${Drawer} title=${id} onClose=${() => setOpen(null)}><${Result} it=${open} /><//>`}<//>`;
}

export const show = page(History);
