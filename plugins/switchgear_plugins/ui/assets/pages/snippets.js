// Lines that put a key, or a request, to use elsewhere.
import { base } from "../kit.js";

const root = () => base.href.replace(/\/$/, "");
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export const curl = (body, path = "v1/chat/completions", key = "$KEY") => `curl ${root()}/${path} \\
  -H "Authorization: Bearer ${key}" \\
  -H 'Content-Type: application/json' \\
  -d ${shell(JSON.stringify(body, null, 2))}`;

const python = (value, indent = "") => {
  const inner = `${indent}    `;
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return value.length ? `[\n${value.map((it) => `${inner}${python(it, inner)},\n`).join("")}${indent}]` : "[]";
  if (typeof value === "object") return `{\n${Object.entries(value).map(([name, it]) => `${inner}${JSON.stringify(name)}: ${python(it, inner)},\n`).join("")}${indent}}`;
  return JSON.stringify(value);
};

export function requestLines(body, key = "$KEY") {
  const { stream, ...plain } = body;
  const members = (show) => Object.entries(plain).map(([name, it]) => show(name, it)).join("");
  return {
    curl: curl(body, "v1/chat/completions", key),
    Python: `from openai import OpenAI

client = OpenAI(base_url="${root()}/v1", api_key="${key}")
${stream ? "stream" : "answer"} = client.chat.completions.create(
${members((name, it) => `    ${name}=${python(it, "    ")},\n`)}${stream ? "    stream=True,\n" : ""})
${stream ? 'for chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="")' : "print(answer.choices[0].message.content)"}`,
    TypeScript: `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${root()}/v1", apiKey: "${key}" });
const ${stream ? "stream" : "answer"} = await client.chat.completions.create({
${members((name, it) => `  ${name}: ${JSON.stringify(it, null, 2).replaceAll("\n", "\n  ")},\n`)}${stream ? "  stream: true,\n" : ""}});
${stream ? 'for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");' : "console.log(answer.choices[0].message.content);"}`,
  };
}

// How clients that people use are told of the gateway and a key.
export const clientLines = (key, model = "MODEL") => ({
  "OpenAI SDK": `export OPENAI_BASE_URL=${root()}/v1\nexport OPENAI_API_KEY=${key}`,
  "Anthropic SDK": `export ANTHROPIC_BASE_URL=${root()}\nexport ANTHROPIC_API_KEY=${key}`,
  "Claude Code": `export ANTHROPIC_BASE_URL=${root()}\nexport ANTHROPIC_AUTH_TOKEN=${key}\nclaude --model ${model}`,
  Codex: `# ~/.codex/config.toml\nmodel = "${model}"\nmodel_provider = "switchgear"\n\n[model_providers.switchgear]\nname = "Switchgear"\nbase_url = "${root()}/v1"\nenv_key = "SWITCHGEAR_KEY"\nwire_api = "responses"\n\n# and in the shell\nexport SWITCHGEAR_KEY=${key}`,
  curl: curl({ model, messages: [{ role: "user", content: "Hello" }] }, "v1/chat/completions", key),
});
