// Runs one test case, and shows what came of it now and before.
import { Button, Empty, Status, Table, Time, complain, html, id as escaped, money, page, span, toast, useEvery, useState } from "../ui/kit.js";
import { Changed, Result } from "./result.js";

const ENDED = ["done", "failed", "cancelled"];

function History({ api, below: [id] }) {
  const [turn, setTurn] = useState(0);
  const [run, setRun] = useState(null);
  const [open, setOpen] = useState(null);
  const begin = async () => { try { setRun(await api(`test-cases/${escaped(id)}/run`, { method: "POST" })); } catch (error) { complain(error); } };
  useEvery(run ? 500 : 0, async () => {
    const now = await api(`test-runs/${escaped(run.id)}`).catch(complain);
    if (!now || !ENDED.includes(now.state)) return;
    setRun(null);
    setOpen(null);
    setTurn((it) => it + 1);
    const [last] = now.results;
    toast(last ? `${id}: ${last.status}` : now.error || "Nothing came of it", { tone: last?.status === "passed" ? "good" : "bad" });
  }, [run?.id]);
  const load = async ({ cursor, limit, signal }) => {
    const found = await api(`test-cases/${escaped(id)}/history`, { query: { cursor, limit }, signal });
    if (!cursor) setOpen((it) => it || found.data[0] || null);
    return found;
  };
  return html`<div class=${open ? "halves" : ""}><div>
      <${Table} name="test-history" deps=${[id, turn]} load=${load} onRow=${setOpen} selected=${open?.id}
        tools=${html`<${Button} kind="primary" busy=${Boolean(run)} onClick=${begin}>Run it<//><span role="status">${run && html`<${Status} value="running" />`}</span>`}
        columns=${[
          { key: "at_us", title: "When", align: "fix", show: (it) => html`<${Time} at=${it.at_us} relative />` }, { key: "status", title: "Result", align: "fix", show: (it) => html`<${Status} value=${it.status} />` },
          { key: "change", title: "Since the last", align: "fix", show: (it) => html`<${Changed} value=${it.change} />` }, { key: "subject", title: "Asked" }, { key: "variant", title: "As", hidden: true },
          { key: "case_version", title: "Version", align: "num" }, { key: "latency_ms", title: "Took", align: "num", show: (it) => span(it.latency_ms * 1000) }, { key: "cost_microusd", title: "Cost", align: "num", hidden: true, show: (it) => money(it.cost_microusd) },
        ]} empty=${html`<${Empty} title="It has not run yet">Run it here, or all of them in CI: <code>switchgear test run</code>.<//>`} /></div>
    ${open && html`<section aria-label="What came of it" aria-live="polite"><${Result} it=${open} /></section>`}</div>`;
}

export const show = page(History);
