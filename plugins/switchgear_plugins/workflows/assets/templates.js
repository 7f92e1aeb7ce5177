// Workflows to begin with: what each needs is filled in, and it is one's own.
import { Button, Dialog, Drawer, Field, JsonView, Loaded, Page, Picker, Prose, Trouble, findIn, go, html, id as escaped, page, title, toast, useLoad, useState } from "../ui/kit.js";

const KINDS = { model: "callable", external_api: "external-apis", knowledge_base: "knowledge-bases" };

function Make({ api, template, onClose }) {
  const [given, setGiven] = useState({ id: template.id });
  const [state, setState] = useState(null);
  const make = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    try {
      const made = await api(`workflows/templates/${escaped(template.id)}`, { method: "POST", body: given });
      onClose();
      toast(`Made the workflow ${made.id}`);
      go(["k", "workflows", made.id]);
    } catch (error) { setState({ error }); }
  };
  return html`<${Dialog} title=${template.workflow.name} onClose=${onClose}><p class="muted"><${Prose} text=${template.workflow.description} /></p><form onSubmit=${make}>
    ${state?.error && html`<${Trouble} error=${state.error} />`}
    <${Field} label="ID">${(field) => html`<input id=${field} value=${given.id} required onInput=${(event) => setGiven({ ...given, id: event.target.value })} />`}<//>
    ${template.needs.map((name) => html`<${Field} key=${name} label=${title(name)}>${(field) => html`<${Picker} id=${field} value=${given[name]} onChange=${(text) => setGiven({ ...given, [name]: text })} find=${findIn(KINDS[name] || name)} />`}<//>`)}
    <div class="bar end"><${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" type="submit" busy=${state?.busy}>Make workflow<//></div></form><//>`;
}

function Templates({ api }) {
  const found = useLoad((signal) => api("workflows/templates", { signal }), []);
  const [making, setMaking] = useState(null);
  const [open, setOpen] = useState(null);
  return html`<${Page} title="Workflow templates" about="Workflows to begin with. What is made of one is a workflow like any other.">
    <${Loaded} from=${found}>${({ data }) => html`<div class="table-box"><table><thead><tr><th>Template</th><th>What it does</th><th>Needs</th><th></th></tr></thead><tbody>${data.map((it) => html`<tr key=${it.id}>
      <td class="fix"><${Button} kind="link" onClick=${() => setOpen(it)}>${it.workflow.name}<//></td><td><${Prose} text=${it.workflow.description} /></td><td>${it.needs.map((name) => title(name).toLowerCase()).join(", ")}</td>
      <td class="num"><${Button} kind="small" onClick=${() => setMaking(it)}>Use<span class="sr"> ${it.workflow.name}</span><//></td></tr>`)}</tbody></table></div>`}<//>
    ${making && html`<${Make} api=${api} template=${making} onClose=${() => setMaking(null)} />`}
    ${open && html`<${Drawer} title=${open.workflow.name} onClose=${() => setOpen(null)}><${JsonView} value=${open.workflow} height=${640} /><//>`}
  <//>`;
}

export const show = page(Templates);
