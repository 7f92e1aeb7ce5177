// The steps of a run: when each began and ended, what it was given and came to.
import { Code, Figure, JsonView, Status, compact, html, money, span } from "../ui/kit.js";

const MS = 1000;
const COLOURS = { failed: "var(--bad)", skipped: "var(--warn)", running: "var(--focus)", cancelled: "var(--muted)" };

const has = (it) => it !== null && it !== undefined;

// A text is shown as that, also where it is what a model has answered.
function Said({ value }) {
  if (typeof value === "string") return html`<${Code} text=${value} wrap />`;
  const { content, ...rest } = value;
  if (typeof content !== "string" || !content) return html`<${JsonView} value=${value} height=${220} />`;
  const plain = Object.values(rest).every((it) => it === null || typeof it !== "object");
  return html`<${Code} text=${content} wrap />${plain ? html`<p class="hint">${Object.entries(rest).map(([name, it]) => `${name.replaceAll("_", " ")} ${it}`).join(", ")}</p>` : html`<${JsonView} value=${rest} height=${220} />`}`;
}

function Step({ it, whole }) {
  const left = (it.began_ms / whole) * 100, width = it.status === "running" ? 100 - left : (it.took_ms / whole) * 100;
  return html`<details class="group"><summary><span class="lane"><span title=${`${it.name}, ${it.type}`}>${it.name} <span class="muted">${it.type.replaceAll("_", " ")}</span></span>
      <span class="lane-track"><i style=${{ left: `${Math.min(99, left)}%`, width: `${Math.max(0.5, Math.min(100 - left, width))}%`, background: COLOURS[it.status] }}></i></span><span class="num">${it.status === "running" ? html`<${Status} value="running">…<//>` : span(it.took_ms * MS)}</span></span></summary>
    <dl class="facts"><dt>State</dt><dd><${Status} value=${it.status} />${it.tries > 1 ? ` after ${it.tries} tries` : ""}</dd>
      ${it.input_tokens || it.output_tokens ? html`<dt>Tokens</dt><dd>${compact(it.input_tokens)} in, ${compact(it.output_tokens)} out</dd>` : null}
      ${it.cost_microusd ? html`<dt>Cost</dt><dd>${money(it.cost_microusd)}</dd>` : null}</dl>
    ${it.error ? html`<h3>Why it failed</h3><${Code} text=${`${it.error.message}\n(${it.error.code})`} wrap />` : null}
    ${has(it.input) ? html`<h3>Given</h3><${Said} value=${it.input} />` : null}
    ${has(it.output) ? html`<h3>Came to</h3><${Said} value=${it.output} />` : null}
  </details>`;
}

export function Trace({ run }) {
  const steps = run.steps || [];
  const whole = Math.max(1, ...steps.map((it) => it.began_ms + it.took_ms));
  const cost = steps.some((it) => it.cost_microusd === null) ? null : steps.reduce((all, it) => all + it.cost_microusd, 0);
  const tokens = steps.reduce((all, it) => all + it.input_tokens + it.output_tokens, 0);
  return html`<div class="figures"><${Figure} label="State" value=${html`<${Status} value=${run.status} />`} /><${Figure} label="Took" value=${span((run.took_ms ?? whole) * MS)} /><${Figure} label="Steps" value=${steps.length} /><${Figure} label="Tokens" value=${compact(tokens)} /><${Figure} label="Cost" value=${money(cost)} /></div>
    ${run.error ? html`<div class="trouble" role="alert"><p>${typeof run.error === "string" ? run.error : run.error.message}</p></div>` : null}
    ${has(run.output) ? html`<section><h2>Output</h2><${Said} value=${run.output} /></section>` : null}
    <section class="section"><h2>Steps</h2>${steps.length ? steps.map((it, n) => html`<${Step} key=${n} it=${it} whole=${whole} />`) : html`<p class="muted">${run.status === "running" ? "The first is waited for." : "None was taken, or what they held is not kept."}</p>`}</section>
    ${has(run.input) ? html`<section class="section"><h2>Input</h2><${Said} value=${run.input} /></section>` : null}`;
}
