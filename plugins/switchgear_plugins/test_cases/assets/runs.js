// Runs of test cases: begun here, watched, and compared side by side where there are several variants.
import {
  Bar, Button, Dialog, Drawer, Empty, Field, Fragment, Id, Link, Loaded, NumberInput, Page, Picker, Status, Table, Time, complain, findIn, html, id as escaped, money, page, place, plural, setQuery, span,
  toast, useEvery, useLoad, useState,
} from "../ui/kit.js";
import { Changed, Result } from "./result.js";

const GOING = ["waiting", "running"];

// What to run and in which ways; two ways are compared.
function Begin({ api, onBegun, onClose }) {
  const [tags, setTags] = useState("");
  const [variants, setVariants] = useState([{}]);
  const put = (n, changes) => setVariants(variants.map((it, m) => (m === n ? { ...it, ...changes } : it)));
  const begin = async (event) => {
    event.preventDefault();
    const named = variants.map((it, n) => ({ ...it, name: it.model || (it.prompt_version ? `prompt ${it.prompt_version}` : `variant ${n + 1}`) }));
    const isPlain = variants.length === 1 && !variants[0].model && !variants[0].prompt_version;
    const body = { tags: tags.split(",").map((it) => it.trim()).filter(Boolean), variants: isPlain ? [] : named };
    try { onBegun(await api("test-runs", { method: "POST", body })); } catch (error) { complain(error); }
  };
  return html`<${Dialog} title="Run test cases" onClose=${onClose}><form onSubmit=${begin}>
    <${Field} label="Tags" hint="Those with one of them, commas between; empty: all that are enabled.">${(id, described) => html`<input id=${id} aria-describedby=${described} value=${tags} onInput=${(event) => setTags(event.target.value)} />`}<//>
    ${variants.map((it, n) => html`<fieldset key=${n}><legend>${variants.length > 1 ? `Variant ${n + 1}` : "As they say, but"}</legend>
      <${Field} label="Model">${(id) => html`<${Picker} id=${id} value=${it.model} onChange=${(text) => put(n, { model: text || undefined })} find=${findIn("callable")} placeholder="The case's own" />`}<//>
      <${Field} label="Prompt version">${(id) => html`<${NumberInput} id=${id} whole value=${it.prompt_version} onChange=${(to) => put(n, { prompt_version: to })} placeholder="The case's own" />`}<//></fieldset>`)}
    <p><${Button} kind="link" onClick=${() => setVariants([...variants, {}])}>Compare with another variant<//></p>
    <div class="bar end"><${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" type="submit">Run<//></div></form><//>`;
}

function Comparison({ run, onOpen }) {
  const names = run.variants.map((it) => it.name);
  return html`<div class="table-box"><table><thead><tr><th>Case</th>${names.map((name) => html`<th key=${name}>${name}</th>`)}</tr></thead><tbody>${run.comparison.map((row) => html`<tr key=${row.case}><td class="fix"><${Link} to=${["k", "test-cases", row.case]}>${row.case}<//></td>
    ${names.map((name) => { const it = row.variants[name]; return html`<td key=${name}>${it ? html`<${Button} kind="link" onClick=${() => onOpen(row.case, name)}><${Status} value=${it.status} /><//> <span class="muted">${span(it.latency_ms * 1000)}, ${money(it.cost_microusd)}</span>` : html`<span class="muted">not yet</span>`}</td>`; })}</tr>`)}</tbody></table></div>`;
}

function One({ api, id, onClose }) {
  const found = useLoad((signal) => api(`test-runs/${escaped(id)}`, { signal }), [id]);
  const [open, setOpen] = useState(null);
  useEvery(GOING.includes(found.data?.state) ? 700 : 0, found.reload, [found.data?.state]);
  const cancel = async () => { try { await api(`test-runs/${escaped(id)}/cancel`, { method: "POST" }); toast("The run is stopped"); found.reload(); } catch (error) { complain(error); } };
  return html`<${Drawer} title="Test run" onClose=${onClose} actions=${GOING.includes(found.data?.state) ? html`<${Button} kind="small" onClick=${cancel}>Stop<//>` : null}>
    <${Loaded} from=${found}>${(run) => (open ? html`<p><${Button} kind="link" onClick=${() => setOpen(null)}>← All results<//></p><h2>${open.case}</h2><${Result} it=${open} />` : html`
      <dl class="facts"><dt>State</dt><dd><${Status} value=${run.state} /> ${run.progress.done} of ${run.progress.total} <${Bar} part=${run.progress.done} whole=${run.progress.total} /></dd>
        <dt>Passed</dt><dd>${run.totals.passed}</dd><dt>Failed</dt><dd>${run.totals.failed}${run.totals.errors ? `, and ${plural(run.totals.errors, "error")}` : ""}</dd>
        <dt>Since the last</dt><dd>${run.totals.fixed} fixed, ${run.totals.broken} broken</dd><dt>Cost</dt><dd>${money(run.totals.cost_microusd)}</dd><dt>Begun</dt><dd><${Time} at=${run.at_us} /> by ${run.by}</dd></dl>
      ${run.error ? html`<div class="trouble" role="alert"><p>${run.error}</p></div>` : null}
      <section class="section"><h2>Results</h2>${run.comparison.length ? html`<${Comparison} run=${run} onOpen=${(name, variant) => setOpen(run.results.find((it) => it.case === name && it.variant === variant) || null)} />`
        : html`<table><tbody>${run.results.map((it) => html`<tr key=${it.id}><td class="fix"><${Button} kind="link" onClick=${() => setOpen(it)}>${it.case}<//></td><td><${Status} value=${it.status} /></td><td><${Changed} value=${it.change} /></td><td class="num">${span(it.latency_ms * 1000)}</td></tr>`)}</tbody></table>`}</section>`)}<//>
  <//>`;
}

function Runs({ api }) {
  const { run } = place.value.query;
  const [beginning, setBeginning] = useState(false);
  const [turn, setTurn] = useState(0);
  return html`<${Fragment}><${Page} title="Test runs" about="What came of running test cases." actions=${html`<${Button} kind="primary" onClick=${() => setBeginning(true)}>Run test cases<//>`}>
    <${Table} name="test-runs" deps=${[turn]} load=${({ cursor, limit, signal }) => api("test-runs", { query: { cursor, limit }, signal })} onRow=${(it) => setQuery({ run: it.id })} selected=${run}
      columns=${[
        { key: "at_us", title: "When", align: "fix", show: (it) => html`<${Time} at=${it.at_us} relative />` }, { key: "cases", title: "Cases", show: (it) => (it.cases.length > 3 ? `${it.cases.slice(0, 3).join(", ")} and ${it.cases.length - 3} more` : it.cases.join(", ")) },
        { key: "variants", title: "Variants", show: (it) => it.variants.map((one) => one.name).join(", ") }, { key: "by", title: "By" }, { key: "id", title: "ID", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
      ]} empty=${html`<${Empty} title="No run yet" action=${html`<${Link} to=${["k", "test-cases", ""]} query=${{ new: 1 }} class="button">New test case<//>`}>A test case is a call and what has to be so of its answer. In CI: <code>switchgear test run</code>.<//>`} /><//>
    ${run && html`<${One} api=${api} id=${run} onClose=${() => setQuery({ run: "" })} />`}
    ${beginning && html`<${Begin} api=${api} onClose=${() => setBeginning(false)} onBegun=${(it) => { setBeginning(false); setTurn((n) => n + 1); setQuery({ run: it.id }); }} />`}<//>`;
}

export const show = page(Runs);
