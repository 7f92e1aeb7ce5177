// Writing a test case: what is asked of a model or given to a workflow, and what has to be so of the answer.
import { Field, Fragment, InputForm, NumberInput, Picker, PromptVariables, ResourceForm, SchemaForm, errorsAt, findIn, html, id as escaped, kindNamed, page, useLoad, wrongAt } from "../ui/kit.js";

const OF_MODEL = ["model", "prompt_id", "prompt_version", "variables", "system", "content", "messages", "parameters"];
const OF_WORKFLOW = ["workflow", "input"];
const SAID = ["system", "content", "messages", "parameters"];

const without = (value, names) => Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));

function Prompt({ value, put, errors }) {
  return html`<${Fragment}>
    <${Field} label="Prompt" hint="With other content it is the system message." error=${wrongAt(errors, "/prompt_id")}>${(id, described) => html`<${Picker} id=${id} describedBy=${described} value=${value.prompt_id} onChange=${(text) => put({ prompt_id: text || undefined, ...(text ? {} : { variables: undefined, prompt_version: undefined }) })} find=${findIn("prompts")} placeholder="None" />`}<//>
    ${value.prompt_id ? html`<${Field} label="Its version" error=${wrongAt(errors, "/prompt_version")}>${(id) => html`<${NumberInput} id=${id} whole value=${value.prompt_version} placeholder="The newest" onChange=${(to) => put({ prompt_version: to })} />`}<//>
      <${PromptVariables} id=${value.prompt_id} version=${Number.isInteger(value.prompt_version) ? value.prompt_version : undefined} value=${value.variables} onChange=${(to) => put({ variables: Object.keys(to).length ? to : undefined })} />` : null}<//>`;
}

function Workflow({ api, value, put, errors }) {
  const found = useLoad((signal) => (value.workflow ? api(`workflows/${escaped(value.workflow)}`, { signal }).catch(() => null) : null), [value.workflow]);
  return html`<${Fragment}>
    <${Field} label="Workflow" error=${wrongAt(errors, "/workflow")}>${(id, described) => html`<${Picker} id=${id} describedBy=${described} value=${value.workflow} onChange=${(text) => put({ workflow: text || undefined })} find=${findIn("workflows")} placeholder="Find a workflow" />`}<//>
    ${value.workflow ? html`<${InputForm} schema=${found.data?.input_schema} value=${value.input || {}} onChange=${(input) => put({ input })} errors=${errorsAt(errors, "/input")} />` : null}<//>`;
}

function Body({ api, form }) {
  const { value, onChange, errors } = form;
  const runs = value.workflow !== undefined;
  const put = (changes) => onChange(Object.fromEntries(Object.entries({ ...value, ...changes }).filter(([, it]) => it !== undefined)));
  const choose = (workflow) => onChange(workflow ? { ...without(value, OF_MODEL), workflow: "" } : without(value, OF_WORKFLOW));
  return html`<div class="halves"><div>
      ${form.editing ? null : html`<${SchemaForm} ...${form} only=${["id"]} />`}
      ${kindNamed("workflows") ? html`<div class="tabs" role="group" aria-label="What is tried"><button type="button" aria-pressed=${!runs} onClick=${() => runs && choose(false)}>A model is asked</button><button type="button" aria-pressed=${runs} onClick=${() => runs || choose(true)}>A workflow is run</button></div>` : null}
      <div class="form">${runs ? html`<${Workflow} api=${api} value=${value} put=${put} errors=${errors} />`
        : html`<${SchemaForm} ...${form} only=${["model"]} />${kindNamed("prompts") ? html`<${Prompt} value=${value} put=${put} errors=${errors} />` : null}<${SchemaForm} ...${form} only=${SAID} />`}</div>
      <${SchemaForm} ...${form} only=${["description", "tags", "metadata", "enabled"]} />
    </div>
    <section class="stacked"><h2>What has to be so of the answer</h2><${SchemaForm} ...${form} only=${["assertions"]} /></section></div>`;
}

function Edit({ api, kind, resource, saved }) {
  return html`<${ResourceForm} kind=${kind} api=${api} resource=${resource} onSaved=${saved}>${(form) => html`<${Body} api=${api} form=${form} />`}<//>`;
}

export const show = page(Edit);
