// One run as it goes: what is told of its steps, put together as a record of it would have it.
import { checked, id as escaped, isAbort, namedEvents } from "../ui/kit.js";

const ENDS = { "step.completed": "completed", "step.skipped": "skipped", "step.failed": "failed" };

// Resolves to the whole run; `onChange` gets what is known of it whenever there is more. Raises a Problem where it does not begin.
export async function follow({ api, id, input, signal, onChange }) {
  const began = performance.now();
  const since = () => Math.round(performance.now() - began);
  let run = { status: "running", steps: [] };
  const grow = (changes) => { run = { ...run, ...changes }; onChange(run); };
  const end = (name, changes) => {
    const at = run.steps.findIndex((it) => it.name === name && it.status === "running");
    grow({ steps: run.steps.map((it, n) => (n === at ? { ...it, took_ms: since() - it.began_ms, ...changes } : it)) });
  };
  try {
    const answer = await checked(await api.send(`admin/v1/workflows/${escaped(id)}/execute`, { method: "POST", body: { input, stream: true }, signal }));
    for await (const { name, data } of namedEvents(answer.body)) {
      const said = JSON.parse(data);
      if (name === "workflow.started") grow({ id: said.id });
      else if (name === "step.started") grow({ steps: [...run.steps, { name: said.step, type: said.type, status: "running", tries: 1, began_ms: since(), took_ms: 0, input_tokens: 0, output_tokens: 0, cost_microusd: 0 }] });
      else if (ENDS[name]) { const { step, ...rest } = said; end(step, { status: ENDS[name], ...rest }); }
      else if (name === "workflow.completed") grow({ ...said, took_ms: since() });
      else if (name === "error") grow({ status: "failed", error: said.error, took_ms: since() });
    }
  } catch (error) {
    if (!isAbort(error)) throw error;
    grow({ status: "cancelled", took_ms: since(), steps: run.steps.map((it) => (it.status === "running" ? { ...it, status: "cancelled", took_ms: since() - it.began_ms } : it)) });
  }
  return run;
}
