// Made of the console's kit of parts, as every page of it is. `api` asks the admin API, and ends what it asked with the page.
import { Empty, Loaded, Page, html, page, useLoad } from "../ui/kit.js";

function PluginNamePage({ api }) {
  const found = useLoad((signal) => api("models", { query: { limit: 500 }, signal }), []);
  return html`<${Page} title="PluginName">
    <${Loaded} from=${found}>${({ data }) =>
      data.length ? html`<p>${data.length} models</p>` : html`<${Empty} title="No model yet">Make one, and it is counted here.<//>`}<//>
  <//>`;
}

export const show = page(PluginNamePage);
