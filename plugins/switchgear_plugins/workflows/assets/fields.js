// Fields of a step's inputs: texts with references, which may be offered, and conditions.
import { Button, Field, JsonInput, PromptVariables, errorsAt, html, resolve, title, useRef, wrongAt } from "../ui/kit.js";

// What is offered to refer to of a step's output, by its type; of others the output as a whole.
const OUTPUT = { chat_completion: "content", knowledge_base_search: "text", crag_scoring: "text" };
export const referenceTo = (step) => `\${step:${step.name}${OUTPUT[step.type] ? `:${OUTPUT[step.type]}` : ""}}`;

const shown = (value) => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2));
// What was typed, as a value: a text stays one where a text is wanted, else what reads as JSON is that.
const typed = (text, isText) => {
  if (text === "") return undefined;
  if (!isText && /^\s*(-?\d|\[|\{|true|false|null)/.test(text)) try { return JSON.parse(text); } catch { return text; }
  return text;
};

// A value that may be, or hold, references.
export function Value({ id, label, described, value, onChange, offered, isText = false, placeholder }) {
  const box = useRef(null);
  const insert = (reference) => {
    const { selectionStart: from, selectionEnd: to, value: text } = box.current;
    onChange(typed(text.slice(0, from) + reference + text.slice(to), isText));
    box.current.focus();
  };
  return html`<span class="value"><textarea ref=${box} id=${id} rows="1" aria-label=${label} aria-describedby=${described} spellcheck=${false} placeholder=${placeholder} value=${shown(value)} onInput=${(event) => onChange(typed(event.target.value, isText))}></textarea>
    ${offered.length ? html`<select class="small" aria-label=${`Put a reference into ${label || "it"}`} value="" onChange=${(event) => { insert(event.target.value); event.target.value = ""; }}><option value="">$</option>${offered.map((it) => html`<option>${it}</option>`)}</select>` : null}</span>`;
}

function Pairs({ label, value, onChange, offered }) {
  const rows = Object.entries(value || {});
  const put = (next) => onChange(next.length ? Object.fromEntries(next) : undefined);
  return html`<div class="items">${rows.map(([name, one], n) => html`<div class="item" key=${n}>
      <input class="name" aria-label=${`Name ${n + 1} in ${label}`} placeholder="name" autocomplete="off" spellcheck=${false} value=${name} onInput=${(event) => put(rows.map((row, m) => (m === n ? [event.target.value, row[1]] : row)))} />
      <div class="grow"><${Value} label=${`Value of ${name || n + 1} in ${label}`} value=${one} offered=${offered} onChange=${(to) => put(rows.map((row, m) => (m === n ? [row[0], to ?? ""] : row)))} /></div>
      <${Button} kind="quiet" onClick=${() => put(rows.filter((_, m) => m !== n))} aria-label=${`Take out ${name || n + 1} of ${label}`}>✕<//></div>`)}
    <${Button} kind="link" onClick=${() => put([...rows, ["", ""]])} disabled=${rows.some(([name]) => name === "")}>Add<span class="sr"> to ${label}</span><//></div>`;
}

const OPERATORS = { eq: "equals", ne: "differs from", gt: "is more than", gte: "is at least", lt: "is less than", lte: "is at most", contains: "contains", is_empty: "is empty", is_not_empty: "is not empty" };
const ACTIONS = { continue: "go on", go_to_step: "go to the step", end_workflow: "end with" };

function Decision({ it, onChange, label, steps, offered }) {
  const action = it.action || "continue";
  return html`<div class="bar"><select aria-label=${`${label}: what then`} value=${action} onChange=${(event) => { const { step: _s, output: _o, ...rest } = it; onChange({ ...rest, action: event.target.value }); }}>${Object.entries(ACTIONS).map(([name, text]) => html`<option value=${name}>${text}</option>`)}</select>
    ${action === "go_to_step" && html`<select aria-label=${`${label}: to which step`} value=${it.step || ""} onChange=${(event) => onChange({ ...it, step: event.target.value || undefined })}><option value="">–</option>${steps.map((step) => html`<option>${step.name}</option>`)}</select>`}
    ${action === "end_workflow" && html`<span class="grow"><${Value} label=${`${label}: with what`} value=${it.output} offered=${offered} placeholder="nothing" onChange=${(output) => onChange({ ...it, output })} /></span>`}</div>`;
}

// Conditions in order: the first that holds decides.
export function Conditions({ schema, value, onChange, offered, steps, errors }) {
  const operators = resolve(resolve(schema.$defs.Condition, schema.$defs).properties.operator, schema.$defs).enum;
  const conditions = value.conditions || [];
  const usual = typeof value.default_action === "string" ? { action: value.default_action } : value.default_action || {};
  const set = (n, to) => onChange({ ...value, conditions: conditions.map((it, m) => (m === n ? to : it)) });
  const wrong = (pointer) => errorsAt(errors, pointer).map((it) => html`<p class="field-error">${it.detail}</p>`);
  return html`<div class="field" role="group" aria-label="Conditions"><span class="label">Conditions</span><div class="items">${conditions.map((it, n) => html`<div class="item condition" key=${n}><div class="grow">
      <div class="bar"><span class="if">if</span><span class="grow"><${Value} label=${`Condition ${n + 1}: what`} value=${it.field} offered=${offered} onChange=${(field) => set(n, { ...it, field })} /></span></div>
      <div class="bar"><select class="if" aria-label=${`Condition ${n + 1}: how compared`} value=${it.operator || ""} onChange=${(event) => set(n, { ...it, operator: event.target.value })}><option value="">–</option>${operators.map((name) => html`<option value=${name}>${OPERATORS[name] || name}</option>`)}</select>
        ${(it.operator || "").startsWith("is_") ? null : html`<span class="grow"><${Value} label=${`Condition ${n + 1}: with what`} value=${it.value} offered=${offered} onChange=${(to) => set(n, { ...it, value: to })} /></span>`}</div>
      <${Decision} it=${it} label=${`Condition ${n + 1}`} steps=${steps} offered=${offered} onChange=${(to) => set(n, to)} />${wrong(`/conditions/${n}`)}</div>
      <${Button} kind="quiet" aria-label=${`Take out condition ${n + 1}`} onClick=${() => onChange({ ...value, conditions: conditions.filter((_, m) => m !== n) })}>✕<//></div>`)}
    <${Button} kind="link" onClick=${() => onChange({ ...value, conditions: [...conditions, { field: "", operator: "eq", action: "continue" }] })}>Add<span class="sr"> a condition</span><//>
    <div class="item condition"><div class="grow"><p>else</p><${Decision} it=${usual} label="Else" steps=${steps} offered=${offered} onChange=${(to) => onChange({ ...value, default_action: to })} />${wrong("/default_action")}</div></div></div></div>`;
}

// What a step is given, by the schema of its type where it tells one.
export function Inputs({ schema, settings, value = {}, onChange, offered, errors }) {
  if (!schema) return html`<${Field} label="Inputs" error=${errors.map((it) => it.detail).join("; ") || undefined}>${(id, described) => html`<${JsonInput} id=${id} aria-describedby=${described} value=${value} onChange=${(to) => onChange(to || {})} />`}<//>`;
  const shape = resolve(schema, schema.$defs || {});
  const put = (name, to) => { const { [name]: _, ...rest } = value; onChange(to === undefined ? rest : { ...rest, [name]: to }); };
  const unknown = errors.filter((it) => !Object.keys(shape.properties).some((name) => errorsAt([it], `/${name}`).length));
  return html`<div>${unknown.map((it) => html`<p class="field-error">${it.detail}</p>`)}${Object.entries(shape.properties).map(([name, one]) => {
    const it = resolve(one, schema.$defs || {});
    const wrong = wrongAt(errors, `/${name}`);
    const label = html`${title(name)}${shape.required?.includes(name) ? html`<span class="needed" title="Needed"> *</span>` : null}`;
    const change = (to) => put(name, to);
    if (name === "variables" && settings.prompt_id) return html`<div class="field" role="group" aria-label="Variables"><span class="label">${label}</span><div><${PromptVariables} id=${settings.prompt_id} version=${settings.prompt_version} value=${value[name]} onChange=${(to) => change(Object.keys(to).length ? to : undefined)} />${wrong && html`<p class="field-error">${wrong}</p>`}</div></div>`;
    if (it.type === "object" && it.additionalProperties) return html`<div class="field" role="group" aria-label=${title(name)}><span class="label">${label}</span><div><${Pairs} label=${title(name)} value=${value[name]} onChange=${change} offered=${offered} />${wrong && html`<p class="field-error">${wrong}</p>`}</div></div>`;
    const usual = it.default === undefined || it.default === null || typeof it.default === "object" || it.default === "" ? undefined : `default: ${it.default}`;
    return html`<${Field} key=${name} label=${label} error=${wrong}>${(id, described) => html`<${Value} id=${id} described=${described} value=${value[name]} offered=${offered} isText=${it.type === "string"} placeholder=${usual || (it.type === "array" ? "a reference, or JSON" : undefined)} onChange=${change} />`}<//>`;
  })}</div>`;
}
