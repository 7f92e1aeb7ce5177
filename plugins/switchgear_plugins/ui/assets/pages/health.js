import { JsonView, Link, Loaded, Page, Status, Time, html, number, page, useEvery, useLoad } from "../kit.js";
import { Targets } from "./panels.js";

function Health({ api }) {
  const found = useLoad((signal) => api.send("health/detailed", { signal }).then((it) => it.json()), []);
  useEvery(5000, found.reload);
  return html`<${Page} title="Health" about="How each part of the process that answers is now. Other processes on the same store have their own.">
    <${Loaded} from=${found}>${(it) => html`
      <dl class="facts"><dt>All</dt><dd><${Status} value=${it.status} /> ${it.phase}</dd><dt>Store</dt><dd><${Status} value=${it.store === "ok" ? "ok" : "error"}>${it.store}<//></dd>
        <dt>Journal</dt><dd><${Status} value=${it.journal.has_room && !it.journal.failing ? "ok" : "error"}>${it.journal.failing || (it.journal.has_room ? "has room" : "full")}<//> <span class="muted">${number(it.journal.depth)} records wait for the store</span></dd>
        <dt>Requests in flight</dt><dd>${number(it.exchanges_in_flight)} <span class="muted">of ${number(it.overload.ceiling)} at most</span></dd>
        <dt>Event loop</dt><dd><${Status} value=${it.overload.shedding ? "failing" : "ok"}>${it.overload.lag_ms.toFixed(1)} ms late<//> <span class="muted">${number(it.overload.requests_shed)} requests were refused for it</span></dd>
        <dt>Revision</dt><dd>${number(it.revision)}</dd></dl>
      <section class="section"><h2>Credentials</h2>${it.credentials.length ? html`<div class="table-box"><table><thead><tr><th>Credential</th><th>State</th><th>Fetched</th><th>Since</th><th>Why</th></tr></thead><tbody>${it.credentials.map((one) => html`<tr key=${one.credential_id}><td><${Link} to=${["k", "credentials", one.credential_id]}>${one.credential_id}<//></td><td><${Status} value=${one.status} /></td><td><${Time} at=${one.fetched_us} relative /></td><td><${Time} at=${one.since_us} relative /></td><td>${one.why}</td></tr>`)}</tbody></table></div>` : html`<p class="muted">None is in use.</p>`}</section>
      ${it.broken_resources.length ? html`<section class="section"><h2>Stored, and of no use</h2><table><tbody>${it.broken_resources.map((one) => html`<tr><td><${Link} to=${["k", one.kind, one.id]}>${one.id}<//> <span class="muted">${one.kind}</span></td><td>${one.reason}</td></tr>`)}</tbody></table></section>` : null}
      ${it.record_sinks.length ? html`<section class="section"><h2>Record sinks</h2><table><tbody>${it.record_sinks.map((one) => html`<tr><td>${one.name || one.plugin}</td><td><${Status} value=${one.status} /></td></tr>`)}</tbody></table></section>` : null}
      <section class="section"><h2>Models at providers</h2><${Targets} api=${api} /></section>
      <details class="section"><summary>All of it</summary><${JsonView} value=${it} /></details>`}<//>
  <//>`;
}

export const show = page(Health);
