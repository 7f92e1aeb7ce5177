// Steps of a workflow, in order, each with those within it.
import { Button, Field, SchemaForm, Status, errorsAt, html, resolve, useState } from "../ui/kit.js";
import { Conditions, Inputs, referenceTo } from "./fields.js";

const HOW = ["on_error", "timeout_s", "retries"];
const words = (type) => (type || "").replaceAll("_", " ");

// What a step is about, in a word: the resource that it names first.
const about = (step) => Object.entries(step.settings || {}).find(([name, it]) => name.endsWith("_id") && it)?.[1];

// A name that no step has.
const fresh = (taken, base) => { let n = 1, name = base; while (taken.has(name)) name = `${base}-${(n += 1)}`; return name; };

// Every step and those within it, for names to be told apart.
export const every = (steps = []) => steps.flatMap((step) => [step, ...every(step.settings?.steps), ...Object.values(step.settings?.branches || {}).flatMap(every)]);

export function Steps({ steps, onChange, at, errors, offered, label = "Steps", level = 1 }) {
  const [open, setOpen] = useState(() => new Set(level === 1 && steps.length === 1 ? [0] : []));
  const turn = (n) => setOpen((it) => { const next = new Set(it); if (!next.delete(n)) next.add(n); return next; });
  const set = (n, to) => onChange(steps.map((it, m) => (m === n ? to : it)));
  const swap = (n, m) => { const next = [...steps]; [next[n], next[m]] = [next[m], next[n]]; setOpen((it) => new Set([...it].map((one) => (one === n ? m : one === m ? n : one)))); onChange(next); };
  const drop = (n) => { setOpen((it) => new Set([...it].filter((one) => one !== n).map((one) => (one > n ? one - 1 : one)))); onChange(steps.filter((_, m) => m !== n)); };
  const add = (type) => { setOpen((it) => new Set([...it, steps.length])); onChange([...steps, { name: fresh(at.taken, type === "chat_completion" ? "ask" : type.split("_")[0]), type, settings: {}, inputs: {} }]); };
  return html`<div role="group" aria-label=${label}><ol class="workflow-steps">${steps.map((step, n) => {
    const wrong = errorsAt(errors, `/${n}`);
    const shown = open.has(n) || wrong.length > 0;
    return html`<li key=${n} class=${wrong.length ? "wrong" : ""}>
      <div class="bar"><span class="step-mark">${n + 1}</span>
        <button type="button" class="step-head" aria-expanded=${shown} onClick=${() => turn(n)}><strong>${step.name || "unnamed"}</strong> <span class="muted">${words(step.type)}${about(step) ? `, ${about(step)}` : ""}</span></button>
        ${wrong.length ? html`<${Status} value="error">not right<//>` : null}<span class="grow"></span>
        <${Button} kind="quiet" disabled=${n === 0} onClick=${() => swap(n, n - 1)} aria-label=${`Move ${step.name} up`}>↑<//><${Button} kind="quiet" disabled=${n === steps.length - 1} onClick=${() => swap(n, n + 1)} aria-label=${`Move ${step.name} down`}>↓<//>
        <${Button} kind="quiet" onClick=${() => drop(n)} aria-label=${`Take out ${step.name}`}>✕<//></div>
      ${shown && html`<${Step} step=${step} onChange=${(to) => set(n, to)} at=${at} errors=${wrong} siblings=${steps} offered=${[...offered, ...steps.slice(0, n).filter((it) => it.type !== "conditional").map(referenceTo)]} level=${level} />`}</li>`;
  })}</ol>
    <select class="small add" aria-label=${`Add to ${label}`} value="" onChange=${(event) => { if (event.target.value) add(event.target.value); event.target.value = ""; }}><option value="">+ Step</option>${at.types.map((it) => html`<option value=${it.type}>${words(it.type)}: ${it.summary.toLowerCase()}</option>`)}</select></div>`;
}

