// What came of a test case once: the verdict of each assertion, the answer, and how it differs from the last one.
import { Code, Link, Status, Time, html, money, span } from "../ui/kit.js";

const CHANGES = { new: "idle", same: "idle", fixed: "good", broken: "bad" };

export const RUNS = ["p", "test_cases", "test-runs"];

export const Changed = ({ value }) => html`<${Status} value=${value} as=${CHANGES[value]} />`;

export const Verdicts = ({ it }) => html`<table class="fits"><tbody>${it.verdicts.map((one, n) => html`<tr key=${n}><td class="fix"><${Status} value=${one.passed ? "passed" : "failed"} /></td><td class="fix">${one.type.replaceAll("_", " ")}</td><td>${one.detail}</td></tr>`)}</tbody></table>`;

// The diff that a result holds, line by line.
const Against = ({ text }) => html`<pre class="diff" tabindex="0">${text.split("\n").map((line, n) => html`<span key=${n} class=${line.startsWith("+") ? "added" : line.startsWith("-") ? "taken" : ""}>${line}${"\n"}</span>`)}</pre>`;

export function Result({ it }) {
  return html`<dl class="facts"><dt>Result</dt><dd><${Status} value=${it.status} /> <${Changed} value=${it.change} /></dd><dt>Asked</dt><dd>${it.subject}${it.variant === "default" || it.variant === it.subject ? "" : `, as ${it.variant}`}</dd>
      <dt>When</dt><dd><${Time} at=${it.at_us} /></dd><dt>Took</dt><dd>${span(it.latency_ms * 1000)}</dd><dt>Cost</dt><dd>${money(it.cost_microusd)}</dd>
      ${it.request_id ? html`<dt>Request</dt><dd><${Link} to=${["requests"]} query=${{ request: it.request_id }}>${it.request_id}<//></dd>` : null}</dl>
    ${it.error ? html`<div class="trouble" role="alert"><p>${it.error}</p></div>` : null}
    <section class="section"><h3>Assertions</h3><${Verdicts} it=${it} /></section>
    ${it.text ? html`<section class="section"><h3>Answer</h3><${Code} text=${it.text} wrap /></section>` : null}
    ${it.diff ? html`<section class="section"><h3>Against the last one${it.previous_run ? html`, <${Link} to=${[...RUNS, it.previous_run]}>of this run<//>` : null}</h3><${Against} text=${it.diff} /></section>` : null}`;
}
