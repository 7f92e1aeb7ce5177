// Runs a workflow: for real, or with given outputs of steps and nobody called.
import { Button, Field, JsonInput, Loaded, SchemaForm, Trouble, html, id as escaped, page, useEffect, useLoad, useRef, useState } from "../ui/kit.js";
import { Trace } from "./trace.js";

function Run({ api, below: [id] }) {
  const found = useLoad((signal) => api(`workflows/${escaped(id)}`, { signal }), [id]);
  const [input, setInput] = useState({});
  const [mocks, setMocks] = useState(undefined);
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async (event, how) => {
    event.preventDefault();
    const ending = running.current = new AbortController();
    setState({ busy: how });
    const body = how === "test" ? { input, outputs: mocks || {} } : { input };
    try { setState({ run: await api(`workflows/${escaped(id)}/${how}`, { method: "POST", body, signal: ending.signal }) }); } catch (error) { setState(ending.signal.aborted ? null : { error }); }
  };
  return html`<${Loaded} from=${found}>${(it) => html`<div class="split">
    <section aria-live="polite">${state?.busy ? html`<p role="status">Running… <${Button} kind="small" onClick=${() => running.current.abort()}>Stop<//></p>` : state?.error ? html`<${Trouble} error=${state.error} />`
      : state?.run ? html`<${Trace} run=${state.run} />` : html`<p class="muted">What each step is given and comes to is shown here.</p>`}</section>
    <form onSubmit=${(event) => run(event, "execute")}>
      <h2>Input</h2>
      ${it.input_schema?.properties ? html`<${SchemaForm} schema=${it.input_schema} defs=${it.input_schema.$defs || {}} value=${input} onChange=${setInput} />`
        : html`<${Field} label="JSON" hint="What \${request:…} refers to.">${(field, described) => html`<${JsonInput} id=${field} aria-describedby=${described} value=${input} onChange=${(to) => setInput(to ?? {})} />`}<//>`}
      <p class="bar"><${Button} kind="primary" type="submit" busy=${state?.busy === "execute"}>Run<//><span class="muted">Models are called, in your name.</span></p>
      <details class="group"><summary>Without calling anybody</summary>
        <${Field} label="Outputs of steps" hint=${`By name, as {"${it.steps[0].name}": {"content": "…"}}. A step without one is taken as it is, as far as that calls nobody.`}>${(field, described) => html`<${JsonInput} id=${field} aria-describedby=${described} value=${mocks} onChange=${setMocks} />`}<//>
        <${Button} onClick=${(event) => run(event, "test")} busy=${state?.busy === "test"}>Try<//></details>
    </form></div>`}<//>`;
}

export const show = page(Run);
