import { Code, Drawer, Loaded, Page, Status, Tag, html, number, page, place, plural, setQuery, title, useLoad, useState } from "../kit.js";

const SHOWN = { resource_kinds: "kinds", ui_pages: "pages", credential_backends: "credential backends", record_kinds: "records", first_run: "first resources" };

function Plugins({ api }) {
  const found = useLoad((signal) => api("plugins", { signal }), []);
  const [word, setWord] = useState("");
  const chosen = place.value.query.plugin;
  return html`<${Page} title="Plugins" about="Everything a vendor, a store or a feature needs is one. They are chosen in plugins.toml; this is what runs.">
    <${Loaded} from=${found}>${({ data }) => {
      const wanted = data.filter((it) => !word || JSON.stringify([it.name, it.summary, it.brings.map((one) => one.name)]).toLowerCase().includes(word.toLowerCase()));
      const it = data.find((one) => one.name === chosen);
      return html`<div class="bar tools"><input class="small" type="search" placeholder="Find" aria-label="Find plugins" value=${word} onInput=${(event) => setWord(event.target.value)} /><span class="muted">${plural(wanted.length, "plugin")}</span></div>
        <div class="table-box"><table><thead><tr><th>Plugin</th><th>What it is</th><th>Brings</th><th class="num">Faults</th><th>From</th></tr></thead><tbody>${wanted.map((one) => {
          const sorts = [...new Set(one.brings.map((it2) => it2.kind))];
          return html`<tr key=${one.name} class="leads" tabindex="0" onClick=${() => setQuery({ plugin: one.name })} onKeyDown=${(event) => { if (event.key === "Enter") setQuery({ plugin: one.name }); }}>
            <td class="fix"><strong>${one.name}</strong></td><td>${one.summary}</td><td>${sorts.slice(0, 4).map((sort) => html`<${Tag}>${SHOWN[sort] || sort.replaceAll("_", " ")}<//> `)}</td>
            <td class="num">${one.faults ? html`<${Status} value="failing">${number(one.faults)}<//>` : html`<span class="muted">0</span>`}${one.warnings.length ? html` <${Status} value="warn" as="warn">${one.warnings.length}<//>` : null}</td>
            <td class="fix"><span class="muted">${one.distribution} ${one.version}</span></td></tr>`;
        })}</tbody></table></div>
        ${it && html`<${Drawer} title=${it.name} onClose=${() => setQuery({ plugin: "" })}>
          <p>${it.summary}</p><dl class="facts section"><dt>From</dt><dd>${it.distribution} ${it.version}</dd><dt>New settings</dt><dd>${it.live ? "are taken while it runs" : "take a restart"}</dd><dt>Faults</dt><dd>${number(it.faults)} since the start</dd></dl>
          ${it.warnings.map((text) => html`<p><${Status} value="warn" as="warn">${text}<//></p>`)}
          <section class="section"><h2>Brings</h2><table><thead><tr><th>What</th><th>Name</th><th>Who uses it</th></tr></thead><tbody>${it.brings.map((one) => html`<tr><td class="fix">${title(one.kind)}</td><td><code>${one.name}</code>${one.summary ? html`<div class="muted">${one.summary}</div>` : null}</td><td>${one.consumer || html`<${Status} value="idle">nobody here<//>`}</td></tr>`)}</tbody></table></section>
          <section class="section"><h2>To switch it off</h2><${Code} text=${`switchgear plugins disable ${it.name}`} /></section><//>`}`;
    }}<//>
  <//>`;
}

export const show = page(Plugins);
