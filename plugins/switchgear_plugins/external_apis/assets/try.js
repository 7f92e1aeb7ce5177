// Sends an external API a request, as a step of a workflow would.
import { Button, Code, Field, Figure, JsonInput, JsonView, Status, Trouble, html, id as escaped, isAbort, page, span, useDraft, useEffect, useRef, useState, wrongAt } from "../ui/kit.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const WITHOUT_BODY = ["GET", "DELETE"];

function Try({ api, below: [id], resource }) {
  const [kept, keep] = useDraft(`external-api/${id}`);
  const asked = { method: "GET", ...kept };
  const put = (changes) => keep(Object.fromEntries(Object.entries({ ...asked, ...changes }).filter(([, it]) => it !== undefined && it !== "")));
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const send = async (event) => {
    event.preventDefault();
    const ending = running.current = new AbortController();
    setState({ busy: true });
    try { setState({ it: await api(`external-apis/${escaped(id)}/try`, { method: "POST", body: asked, signal: ending.signal }) }); } catch (error) { setState(isAbort(error) ? null : { error }); }
  };
  const wrong = (name) => wrongAt(state?.error?.errors, `/${name}`);
  const json = (name, label, hint) => html`<${Field} label=${label} hint=${hint} error=${wrong(name)}>${(field, described) => html`<${JsonInput} id=${field} aria-describedby=${described} value=${asked[name]} onChange=${(to) => put({ [name]: to })} />`}<//>`;
  return html`<div class="halves"><form onSubmit=${send}>
      <${Field} label="Method">${(field) => html`<select id=${field} value=${asked.method} onChange=${(event) => put({ method: event.target.value })}>${METHODS.map((it) => html`<option>${it}</option>`)}</select>`}<//>
      <${Field} label="Path" error=${wrong("path")} hint=${`Below ${resource.base_url}`}>${(field, described) => html`<input id=${field} class="mono" aria-describedby=${described} autocomplete="off" spellcheck=${false} value=${asked.path || ""} onInput=${(event) => put({ path: event.target.value })} />`}<//>
      ${json("query", "Query", 'Names and values, as {"city": "Paris"}.')}
      ${WITHOUT_BODY.includes(asked.method) ? null : json("body", "Body")}
      <details class="group" open=${Boolean(asked.headers || asked.extract)}><summary>More</summary>${json("headers", "Headers", "Besides those that the API always gets, and its secret.")}
        <${Field} label="Extract" error=${wrong("extract")} hint="A JSON path (RFC 9535) into the answer.">${(field, described) => html`<input id=${field} class="mono" aria-describedby=${described} spellcheck=${false} placeholder="$.items[*].name" value=${asked.extract || ""} onInput=${(event) => put({ extract: event.target.value })} />`}<//></details>
      <p class="bar"><${Button} kind="primary" type="submit" busy=${state?.busy}>Send<//>${state?.busy ? html`<${Button} onClick=${() => running.current.abort()}>Stop<//>` : html`<span class="muted">${resource.credential_id ? "With its secret." : "Without a secret: it has no credential."}</span>`}</p>
    </form>
    <section aria-live="polite">${state?.error && !state.error.errors?.length ? html`<${Trouble} error=${state.error} />` : null}
      ${state?.it ? html`<div class="figures"><${Figure} label="Answered with" value=${html`<${Status} value=${state.it.status < 400 ? "good" : "failed"}>${state.it.status}<//>`} /><${Figure} label="Took" value=${span(state.it.took_ms * 1000)} /></div>
        ${asked.extract ? html`<section class="section"><h2>Extracted</h2><${JsonView} value=${state.it.extracted} height=${200} /></section>` : null}
        <section class="section"><h2>Answer</h2>${state.it.body !== null && typeof state.it.body === "object" ? html`<${JsonView} value=${state.it.body} />` : html`<${Code} text=${String(state.it.body ?? "")} wrap />`}</section>`
        : state?.busy ? html`<p class="muted" role="status">It is asked…</p>` : state?.error ? null : html`<h2>Answer</h2><p class="muted">It comes here: what a step of a workflow would get.</p>`}</section></div>`;
}

export const show = page(Try);
