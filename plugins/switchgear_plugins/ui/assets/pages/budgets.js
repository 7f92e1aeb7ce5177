// Where budgets stand, and where they are heading.
import { Bar, Empty, Figure, Link, Loaded, Status, Time, html, id as escaped, money, percent, useLoad } from "../kit.js";

const usedOf = (it) => it.spent_microusd + it.reserved_microusd;
const isOver = (it) => it.forecast_microusd !== null && it.forecast_microusd > it.amount_microusd;

function Share({ it }) {
  const share = usedOf(it) / it.amount_microusd;
  return html`<${Bar} part=${usedOf(it)} whole=${it.amount_microusd} tone=${share > 0.95 ? "bad" : share > 0.8 ? "warn" : ""} /> ${percent(usedOf(it), it.amount_microusd)}`;
}

function Forecast({ it }) {
  if (it.left_microusd <= 0) return html`<${Status} value="error" as="bad">used up<//>`;
  if (it.forecast_microusd === null) return html`<span class="muted">too little is known yet</span>`;
  return html`${money(it.forecast_microusd)} ${isOver(it) ? html`<${Status} value="warn" as="warn">over by the end<//>` : html`<span class="muted">by the end</span>`}`;
}

// Rows are how budgets stand; `named` is what tells them apart.
function Standings({ rows, named }) {
  return html`<div class="table-box"><table><thead><tr><th>${named.title}</th><th class="num">Spent</th><th class="num">Of</th><th>Used</th><th>Forecast</th><th>Anew</th></tr></thead><tbody>${rows.map((it) => html`<tr key=${`${it.id}/${it.whose}`}>
    <td>${named.show(it)}</td><td class="num">${money(it.spent_microusd)}</td><td class="num">${money(it.amount_microusd)}</td><td class="fix"><${Share} it=${it} /></td><td><${Forecast} it=${it} /></td><td class="fix"><${Time} at=${it.resets_at} relative /></td></tr>`)}</tbody></table></div>`;
}

function One({ it }) {
  return html`<div class="figures"><${Figure} label="Spent" value=${money(it.spent_microusd)}>${it.reserved_microusd ? `and ${money(it.reserved_microusd)} reserved` : "nothing reserved"}<//><${Figure} label="Of" value=${money(it.amount_microusd)}>${it.mode}<//><${Figure} label="Left" value=${money(it.left_microusd)}>${percent(it.left_microusd, it.amount_microusd)}<//>
      <${Figure} label="Forecast" value=${money(it.forecast_microusd)}><${Forecast} it=${it} /><//></div>
    <p><${Share} it=${it} /> <span class="muted">since <${Time} at=${it.begins_at} />${it.resets_at ? html`, begins anew <${Time} at=${it.resets_at} relative />` : null}</span></p>
    ${it.exhausted_at ? html`<p><${Status} value="error" as="bad">Used up ${new Date(it.exhausted_at) > Date.now() ? "by" : "since"} <${Time} at=${it.exhausted_at} /><//></p>` : null}`;
}

// Of a budget that each value of a label has, everybody who spent something.
export function BudgetPanel({ api, resource }) {
  const found = useLoad((signal) => api(`budgets/${escaped(resource.id)}/status`, { signal }), [resource.id, resource.version]);
  return html`<${Loaded} from=${found} lines=${4}>${(it) => {
    if (!it.each) return html`<${One} it=${it} />`;
    return it.data.length ? html`<${Standings} rows=${it.data} named=${{ title: `Of each ${it.each}`, show: (one) => one.whose }} />` : html`<${Empty} title="Nobody has spent anything yet">Each ${it.each} that spends something is listed here.<//>`;
  }}<//>`;
}

// The first few, as far as each is one budget.
export function BudgetsNow({ api, turn, most = 6 }) {
  const found = useLoad(async (signal) => {
    const { data } = await api("budgets", { query: { limit: most }, signal });
    return Promise.all(data.filter((it) => !it.scope.each).map((it) => api(`budgets/${escaped(it.id)}/status`, { signal })));
  }, [turn]);
  return html`<${Loaded} from=${found} lines=${2}>${(rows) => (rows.length ? html`<${Standings} rows=${rows} named=${{ title: "Budget", show: (it) => html`<${Link} to=${["k", "budgets", it.id]}>${it.id}<//>` }} /><p><${Link} to=${["k", "budgets"]}>All budgets<//></p>`
    : html`<p class="muted">None yet: <${Link} to=${["k", "budgets", ""]} query=${{ new: 1 }}>make one<//> to bound what a key, a team or a model may cost.</p>`)}<//>`;
}
