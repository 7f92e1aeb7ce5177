// Writing a prompt: its text, the variables found in it, and what it says with values as one types.
import { Field, Fragment, Picker, ResourceForm, SchemaForm, findIn, html, kindNamed, page, wrongAt } from "../ui/kit.js";
import { Said, Values, useRendered, useValues } from "./said.js";

const ROLES = ["system", "developer", "user", "assistant"];

// One text, or messages of several roles: which of them, and what each says.
function Texts({ value, onChange, errors }) {
  const several = Boolean(value.messages?.length);
  const put = (changes) => { const next = { ...value, ...changes }; for (const [name, it] of Object.entries(next)) if (it === undefined) delete next[name]; onChange(next); };
  const set = (n, changes) => put({ messages: value.messages.map((it, m) => (m === n ? { ...it, ...changes } : it)) });
  const divide = () => put({ content: undefined, messages: [{ role: "system", content: value.content || "" }, { role: "user", content: "" }] });
  const join = () => put({ messages: undefined, content: value.messages.map((it) => it.content).filter(Boolean).join("\n\n") });
  return html`<div class="field">
    <div class="bar"><div class="tabs small" role="group" aria-label="Made of">
      <button type="button" aria-pressed=${!several} onClick=${() => several && join()}>One text</button><button type="button" aria-pressed=${several} onClick=${() => several || divide()}>Messages of several roles</button></div></div>
    ${several ? html`<${Fragment}>${value.messages.map((it, n) => html`<div class="section" key=${n}>
        <div class="bar"><select aria-label=${`Role of message ${n + 1}`} value=${it.role} onChange=${(event) => set(n, { role: event.target.value })}>${ROLES.map((role) => html`<option>${role}</option>`)}</select><span class="grow"></span>
          <button type="button" class="button quiet" aria-label=${`Take out message ${n + 1}`} onClick=${() => put({ messages: value.messages.filter((_, m) => m !== n) })}>✕</button></div>
        <${Text} label=${`Message ${n + 1}`} value=${it.content} error=${wrongAt(errors, `/messages/${n}/content`)} onChange=${(content) => set(n, { content })} /></div>`)}
      <p class="section"><button type="button" class="button link" onClick=${() => put({ messages: [...value.messages, { role: "user", content: "" }] })}>Add a message</button></p><//>`
    : html`<${Text} label="Text" value=${value.content} error=${wrongAt(errors, "/content")} onChange=${(content) => put({ content })} tall />`}</div>`;
}

function Text({ label, value, error, onChange, tall = false }) {
  return html`<${Field} label=${html`<span class="sr">${label}</span>`} error=${error}>${(id, described) => html`<textarea class=${tall ? "mono tall" : "mono"} id=${id} rows="3" aria-describedby=${described} spellcheck=${false} value=${value || ""} onInput=${(event) => onChange(event.target.value)}></textarea>`}<//>`;
}

function Body({ api, id, form }) {
  const { value } = form;
  const [values, put] = useValues(id);
  const messages = value.messages?.filter((it) => it.content.trim());
  const asked = { variables: values, ...(messages?.length ? { messages } : { content: value.content }) };
  const says = messages?.length || value.content?.trim();
  const { it, errors } = useRendered(async (signal) => (says ? api("prompts/render", { method: "POST", body: asked, signal }) : null), JSON.stringify(asked));
  const told = form.errors.length ? form.errors : errors;
  return html`<div class="halves">
    <div>
      ${form.editing ? null : html`<${SchemaForm} ...${form} only=${["id"]} />`}
      <${Texts} value=${value} onChange=${form.onChange} errors=${told} />
      <${SchemaForm} ...${form} only=${["name", "description", "tags", "team_id", "enabled"]} />
    </div>
    <div>
      <section><h2>Variables</h2>${it ? html`<${Values} variables=${it.variables} values=${values} put=${put} />` : html`<p class="muted">Those of the text are listed here.</p>`}</section>
      <section class="section" aria-live="polite"><h2>What it says</h2>${it ? html`<${Said} it=${it} />` : html`<p class="muted">With the values above, as you type.</p>`}
        ${errors.filter((one) => !one.pointer.startsWith("/content") && !one.pointer.startsWith("/messages")).map((one) => html`<p class="field-error">${one.detail}</p>`)}</section>
    </div></div>`;
}

const OWN = { team_id: ({ id, described, value, onChange }) => html`<${Picker} id=${id} describedBy=${described} value=${value} onChange=${(text) => onChange(text || undefined)} find=${findIn("teams")} placeholder="Everybody's" />` };

function Edit({ api, kind, resource, saved }) {
  return html`<${ResourceForm} kind=${kind} api=${api} resource=${resource} own=${kindNamed("teams") ? OWN : {}} onSaved=${saved}>${(form) => html`<${Body} api=${api} id=${resource ? resource.id : "new"} form=${form} />`}<//>`;
}

export const show = page(Edit);
