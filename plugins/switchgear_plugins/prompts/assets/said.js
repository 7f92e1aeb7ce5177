// What a prompt says with some values: asked for once nobody has typed for a moment.
import { Tag, VariableFields, html, isAbort, useDraft, useEffect, useState } from "../ui/kit.js";

const PAUSE_MS = 200;

// { it, errors }: the newest rendering that could be made, and what is wrong with what was asked since. `ask(signal)` is made anew
// whenever `key` is another one.
export function useRendered(ask, key) {
  const [state, setState] = useState({ it: null, errors: [] });
  useEffect(() => {
    const ending = new AbortController();
    const timer = setTimeout(() => ask(ending.signal).then(
      (it) => setState({ it, errors: [] }),
      (error) => { if (!isAbort(error)) setState(({ it }) => ({ it, errors: error.errors?.length ? error.errors : [{ pointer: "", detail: error.message }] })); },
    ), state.it ? PAUSE_MS : 0);
    return () => { clearTimeout(timer); ending.abort(); };
  }, [key]);
  return state;
}

// Values to try a prompt with are kept in this tab, for each prompt.
export function useValues(id) {
  const [kept, keep] = useDraft(`prompt-values/${id}`);
  return [kept || {}, keep];
}

export function Values({ variables, values, put }) {
  if (!variables.length) return html`<p class="muted">It has no variables. <code>${"${var:name}"}</code> and <code>${"${var:name:default}"}</code> stand for values of each call.</p>`;
  return html`<${VariableFields} variables=${variables} value=${values} onChange=${put} />`;
}

export function Said({ it }) {
  return html`<div>
    ${it.missing.length ? html`<p class="note">Still needed: ${it.missing.map((name) => html`<${Tag}>${name}<//> `)} A call without ${it.missing.length === 1 ? "it" : "them"} is refused.</p>` : null}
    ${it.unused.length ? html`<p class="muted">In no variable of it: ${it.unused.join(", ")}.</p>` : null}
    ${it.messages.map((one, n) => html`<div class="turn user" key=${n}><span class="muted">${one.role || "in the role of the message that names it"}</span><p class="wrap">${one.content}</p></div>`)}</div>`;
}
