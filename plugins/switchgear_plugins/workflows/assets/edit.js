// Writing a workflow: its steps in order, what it is given and comes to.
import { Field, JsonInput, Loaded, ResourceForm, SchemaForm, errorsAt, html, page, resolve, useLoad, wrongAt } from "../ui/kit.js";
import { Steps, every } from "./steps.js";

const NAMED = "steps.*.settings.";

// The settings of steps that name resources, as fields of one step's settings.
const namedBy = (kind) => kind.references.filter((it) => it.field.startsWith(NAMED) && !it.field.slice(NAMED.length).includes(".")).map((it) => ({ ...it, field: it.field.slice(NAMED.length) }));

function Json({ label, hint, value, error, onChange }) {
  return html`<${Field} label=${label} hint=${hint} error=${error}>${(id, described) => html`<${JsonInput} id=${id} aria-describedby=${described} value=${value} onChange=${onChange} />`}<//>`;
}

function Body({ kind, types, form }) {
  const { value, onChange, errors } = form;
  const steps = value.steps || [];
  const put = (name) => (to) => { const { [name]: _, ...rest } = value; onChange(to === undefined ? rest : { ...rest, [name]: to }); };
  const shape = resolve(form.schema, form.defs);
  const step = resolve(resolve(shape.properties.steps, form.defs).items, form.defs);
  const at = { types, references: namedBy(kind), taken: new Set(every(steps).map((it) => it.name)), step, defs: form.defs };
  const offered = Object.keys(value.input_schema?.properties || {}).map((name) => `\${request:${name}}`);
  const ofSteps = errorsAt(errors, "/steps");
  return html`<div class="wide-left">
    <section>${form.editing ? null : html`<${SchemaForm} ...${form} only=${["id"]} />`}<h2>Steps</h2>${ofSteps.filter((it) => !it.pointer).map((it) => html`<p class="field-error" role="alert">${it.detail}</p>`)}
      ${steps.length ? null : html`<p class="muted">Steps are taken in order; each may refer to what the run is given and to what the steps before it came to.</p>`}
      <${Steps} steps=${steps} at=${at} errors=${ofSteps} offered=${offered.length ? offered : ["${request:message}"]} onChange=${put("steps")} /></section>
    <section class="stacked"><h2>Workflow</h2>
      <${SchemaForm} ...${form} only=${["name", "description"]} />
      <${Json} label="Input schema" hint="JSON Schema of what a run is given. Without one: any object." value=${value.input_schema} error=${wrongAt(errors, "/input_schema")} onChange=${put("input_schema")} />
      <${Json} label="Output" hint="What a run comes to, with references. Without it: the output of the last step." value=${value.output} error=${wrongAt(errors, "/output")} onChange=${put("output")} />
      <${SchemaForm} ...${form} only=${["most_steps", "enabled"]} /></section></div>`;
}

function Edit({ api, kind, resource, saved }) {
  const found = useLoad((signal) => api("workflow-steps", { signal }), []);
  return html`<${Loaded} from=${found}>${({ data }) => html`<${ResourceForm} kind=${kind} api=${api} resource=${resource} onSaved=${saved}>${(form) => html`<${Body} kind=${kind} types=${data} form=${form} />`}<//>`}<//>`;
}

export const show = page(Edit);
