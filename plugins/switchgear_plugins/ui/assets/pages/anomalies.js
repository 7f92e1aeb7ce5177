import { Empty, Page, Table, Time, html, money, page, title } from "../kit.js";

function Anomalies({ api }) {
  return html`<${Page} title="Spending out of the usual" about="Hours in which somebody spent other than in the same hour of past weeks.">
    <${Table} name="anomalies" load=${({ cursor, limit, signal }) => api("usage/anomalies", { query: { cursor, limit }, signal })}
      columns=${[
        { key: "at_us", title: "Hour", align: "fix", show: (it) => html`<${Time} at=${it.at_us} />` }, { key: "by", title: "Who", show: (it) => (it.by === "all" ? "everybody together" : `${title(it.by)} ${it.value}`) },
        { key: "spent_microusd", title: "Spent", align: "num", show: (it) => money(it.spent_microusd) }, { key: "usual_microusd", title: "Usual", align: "num", show: (it) => money(it.usual_microusd) },
        { key: "mean_microusd", title: "Mean hour of a week", align: "num", show: (it) => money(it.mean_microusd) }, { key: "score", title: "Deviations", align: "num", show: (it) => (it.score === null ? "–" : it.score.toFixed(1)) },
      ]} empty=${html`<${Empty} title="Nothing out of the usual">It takes some days of traffic to know what is.<//>`} /><//>`;
}

export const show = page(Anomalies);
