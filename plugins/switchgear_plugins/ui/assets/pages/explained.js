// What would become of a request, drawn as the path it takes.
import { Button, Fragment, Link, Loaded, Status, Tag, cx, html, money, number, span, useLoad } from "../kit.js";

const KINDS = { model: "models", alias: "aliases", pool: "pools", chain: "chains", provider: "providers" };

function Name({ name, all, depth = 0 }) {
  const it = all.find((one) => one.name === name);
  if (!it || depth > 8) return html`<li>${name}</li>`;
  return html`<li>${KINDS[it.kind] ? html`<${Link} to=${["k", KINDS[it.kind], it.name]}>${it.name}<//>` : it.name} <span class="muted">${it.kind}</span>${!it.enabled ? html` <${Status} value="disabled" />` : null}${it.broken ? html` <${Status} value="broken">${it.broken}<//>` : null}
    ${it.leads_to.length ? html`<ul>${it.leads_to.map((next) => html`<${Name} key=${typeof next === "string" ? next : next.name} name=${typeof next === "string" ? next : next.name} all=${all} depth=${depth + 1} />`)}</ul>` : null}</li>`;
}

function Hop({ mark, tone, children }) {
  return html`<div class="hop"><span class=${cx("hop-mark", tone)} aria-hidden="true">${mark}</span><div class="hop-body">${children}</div></div>`;
}

export function Path({ it }) {
  return html`<div class="path">
    <${Hop} mark="→" tone="busy"><strong>${it.written}</strong>${it.model !== it.written ? html` <span class="muted">is</span> ${it.model}` : null} <span class="muted">is asked for${it.key_id ? ` by ${it.key_id}` : ""}</span><//>
    ${it.refused ? html`<${Hop} mark="■" tone="bad"><strong class="bad">Refused: ${it.refused.reason.replaceAll("_", " ")}</strong><div>${it.refused.detail}</div>${it.refused.code ? html`<div class="muted">The client is told <code>${it.refused.code}</code>.</div>` : null}<//>` : null}
    <${Hop} mark="◇"><div class="names"><ul>${it.names.length ? html`<${Name} name=${it.names[0].name} all=${it.names} />` : null}</ul></div>${it.why.map((why) => html`<div class="muted">${why}</div>`)}
      ${it.attempts || it.seconds || it.hedge_s ? html`<div class="muted">${[it.attempts && `${it.attempts} attempts`, it.seconds && `${it.seconds} s in all`, it.hedge_s && `a second target after ${it.hedge_s} s`].filter(Boolean).join(", ")}</div>` : null}<//>
    ${it.policies.length ? html`<${Hop} mark="≡"><span class="muted">Policies</span> ${it.policies.map((one) => html`<${Tag}>${one.name}: ${one.phases.join(", ")}<//> `)}${it.attachments.map((one) => html`<div class="muted">${one.selects ? "●" : "○"} ${one.id} (${one.policy}) ${one.why}</div>`)}<//>` : null}
    ${it.targets.map((target, n) => html`<${Hop} key=${n} mark=${target.eligible ? (n === 0 ? "●" : "○") : "✕"} tone=${target.eligible ? (n === 0 ? "good" : "") : "bad"}>
      <div><strong>${n + 1}. ${target.provider_model}</strong> <span class="muted">at</span> <${Link} to=${["k", "providers", target.provider]}>${target.provider}<//>${target.model !== target.provider_model ? html` <span class="muted">as</span> <${Link} to=${["k", "models", target.model]}>${target.model}<//>` : null}
        ${target.health ? html` <${Status} value=${target.health.breaker.state}>breaker ${target.health.breaker.state.replaceAll("_", " ")}<//>` : null}${target.credential ? html` <${Status} value=${target.credential}>credential ${target.credential}<//>` : null}</div>
      ${target.obstacles.map((one) => html`<div><span class="bad">Not asked (${one.reason}):</span> ${one.detail}</div>`)}
      ${target.dropped.length ? html`<div><span class="warn">Is not told</span> ${target.dropped.join(", ")}</div>` : null}
      ${target.estimate ? html`<div class="muted">about ${number(target.estimate.input_tokens)} tokens to read${target.estimate.output_tokens ? `, ${number(target.estimate.output_tokens)} to write at most` : ""}${target.estimate.most_microusd !== null ? `, ${money(target.estimate.most_microusd)} at most` : ""}</div>` : null}
      ${target.health?.latency_s ? html`<div class="muted">usually answers in ${span(target.health.latency_s * 1e6)}</div>` : null}
      ${target.first_token_s || target.on ? html`<div class="muted">${[target.first_token_s && `${target.first_token_s} s to the first token`, target.on && `the next one on ${target.on.join(", ")}`].filter(Boolean).join("; ")}</div>` : null}
    <//>`)}
    ${!it.targets.length && !it.refused ? html`<${Hop} mark="✕" tone="bad">Nobody would be asked.<//>` : null}
  </div>`;
}

export function Explained({ api, model, request, keyId, path }) {
  const body = { request: request || { model }, ...(keyId ? { key_id: keyId } : {}), ...(path ? { path } : {}) };
  const found = useLoad((signal) => api("explain", { method: "POST", body, signal }), [JSON.stringify(body)]);
  return html`<${Fragment}><p class="muted">Where a request would go now. Nothing is sent. <${Button} kind="link" onClick=${found.reload}>Look again<//></p><${Loaded} from=${found}>${(it) => html`<${Path} it=${it} />`}<//><//>`;
}
