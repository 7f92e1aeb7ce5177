import { Button, Fragment, Loaded, Page, Status, Time, complain, html, page, toast, useLoad, useState } from "../kit.js";

function Settings({ api }) {
  const found = useLoad((signal) => api("config/settings", { signal }), []);
  const version = useLoad((signal) => api("config/version", { signal }), []);
  const [word, setWord] = useState("");
  const [own, setOwn] = useState(false);
  const reload = async () => {
    try {
      const done = await api("config/reload", { method: "POST", body: {} });
      toast(done.version.file.takes_a_restart.length ? `Read again; a restart is needed for ${done.version.file.takes_a_restart.join(", ")}` : "Read again: what is stored and plugins.toml are in force");
      version.reload(); found.reload();
    } catch (error) { complain(error); }
  };
  return html`<${Page} title="Settings" about="Every setting in effect and where it was said: from weak to strong by default, in plugins.toml, in the environment, by a flag." actions=${html`<${Button} onClick=${reload}>Read again<//>`}>
    <${Loaded} from=${version} lines=${2}>${(it) => html`<dl class="facts"><dt>File</dt><dd>${it.file.path || "none: the defaults hold"} ${it.file.path ? html`<${Status} value=${it.file.is_current ? "good" : "warn"} as=${it.file.is_current ? "good" : "warn"}>${it.file.is_current ? "as it was read" : "has changed since"}<//>` : null}</dd>
      <dt>Read</dt><dd><${Time} at=${it.file.read_us} relative /></dd>${it.file.takes_a_restart.length ? html`<dt>Takes a restart</dt><dd><${Status} value="warn" as="warn">${it.file.takes_a_restart.join(", ")}<//></dd>` : null}
      ${it.file.failures.length ? html`<dt>Wrong in it</dt><dd>${it.file.failures.map((text) => html`<div class="bad">${text}</div>`)}</dd>` : null}<dt>Revision</dt><dd>${it.revision} <span class="muted">in force <${Time} at=${it.live_us} relative /></span></dd></dl>`}<//>
    <div class="bar tools section"><input class="small" type="search" placeholder="Find" aria-label="Find settings" value=${word} onInput=${(event) => setWord(event.target.value)} />
      <label class="check"><input type="checkbox" checked=${own} onChange=${(event) => setOwn(event.target.checked)} /> only what is not as usual</label></div>
    <${Loaded} from=${found}>${({ data }) => {
      const wanted = data.filter((it) => (!own || it.origin !== "default") && (!word || `${it.path} ${JSON.stringify(it.value)}`.toLowerCase().includes(word.toLowerCase())));
      const groups = new Map();
      for (const it of wanted) { const at = it.path.lastIndexOf("."); const group = it.path.slice(0, at); if (!groups.has(group)) groups.set(group, []); groups.get(group).push({ ...it, name: it.path.slice(at + 1) }); }
      return html`<div class="table-box"><table><thead><tr><th>Setting</th><th>Value</th><th>Said</th></tr></thead><tbody>${[...groups].map(([group, rows]) => html`<${Fragment} key=${group}><tr><th scope="rowgroup" colspan="3"><code>[${group}]</code></th></tr>
        ${rows.map((it) => html`<tr key=${it.path}><td><code>${it.name}</code></td><td><code class="wrap">${it.value === null ? "not set" : JSON.stringify(it.value)}</code></td><td>${it.origin === "default" ? html`<span class="muted">default</span>` : it.origin}</td></tr>`)}<//>`)}</tbody></table></div>
        ${!wanted.length ? html`<p class="muted">No setting fits.</p>` : null}`;
    }}<//>
  <//>`;
}

export const show = page(Settings);
