// The steps of a run: when each began and ended, what it was given and came to.
import { Code, JsonView, Status, compact, html, money, span } from "../ui/kit.js";

const MS = 1000;

function Step({ it, whole }) {
  const left = whole ? (it.began_ms / whole) * 100 : 0, width = whole ? (it.took_ms / whole) * 100 : 100;
  const tone = { failed: "bad", skipped: "warn" }[it.status];
  return html`<details class="group"><summary><span class="lane"><span title=${`${it.name}, ${it.type}`}>${it.name} <span class="muted">${it.type.replaceAll("_", " ")}</span></span>
      <span class="lane-track"><i style=${{ left: `${Math.min(99, left)}%`, width: `${Math.max(0.5, Math.min(100 - left, width))}%`, background: tone ? `var(--${tone})` : undefined }}></i></span><span class="num">${span(it.took_ms * MS)}</span></span></summary>
    <dl class="facts"><dt>State</dt><dd><${Status} value=${it.status} />${it.tries > 1 ? ` after ${it.tries} tries` : ""}</dd>
      ${it.input_tokens || it.output_tokens ? html`<dt>Tokens</dt><dd>${compact(it.input_tokens)} in, ${compact(it.output_tokens)} out</dd>` : null}
      ${it.cost_microusd ? html`<dt>Cost</dt><dd>${money(it.cost_microusd)}</dd>` : null}</dl>
    ${it.error ? html`<h3>Why it failed</h3><${Code} text=${`${it.error.message}\n(${it.error.code})`} wrap />` : null}
    ${it.input === null || it.input === undefined ? null : html`<h3>Given</h3><${JsonView} value=${it.input} height=${220} />`}
    ${it.output === null || it.output === undefined ? null : html`<h3>Came to</h3><${JsonView} value=${it.output} height=${220} />`}
  </details>`;
}

export function Trace({ run }) {
  const steps = run.steps || [];
  const whole = Math.max(1, ...steps.map((it) => it.began_ms + it.took_ms));
  const cost = steps.some((it) => it.cost_microusd === null) ? null : steps.reduce((all, it) => all + it.cost_microusd, 0);
  return html`<dl class="facts"><dt>State</dt><dd><${Status} value=${run.status} /></dd><dt>Took</dt><dd>${span((run.took_ms ?? whole) * MS)}</dd><dt>Cost</dt><dd>${money(cost)}</dd></dl>
    ${run.error ? html`<div class="trouble" role="alert"><p>${typeof run.error === "string" ? run.error : run.error.message}</p></div>` : null}
    <section class="section"><h2>Steps</h2>${steps.length ? steps.map((it, n) => html`<${Step} key=${n} it=${it} whole=${whole} />`) : html`<p class="muted">None was taken, or what they held is not kept.</p>`}</section>
    ${run.output === null || run.output === undefined ? null : html`<section class="section"><h2>Output</h2>${typeof run.output === "string" ? html`<${Code} text=${run.output} wrap />` : html`<${JsonView} value=${run.output} />`}</section>`}`;
}