function Step({ step, onChange, at, errors, siblings, offered, level }) {
  const type = at.types.find((it) => it.type === step.type);
  const shape = type ? resolve(type.settings, type.settings.$defs || {}) : {};
  const settings = step.settings || {};
  const put = (changes) => onChange({ ...step, ...changes });
  const setting = (changes) => put({ settings: Object.fromEntries(Object.entries({ ...settings, ...changes }).filter(([, it]) => it !== undefined)) });
  const own = errorsAt(errors, "/settings");
  const lost = errors.filter((it) => it.pointer === "" || it.pointer === "/settings" || (!it.pointer.startsWith("/settings/") && !it.pointer.startsWith("/inputs") && !["/name", "/type", ...HOW.map((name) => `/${name}`)].includes(it.pointer)));
  return html`<div class="form">${lost.map((it) => html`<p class="field-error" role="alert">${it.detail}</p>`)}
    <${Field} label="Name" error=${errorsAt(errors, "/name")[0]?.detail} hint="What later steps refer to.">${(id, described) => html`<input id=${id} aria-describedby=${described} spellcheck=${false} value=${step.name} onInput=${(event) => put({ name: event.target.value })} />`}<//>
    <${Field} label="Type" error=${errorsAt(errors, "/type")[0]?.detail} hint=${type?.summary}>${(id, described) => html`<select id=${id} aria-describedby=${described} value=${step.type} onChange=${(event) => put({ type: event.target.value, settings: {}, inputs: {} })}>${type ? null : html`<option>${step.type}</option>`}${at.types.map((it) => html`<option value=${it.type}>${words(it.type)}</option>`)}</select>`}<//>
    ${type ? html`<${SchemaForm} schema=${type.settings} defs=${type.settings.$defs || {}} value=${settings} skip=${["steps", "branches"]} references=${at.references} errors=${own.filter((it) => it.pointer)} onChange=${(to) => put({ settings: { ...(settings.steps ? { steps: settings.steps } : {}), ...(settings.branches ? { branches: settings.branches } : {}), ...to } })} />
      ${step.type === "conditional" ? html`<${Conditions} schema=${type.inputs} value=${step.inputs || {}} onChange=${(inputs) => put({ inputs })} offered=${offered} steps=${siblings} errors=${errorsAt(errors, "/inputs")} />`
        : html`<${Inputs} schema=${type.inputs} settings=${settings} value=${step.inputs} onChange=${(inputs) => put({ inputs })} offered=${offered} errors=${errorsAt(errors, "/inputs")} />`}` : null}
    ${shape.properties?.steps ? html`<div class="field"><span class="label">Steps for each item</span><div><${Steps} label=${`Steps of ${step.name}`} level=${level + 1} steps=${settings.steps || []} at=${at} errors=${errorsAt(own, "/steps")} offered=${[...offered, "${item}", "${index}"]} onChange=${(steps) => setting({ steps })} /></div></div>` : null}
    ${shape.properties?.branches ? html`<${Branches} step=${step} branches=${settings.branches || {}} at=${at} errors=${errorsAt(own, "/branches")} offered=${offered} level=${level} onChange=${(branches) => setting({ branches })} />` : null}
    <details class="group" open=${errors.some((it) => HOW.includes(it.pointer.slice(1)))}><summary>If it fails <span class="muted">${step.on_error === "skip_step" ? "it is passed over" : "the workflow fails"}${step.retries ? `, after ${step.retries} more tries` : ""}${step.timeout_s ? `, ${step.timeout_s} s each` : ""}</span></summary>
      <${SchemaForm} schema=${at.step} defs=${at.defs} value=${step} only=${HOW} errors=${errors} onChange=${onChange} /></details></div>`;
}

function Branches({ step, branches, at, errors, offered, level, onChange }) {
  const names = Object.keys(branches);
  const rename = (name, to) => onChange(Object.fromEntries(Object.entries(branches).map(([one, steps]) => [one === name ? to : one, steps])));
  return html`<div class="field" role="group" aria-label="Branches"><span class="label">Branches</span><div>${names.map((name, n) => html`<section class="section" key=${n}>
      <div class="bar"><input class="small" aria-label=${`Name of branch ${n + 1}`} value=${name} onChange=${(event) => { if (event.target.value && !branches[event.target.value]) rename(name, event.target.value); }} /><span class="grow"></span><${Button} kind="quiet" aria-label=${`Take out the branch ${name}`} onClick=${() => onChange(Object.fromEntries(Object.entries(branches).filter(([one]) => one !== name)))}>✕<//></div>
      <${Steps} label=${`Branch ${name}`} level=${level + 1} steps=${branches[name]} at=${at} errors=${errorsAt(errors, `/${name}`)} offered=${offered} onChange=${(steps) => onChange({ ...branches, [name]: steps })} /></section>`)}
    <${Button} kind="link" onClick=${() => onChange({ ...branches, [fresh(new Set(names), "branch")]: [] })}>Add a branch<span class="sr"> to ${step.name}</span><//></div></div>`;
}
