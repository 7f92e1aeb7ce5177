// Begins a dialog with an agent, or goes on with one of one's own.
import { Button, Empty, Field, Link, Loaded, Time, checked, complain, go, html, money, page, plural, session, useLoad, useState } from "../ui/kit.js";

const DIALOGS = ["p", "dialogs", "dialogs"];
const LOOKED_AT = 100;

function Talk({ api, below: [model] }) {
  const isPerson = session.value.who?.kind === "user";
  const [title, setTitle] = useState("");
  const found = useLoad(async (signal) => (isPerson ? (await checked(await api.send(`v1/dialogs?limit=${LOOKED_AT}`, { signal }))).json() : { data: [] }), []);
  const begin = async (event) => {
    event.preventDefault();
    try { const made = await (await checked(await api.send("v1/dialogs", { method: "POST", body: { model, ...(title ? { title } : {}) } }))).json(); go([...DIALOGS, made.id]); } catch (error) { complain(error); }
  };
  if (!isPerson) return html`<${Empty} title="Dialogs are a person's">Sign in with a user to talk with it here. An API key has dialogs of its own, over <code>/v1/dialogs</code>.<//>`;
  return html`<div class="halves"><form onSubmit=${begin}><h2>A new dialog</h2><${Field} label="Title">${(id) => html`<input id=${id} value=${title} placeholder="Untitled" onInput=${(event) => setTitle(event.target.value)} />`}<//>
      <${Button} kind="primary" type="submit">Begin<//></form>
    <section><h2>Yours with it</h2><${Loaded} from=${found} lines=${3}>${({ data }) => { const own = data.filter((it) => it.model === model); return own.length ? html`<table><tbody>${own.map((it) => html`<tr key=${it.id}><td><${Link} to=${[...DIALOGS, it.id]}>${it.title || "Untitled"}<//></td><td class="num">${plural(it.message_count, "message")}</td><td class="num">${money(it.cost_microusd)}</td><td class="fix"><${Time} at=${it.updated_at * 1e6} relative /></td></tr>`)}</tbody></table>`
      : html`<p class="muted">${data.length < LOOKED_AT ? "None yet." : `None among your last ${LOOKED_AT}.`}</p>`; }}<//></section></div>`;
}

export const show = page(Talk);
