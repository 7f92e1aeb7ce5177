// Runs of test cases: begun here, watched, and compared side by side where there are several variants.
import {
  Bar, Button, Code, Dialog, Diff, Empty, Field, Figure, Fragment, Id, Link, Loaded, NumberInput, Page, Picker, Status, Table, Time, complain, cx, findIn, go, html, id as escaped, money, page, place, plural,
  Who, setQuery, span, toast, useEvery, useLoad, useState,
} from "../ui/kit.js";
import { Changed, RUNS, Result, Verdicts } from "./result.js";

const GOING = ["waiting", "running"];
const MOST_SHOWN = 300;

// What to run and in which ways; two ways are compared.
function Begin({ api, onClose }) {
  const [tags, setTags] = useState("");
  const [variants, setVariants] = useState([{}]);
  const put = (n, changes) => setVariants(variants.map((it, m) => (m === n ? { ...it, ...changes } : it)));
  const begin = async (event) => {
    event.preventDefault();
    const named = variants.map((it, n) => ({ ...it, name: [it.model, it.prompt_version && `prompt ${it.prompt_version}`].filter(Boolean).join(", ") || `variant ${n + 1}` }));
    const isPlain = variants.length === 1 && !variants[0].model && !variants[0].prompt_version;
    const body = { tags: tags.split(",").map((it) => it.trim()).filter(Boolean), variants: isPlain ? [] : named };
    try { const begun = await api("test-runs", { method: "POST", body }); onClose(); go([...RUNS, begun.id]); } catch (error) { complain(error); }
  };
  return html`<${Dialog} title="Run test cases" onClose=${onClose}><form onSubmit=${begin}>
    <${Field} label="Tags" hint="Those with one of them, commas between; empty: all that are enabled.">${(id, described) => html`<input id=${id} aria-describedby=${described} value=${tags} onInput=${(event) => setTags(event.target.value)} />`}<//>
    ${variants.map((it, n) => html`<fieldset key=${n}><legend><h3>${variants.length > 1 ? `Variant ${n + 1}` : "As they say, but"}</h3></legend>
      <${Field} label="Model">${(id) => html`<${Picker} id=${id} value=${it.model} onChange=${(text) => put(n, { model: text || undefined })} find=${findIn("callable")} placeholder="The case's own" />`}<//>
      <${Field} label="Prompt version">${(id) => html`<${NumberInput} id=${id} whole value=${it.prompt_version} onChange=${(to) => put(n, { prompt_version: to })} placeholder="The case's own" />`}<//></fieldset>`)}
    <p><${Button} kind="link" onClick=${() => setVariants([...variants, {}])}>Compare with another variant<//></p>
    <div class="bar end"><${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" type="submit">Run<//></div></form><//>`;
}

const WORST_FIRST = { error: 0, failed: 1, passed: 2 };

// One row for each case, one column for each variant; one case is chosen.
function Results({ run, chosen }) {
  const names = run.variants.length ? run.variants.map((it) => it.name) : ["default"];
  const rows = new Map();
  for (const it of run.results) { if (!rows.has(it.case)) rows.set(it.case, {}); rows.get(it.case)[it.variant] = it; }
  const worst = ([, of]) => Math.min(...Object.values(of).map((it) => WORST_FIRST[it.status]));
  const shown = [...rows].sort((a, b) => worst(a) - worst(b)).slice(0, MOST_SHOWN);
  const choose = (name) => setQuery({ case: name });
  return html`<div class="table-box"><table><thead><tr><th>Case</th>${names.map((name) => html`<th key=${name}>${names.length > 1 ? name : "Result"}</th>`)}</tr></thead><tbody>${shown.map(([name, of]) => html`<tr key=${name} class=${cx("leads", chosen === name && "selected")} onClick=${(event) => { if (!event.target.closest("a, button")) choose(name); }}>
      <td class="fix"><${Button} kind="link" onClick=${() => choose(name)}>${name}<//></td>
      ${names.map((variant) => { const it = of[variant]; return html`<td key=${variant} class="fix">${it ? html`<${Status} value=${it.status} /> ${it.change === "same" ? null : html`<${Changed} value=${it.change} />`} <span class="muted">${span(it.latency_ms * 1000)}${it.cost_microusd === null ? "" : `, ${money(it.cost_microusd)}`}</span>` : html`<span class="muted">not yet</span>`}</td>`; })}</tr>`)}</tbody></table></div>
    ${rows.size > shown.length ? html`<p class="muted">The first ${shown.length} of ${rows.size}, those that failed in front. All of them: <code>GET /admin/v1/test-runs/${run.id}</code>.</p>` : null}
    ${rows.has(chosen) ? html`<${Beside} name=${chosen} found=${names.map((variant) => rows.get(chosen)[variant]).filter(Boolean)} />` : null}`;
}

// What came of one case, in every variant side by side, and how the answers differ.
function Beside({ name, found }) {
  const head = html`<h2><${Link} to=${["k", "test-cases", name]}>${name}<//></h2>`;
  if (found.length === 1) return html`<section class="section">${head}<${Result} it=${found[0]} /></section>`;
  const [first, ...others] = found;
  return html`<section class="section" aria-label=${`${name}, side by side`}>${head}<div class="columns">${found.map((it) => html`<div key=${it.variant}>
      <h3>${it.variant} <${Status} value=${it.status} /></h3><p class="muted">${it.subject === it.variant ? "" : `${it.subject}, `}${span(it.latency_ms * 1000)}${it.cost_microusd === null ? "" : `, ${money(it.cost_microusd)}`}${it.request_id ? html`, <${Link} to=${["requests"]} query=${{ request: it.request_id }}>request<//>` : null}</p>
      ${it.error ? html`<div class="trouble"><p>${it.error}</p></div>` : null}<${Verdicts} it=${it} />${it.text ? html`<${Code} text=${it.text} wrap label=${`Copy the answer of ${it.variant}`} />` : null}</div>`)}</div>
    ${others.map((it) => html`<section class="section" key=${it.variant}><h3>From ${first.variant} to ${it.variant}</h3><${Diff} before=${first.text} after=${it.text} /></section>`)}</section>`;
}

function One({ api, id }) {
  const found = useLoad((signal) => api(`test-runs/${escaped(id)}`, { signal }), [id]);
  const going = GOING.includes(found.data?.state);
  useEvery(going ? 700 : 0, found.reload, [found.data?.state]);
  const cancel = async () => { try { await api(`test-runs/${escaped(id)}/cancel`, { method: "POST" }); toast("The run is stopped"); found.reload(); } catch (error) { complain(error); } };
  return html`<${Loaded} from=${found}>${(run) => html`<${Page} title="Test run" about=${html`<span class="bar"><${Link} to=${RUNS}>All runs<//> <${Id} value=${id} /> <span>begun <${Time} at=${run.at_us} relative /> by <${Who} id=${run.by} /></span></span>`}
      actions=${going ? html`<${Button} onClick=${cancel}>Stop<//>` : null}>
    <div class="figures"><${Figure} label="State" value=${html`<${Status} value=${run.state} />`}>${run.progress.done} of ${run.progress.total}${going ? html` <${Bar} part=${run.progress.done} whole=${run.progress.total} />` : null}<//>
      <${Figure} label="Passed" value=${run.totals.passed}>${run.totals.fixed ? `${run.totals.fixed} fixed since the last` : ""}<//><${Figure} label="Failed" value=${run.totals.failed}>${run.totals.broken ? html`<span class="bad">${run.totals.broken} broken since the last</span>` : ""}<//>
      <${Figure} label="Without an answer" value=${run.totals.errors || 0} /><${Figure} label="Cost" value=${money(run.totals.cost_microusd)} /></div>
    ${run.error ? html`<div class="trouble" role="alert"><p>${run.error}</p></div>` : null}
    ${run.results.length ? html`<${Results} run=${run} chosen=${place.value.query.case} />` : html`<p class="muted" role="status">${going ? "The first result is waited for." : "Nothing came of it."}</p>`}<//>`}<//>`;
}

const Counts = ({ of }) => ["passed", "failed", "error"].filter((status) => of[status]).map((status) => html`<${Status} value=${status}>${of[status]} ${status}<//> `);

function List({ api }) {
  const [beginning, setBeginning] = useState(false);
  return html`<${Fragment}><${Page} title="Test runs" about="What came of running test cases: all of them, those with a tag, or in several variants side by side." actions=${html`<${Button} kind="primary" onClick=${() => setBeginning(true)}>Run test cases<//>`}>
    <${Table} name="test-runs" load=${({ cursor, limit, signal }) => api("test-runs", { query: { cursor, limit }, signal })} onRow=${(it) => go([...RUNS, it.id])}
      columns=${[
        { key: "at_us", title: "When", align: "fix", show: (it) => html`<${Link} to=${[...RUNS, it.id]}><${Time} at=${it.at_us} relative /><//>` }, { key: "cases", title: "Cases", show: (it) => (it.cases.length > 3 ? `${it.cases.slice(0, 3).join(", ")} and ${plural(it.cases.length - 3, "other")}` : it.cases.join(", ")) },
        { key: "counts", title: "Results", show: (it) => html`<${Counts} of=${it.counts} />` },
        { key: "variants", title: "Variants", show: (it) => it.variants.map((one) => one.name).join(", ") }, { key: "by", title: "By", show: (it) => html`<${Who} id=${it.by} />` }, { key: "id", title: "ID", hidden: true, show: (it) => html`<${Id} value=${it.id} />` },
      ]} empty=${html`<${Empty} title="No run yet" action=${html`<${Link} to=${["k", "test-cases", ""]} query=${{ new: 1 }} class="button">New test case<//>`}>A test case is a call and what has to be so of its answer. In CI: <code>switchgear test run</code>.<//>`} /><//>
    ${beginning && html`<${Begin} api=${api} onClose=${() => setBeginning(false)} />`}<//>`;
}

function Runs({ api }) {
  const id = place.value.parts[RUNS.length];
  return id ? html`<${One} key=${id} api=${api} id=${id} />` : html`<${List} api=${api} />`;
}

export const show = page(Runs);
