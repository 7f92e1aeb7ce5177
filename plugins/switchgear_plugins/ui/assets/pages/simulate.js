import { Button, Empty, Field, JsonInput, Page, Picker, findIn, html, page, place, setQuery, useState } from "../kit.js";
import { Explained } from "./explained.js";

function Simulate({ api }) {
  const { model = "", key = "", path = "" } = place.value.query;
  const [request, setRequest] = useState(undefined);
  const [asked, setAsked] = useState(model ? { model, key, path, request: undefined } : null);
  const [form, setForm] = useState({ model, key, path });
  const put = (changes) => setForm((it) => ({ ...it, ...changes }));
  const ask = (event) => {
    event.preventDefault();
    setQuery({ model: form.model, key: form.key, path: form.path });
    setAsked({ ...form, request });
  };
  return html`<${Page} title="Simulate a request" about="Where a request would go, who would be asked in which order, what would be lost on the way and what it may cost. Nothing is sent.">
    <div class="split"><div>${asked?.model ? html`<${Explained} api=${api} model=${asked.model} keyId=${asked.key || undefined} path=${asked.request ? asked.path || undefined : undefined} request=${asked.request ? { ...asked.request, model: asked.model } : undefined} />`
      : html`<${Empty} title="Name a model">An alias, a pool or a chain will do as well: whatever clients write in <code>model</code>.<//>`}</div>
    <form onSubmit=${ask}>
      <${Field} label="Model">${(id) => html`<${Picker} id=${id} value=${form.model} onChange=${(it) => put({ model: it })} find=${findIn("callable")} placeholder="What the client asks for" />`}<//>
      <${Field} label="Asked by" hint="An API key: what it may and what is left of its limits is then part of it.">${(id, described) => html`<${Picker} id=${id} describedBy=${described} value=${form.key} onChange=${(it) => put({ key: it })} find=${findIn("api-keys")} placeholder="Anybody" />`}<//>
      <${Field} label="Body" hint="As a client would send it: then tokens, cost and what a provider is not told are worked out.">${(id, described) => html`<${JsonInput} id=${id} aria-describedby=${described} rows=${6} value=${request} onChange=${setRequest} />`}<//>
      <${Button} kind="primary" type="submit" disabled=${!form.model}>Simulate<//>
    </form></div>
  <//>`;
}

export const show = page(Simulate);
