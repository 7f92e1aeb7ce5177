// Fields for what prompts and workflows are given: what they themselves say they take.
import { html } from "./dom.js";
import { client, id as escaped } from "./api.js";
import { JsonInput, SchemaForm } from "./form.js";
import { Field, useLoad } from "./parts.js";

// `variables` are { name, default }; one without a default has to be given.
export function VariableFields({ variables, value, onChange }) {
  const put = (name, text) => { const { [name]: _, ...rest } = value || {}; onChange(text === "" ? rest : { ...rest, [name]: text }); };
  return variables.map(({ name, default: usual }) => html`<${Field} key=${name} label=${html`<code>${name}</code>${usual === null ? html`<span class="needed" title="Needed"> *</span>` : null}`}>
    ${(id) => html`<textarea id=${id} rows="1" aria-label=${name} placeholder=${usual === null ? "needed" : usual === "" ? "may be left empty" : usual} value=${String(value?.[name] ?? "")} onInput=${(event) => put(name, event.target.value)}></textarea>`}<//>`);
}

// Values for the variables of a prompt, which is asked what it has.
export function PromptVariables({ id, version, value, onChange }) {
  const found = useLoad((signal) => (id ? client(signal)(`prompts/${escaped(id)}/render`, { method: "POST", body: { variables: {}, version } }).catch((error) => { if (error.status === 404) return null; throw error; }) : null), [id, version]);
  if (!id || found.data === undefined) return null;
  if (!found.data) return html`<p class="field-error">There is no prompt ${id}${version ? ` of version ${version}` : ""}.</p>`;
  return html`<${VariableFields} variables=${found.data.variables} value=${value} onChange=${onChange} />`;
}

// A form of a JSON Schema, or JSON where there is none.
export function InputForm({ schema, value, onChange, errors = [], label = "Input" }) {
  if (schema?.properties) return html`<${SchemaForm} schema=${schema} defs=${schema.$defs || {}} value=${value} onChange=${onChange} errors=${errors} />`;
  return html`<${Field} label=${label} error=${errors.map((it) => it.detail).join("; ") || undefined}>${(id, described) => html`<${JsonInput} id=${id} aria-describedby=${described} value=${value} onChange=${(to) => onChange(to ?? {})} />`}<//>`;
}
