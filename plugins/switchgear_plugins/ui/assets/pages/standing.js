// What is left to a key of its limits and budgets, as its next call would find it.
import { Bar, Loaded, Status, cx, html, id as escaped, money, number, span, title, useLoad } from "../kit.js";

const measured = (one) => one && typeof one === "object" && ("limit" in one || "amount_microusd" in one);

// Limits count what is asked, budgets what it costs.
function rowsOf({ policies }) {
  return policies.flatMap(({ name: policy, says }) => Object.entries(says).filter(([, one]) => measured(one)).map(([name, one]) => {
    const isMoney = "amount_microusd" in one;
    const whole = isMoney ? one.amount_microusd : one.limit;
    const left = isMoney ? one.left_microusd : one.remaining;
    return { key: `${policy}/${name}`, name: isMoney ? `Budget ${name}` : title(name), whole, left, show: isMoney ? money : number, resets: one.reset_s };
  }));
}

const toneOf = (used, whole) => (used / whole > 0.9 ? "bad" : used / whole > 0.7 ? "warn" : "");

export function Standing({ api, id, turn, plain = false }) {
  const found = useLoad((signal) => api(`api-keys/${escaped(id)}/standing`, { signal }), [id, turn]);
  return html`<${Loaded} from=${found} lines=${2}>${(it) => {
    const rows = rowsOf(it);
    if (!rows.length) return html`<p class="muted">${it.model ? "No limit and no budget holds for it." : "There is no model that it may use."}</p>`;
    return html`<table class=${cx("standing", plain && "plain")}>${plain ? null : html`<thead><tr><th>What</th><th class="num">Used</th><th class="num">Of</th><th></th><th>Anew</th></tr></thead>`}<tbody>${rows.map(({ key, name, whole, left, show, resets }) => html`<tr key=${key}>
      <td>${name}</td><td class="num">${show(whole - left)}</td><td class="num">${show(whole)}</td><td><${Bar} part=${whole - left} whole=${whole} tone=${toneOf(whole - left, whole)} /></td>
      <td>${left > 0 ? "" : html`<${Status} value="error" as="bad">used up<//> `}${resets && left < whole ? html`<span class="muted">in ${span(resets * 1e6)}</span>` : null}</td></tr>`)}</tbody></table>
      ${rows.some((row) => row.left <= 0) ? html`<p class="note">Calls are refused until there is some again. Whoever owns the team, or administers the gateway, can raise it.</p>` : null}`;
  }}<//>`;
}
