// Prompts that come with the gateway: read, and made one's own.
import { Button, Code, Drawer, Link, Loaded, Page, Status, Tag, complain, html, page, toast, useLoad, useState } from "../ui/kit.js";

const textOf = (prompt) => (prompt.messages?.length ? prompt.messages.map((it) => `${it.role}:\n${it.content}`).join("\n\n") : prompt.content);

function Library({ api }) {
  const found = useLoad((signal) => api("prompts/library", { signal }), []);
  const [open, setOpen] = useState(null);
  const [busy, setBusy] = useState(false);
  const install = async (ids) => {
    setBusy(true);
    try {
      const { installed } = await api("prompts/library/install", { method: "POST", body: { ids } });
      toast(installed.length ? `Installed ${installed.join(", ")}` : "All of them were there");
      setOpen(null);
      found.reload();
    } catch (error) { complain(error); } finally { setBusy(false); }
  };
  return html`<${Page} title="Prompt library" about="Prompts to begin with. Installed, they are prompts like any other: change them, nothing writes over them."
    actions=${html`<${Button} busy=${busy} onClick=${() => install([])}>Install all<//>`}>
    <${Loaded} from=${found}>${({ data }) => html`<div class="table-box"><table><thead><tr><th>Prompt</th><th>What it does</th><th>Tags</th><th></th></tr></thead><tbody>${data.map((it) => html`<tr key=${it.id}>
      <td class="fix"><${Button} kind="link" onClick=${() => setOpen(it)}>${it.id}<//></td><td>${it.prompt.description}</td><td>${(it.prompt.tags || []).map((tag) => html`<${Tag}>${tag}<//> `)}</td>
      <td class="num">${it.installed ? html`<${Link} to=${["k", "prompts", it.id]}><${Status} value="good">installed<//><//>` : html`<${Button} kind="small" busy=${busy} onClick=${() => install([it.id])}>Install<span class="sr"> ${it.id}</span><//>`}</td></tr>`)}</tbody></table></div>`}<//>
    ${open && html`<${Drawer} title=${open.id} onClose=${() => setOpen(null)} actions=${open.installed ? null : html`<${Button} kind="primary" busy=${busy} onClick=${() => install([open.id])}>Install<//>`}>
      <p>${open.prompt.description}</p><${Code} text=${textOf(open.prompt)} wrap /><//>`}
  <//>`;
}

export const show = page(Library);
