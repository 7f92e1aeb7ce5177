// One call as a client makes it, streamed or whole, told piece by piece.
import { checked, send } from "./api.js";

// Reads server-sent events of a body: { name, data } of each that has data.
export async function* namedEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value || "";
    const parts = rest.split(/\r?\n\r?\n/);
    rest = done ? "" : parts.pop();
    for (const part of parts) {
      const said = (member) => part.split(/\r?\n/).filter((line) => line.startsWith(`${member}:`)).map((line) => line.slice(member.length + 1).trimStart()).join("\n");
      const data = said("data");
      if (data) yield { name: said("event"), data };
    }
    if (done) return;
  }
}

// The same without names: the data alone.
export async function* events(body) {
  for await (const { data } of namedEvents(body)) yield data;
}

// `onPiece` gets { text, reasoning, tools, usage, … } as it grows. Resolves to all of it; throws a Problem.
export async function ask({ body, key, signal, onPiece = () => {} }) {
  const began = performance.now();
  const so = { text: "", reasoning: "", tools: [], usage: null, finish: null, firstMs: null, tookMs: null, requestId: null, dropped: null, model: null, raw: null };
  const grow = (changes) => { Object.assign(so, changes); onPiece({ ...so }); };
  const answer = await send("v1/chat/completions", { method: "POST", body: body.stream ? { ...body, stream_options: { include_usage: true } } : body, key, signal });
  so.requestId = answer.headers.get("x-request-id");
  so.dropped = answer.headers.get("x-switchgear-dropped");
  await checked(answer);
  const call = (piece) => {
    const at = piece.index ?? so.tools.length;
    const had = so.tools[at] || { name: "", arguments: "", id: "" };
    so.tools[at] = { id: piece.id || had.id, name: had.name + (piece.function?.name || ""), arguments: had.arguments + (piece.function?.arguments || "") };
  };
  if (!body.stream) {
    const whole = await answer.json();
    const message = whole.choices?.[0]?.message || {};
    (message.tool_calls || []).forEach((it, index) => call({ ...it, index }));
    grow({ text: message.content || "", reasoning: message.reasoning_content || message.reasoning || "", usage: whole.usage, finish: whole.choices?.[0]?.finish_reason, model: whole.model, raw: whole, firstMs: performance.now() - began });
  } else {
    for await (const data of events(answer.body)) {
      if (data === "[DONE]") continue;
      const piece = JSON.parse(data);
      if (piece.error) throw Object.assign(new Error(piece.error.message), { so });
      const delta = piece.choices?.[0]?.delta || {};
      (delta.tool_calls || []).forEach(call);
      const said = (delta.content || "") + (delta.reasoning_content || delta.reasoning || "");
      grow({
        text: so.text + (delta.content || ""), reasoning: so.reasoning + (delta.reasoning_content || delta.reasoning || ""), usage: piece.usage || so.usage, model: piece.model || so.model,
        finish: piece.choices?.[0]?.finish_reason || so.finish, firstMs: so.firstMs ?? (said || delta.tool_calls ? performance.now() - began : null),
      });
    }
  }
  grow({ tookMs: performance.now() - began });
  return so;
}

