// Runs a workflow: for real, step by step as it goes, or with given outputs of steps and nobody called.
import { Button, Field, Fragment, InputForm, JsonInput, Link, Trouble, html, id as escaped, page, useDraft, useEffect, useRef, useState } from "../ui/kit.js";
import { follow } from "./live.js";
import { Trace } from "./trace.js";
import { every } from "./steps.js";

function Run({ api, resource: it }) {
  const [draft, setDraft] = useDraft(`run/${it.id}`);
  const { input = {}, outputs } = draft || {};
  const put = (changes) => setDraft({ input, outputs, ...changes });
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async (event, how) => {
    event.preventDefault();
    running.current?.abort();
    const ending = running.current = new AbortController();
    const show = (next) => { if (running.current === ending) setState(next); };
    setState({ busy: how });
    try {
      if (how === "test") show({ run: await api(`workflows/${escaped(it.id)}/test`, { method: "POST", body: { input, outputs: outputs || {} }, signal: ending.signal }) });
      else show({ run: await follow({ api, id: it.id, input, signal: ending.signal, onChange: (now) => show({ busy: how, run: now }) }) });
    } catch (error) { show(ending.signal.aborted ? null : { error }); }
  };
  const first = every(it.steps)[0]?.name;
  return html`<div class="halves"><form onSubmit=${(event) => run(event, "execute")}>
      <h2>Input</h2>
      <${InputForm} schema=${it.input_schema} value=${input} onChange=${(to) => put({ input: to })} label="What the references to the request stand for" />
      <p class="bar"><${Button} kind="primary" type="submit" busy=${state?.busy === "execute"}>Run<//>${state?.busy ? html`<${Button} onClick=${() => running.current.abort()}>Stop<//>` : html`<span class="muted">Models are called, in your name.</span>`}</p>
      <div class="section"><details class="group" open=${outputs !== undefined}><summary>Try it without calling anybody</summary>
        <${Field} label="Outputs of steps" hint=${`By name, as {"${first}": {"content": "…"}}. A step without one is taken as it is, as far as that calls nobody.`}>${(field, described) => html`<${JsonInput} id=${field} aria-describedby=${described} value=${outputs} onChange=${(to) => put({ outputs: to })} />`}<//>
        <${Button} onClick=${(event) => run(event, "test")} busy=${state?.busy === "test"}>Try<//></details></div>
    </form>
    <section aria-live="polite" aria-busy=${state?.busy ? "true" : undefined}>${state?.error ? html`<${Trouble} error=${state.error} />` : null}
      ${state?.run ? html`<${Trace} run=${state.run} />${state.run.id && !state.busy ? html`<p class="section"><${Link} to=${["p", "workflows", "workflow-runs", state.run.id]}>Its record<//></p>` : null}`
        : state?.error ? null : state?.busy ? html`<p class="muted" role="status">It begins…</p>` : html`<${Fragment}><h2>What comes of it</h2><p class="muted">Each step, as it is taken: what it is given, what it comes to, time, tokens and cost.</p><//>`}</section></div>`;
}

export const show = page(Run);
