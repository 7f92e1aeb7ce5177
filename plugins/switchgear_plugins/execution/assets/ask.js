// Asks a model, or whatever answers to its name, once: with routing, policies, a price and a record.
import {
  Button, Code, Field, Figure, Fragment, JsonInput, JsonView, Link, NumberInput, Picker, PromptVariables, Trouble, checked, compact, events, findIn, html, id as escaped, isAbort, kindNamed, money, page, span,
  useDraft, useEffect, useRef, useState, wrongAt,
} from "../ui/kit.js";

// The answer as it comes; resolves to all of it.
async function ask({ api, model, question, signal, onChange }) {
  const began = performance.now();
  let said = { text: "", first: null };
  const grow = (changes) => { said = { ...said, ...changes }; onChange(said); };
  const answer = await checked(await api.send(`admin/v1/models/${escaped(model)}/execute`, { method: "POST", body: { ...question, stream: true }, signal }));
  for await (const data of events(answer.body)) {
    if (data === "[DONE]") continue;
    const piece = JSON.parse(data);
    if (piece.error) throw Object.assign(new Error(piece.error.message), { said });
    const choice = piece.choices?.[0];
    const calls = choice?.delta?.tool_calls;
    grow({
      text: said.text + (choice?.delta?.content || ""), first: said.first ?? (choice?.delta?.content || calls ? performance.now() - began : null), calls: calls ? [...(said.calls || []), ...calls] : said.calls,
      finish: choice?.finish_reason || said.finish, model: piece.model || said.model, usage: piece.usage || said.usage, request: piece.request_id || said.request, cost: piece.request_id ? piece.cost_microusd : said.cost,
    });
  }
  grow({ took: performance.now() - began });
  return said;
}

function Answer({ it, busy }) {
  return html`<div class="figures"><${Figure} label="First token" value=${it.first === null ? "–" : span(it.first * 1000)} /><${Figure} label="Took" value=${it.took === undefined ? "…" : span(it.took * 1000)} /><${Figure} label="Tokens" value=${it.usage ? `${compact(it.usage.prompt_tokens)} in, ${compact(it.usage.completion_tokens)} out` : "–"} /><${Figure} label="Cost" value=${money(it.cost)} /></div>
    <h2>Answer</h2><${Code} text=${it.text || (busy ? "…" : "")} wrap label="Copy the answer" />
    ${it.calls?.length ? html`<${JsonView} value=${it.calls} height=${200} />` : null}
    ${it.request ? html`<p class="hint">${it.model ? `by ${it.model}` : ""}${it.finish ? `, ended with ${it.finish.replaceAll("_", " ")}` : ""}. <${Link} to=${["requests"]} query=${{ request: it.request }}>Its record<//>: who served it, why, and what it cost.</p>` : null}`;
}

const clean = (question) => Object.fromEntries(Object.entries(question).filter(([, it]) => it !== undefined && it !== ""));

function Ask({ api, below: [model] }) {
  const [kept, keep] = useDraft(`ask/${model}`);
  const question = kept || {};
  const put = (changes) => keep(clean({ ...question, ...changes }));
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async (event) => {
    event?.preventDefault();
    running.current?.abort();
    const ending = running.current = new AbortController();
    const show = (next) => { if (running.current === ending) setState(next); };
    show({ busy: true });
    try { show({ said: await ask({ api, model, question, signal: ending.signal, onChange: (said) => show({ said, busy: true }) }) }); } catch (error) { show(isAbort(error) ? (it) => ({ said: it?.said }) : { error, said: error.said }); }
  };
  const key = (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event); };
  const wrong = (name) => wrongAt(state?.error?.errors, `/${name}`);
  return html`<div class="halves"><form onSubmit=${run} onKeyDown=${key}>
      <${Field} label="Message" error=${wrong("content")}>${(id, described) => html`<textarea id=${id} class="tall-enough" rows="4" aria-describedby=${described} placeholder="Ctrl-Enter asks" value=${question.content || ""} onInput=${(event) => put({ content: event.target.value })}></textarea>`}<//>
      ${kindNamed("prompts") ? html`<${Field} label="Prompt" error=${wrong("prompt_id")} hint="With a message it is the system message.">${(id, described) => html`<${Picker} id=${id} describedBy=${described} value=${question.prompt_id} onChange=${(text) => put(text ? { prompt_id: text } : { prompt_id: "", version: undefined, variables: undefined })} find=${findIn("prompts")} placeholder="None" />`}<//>
        ${question.prompt_id ? html`<${Fragment}><${Field} label="Its version" error=${wrong("version")}>${(id) => html`<${NumberInput} id=${id} whole value=${question.version} placeholder="The newest" onChange=${(to) => put({ version: to })} />`}<//>
          <${PromptVariables} id=${question.prompt_id} version=${Number.isInteger(question.version) ? question.version : undefined} value=${question.variables} onChange=${(to) => put({ variables: Object.keys(to).length ? to : undefined })} /><//>` : null}` : null}
      <details class="group" open=${Boolean(question.system || question.temperature !== undefined || question.max_tokens !== undefined || question.parameters)}><summary>More</summary>
        <${Field} label="System">${(id) => html`<textarea id=${id} rows="2" value=${question.system || ""} onInput=${(event) => put({ system: event.target.value })}></textarea>`}<//>
        <${Field} label="Temperature">${(id) => html`<${NumberInput} id=${id} value=${question.temperature} placeholder="as usual" onChange=${(to) => put({ temperature: to })} />`}<//>
        <${Field} label="Longest answer, in tokens">${(id) => html`<${NumberInput} id=${id} whole value=${question.max_tokens} placeholder="as usual" onChange=${(to) => put({ max_tokens: to })} />`}<//>
        <${Field} label="Other parameters" hint="Members of the call, as a chat completion has them.">${(id, described) => html`<${JsonInput} id=${id} aria-describedby=${described} value=${question.parameters} onChange=${(to) => put({ parameters: to })} />`}<//></details>
      <p class="bar"><${Button} kind="primary" type="submit" busy=${state?.busy}>Ask<//>${state?.busy ? html`<${Button} onClick=${() => running.current.abort()}>Stop<//>` : html`<span class="muted">Asked in your name, routed and recorded as any call. The <${Link} to=${["playground"]} query=${{ models: model }}>playground<//> has several models, tools and images.</span>`}</p>
    </form>
    <section aria-live="polite" aria-busy=${state?.busy ? "true" : undefined}>${state?.error && !state.error.errors?.length ? html`<${Trouble} error=${state.error} />` : null}
      ${state?.said ? html`<${Answer} it=${state.said} busy=${state.busy} />` : state?.busy ? html`<p class="muted" role="status">It is asked…</p>` : state?.error ? null : html`<h2>Answer</h2><p class="muted">It comes here, with its time, tokens and cost, and a link to its record.</p>`}</section></div>`;
}

export const show = page(Ask);
