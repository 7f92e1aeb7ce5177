// The kit is the console's: what is made of it looks and works like the rest. `api` ends with the page.
import { Figure, Loaded, Page, Table, html, page, useLoad } from "../ui/kit.js";

function Models({ api }) {
  const found = useLoad((signal) => api("models", { query: { limit: 500 }, signal }), []);
  return html`<${Page} title="Models at a glance" about="How many there are, and at how many providers.">
    <${Loaded} from=${found}>${({ data }) => html`<div class="figures">
      <${Figure} label="Models" value=${data.length} />
      <${Figure} label="Providers" value=${new Set(data.map((it) => it.provider_id)).size} />
    </div>`}<//>
    <${Table} name="page-models" load=${({ cursor, limit, signal }) => api("models", { query: { cursor, limit }, signal })}
      columns=${[{ key: "id", title: "Model" }, { key: "provider_id", title: "Provider" }]} />
  <//>`;
}

export const show = page(Models);
