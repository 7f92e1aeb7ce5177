// What an application does with the AI SDK: it asks, streams, has tools called and is refused. 
// Arguments: URL KEY NAMES, the last a JSON list of the names of three models each.
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

globalThis.AI_SDK_LOG_WARNINGS = false
const [url, apiKey, names] = process.argv.slice(2)
const baseURL = `${url}/v1`
const openai = createOpenAI({ baseURL, apiKey })
const settings = { maxRetries: 0, providerOptions: { openai: { store: false } } }
const models = [
  (name) => openai(name),
  (name) => openai.chat(name),
  createAnthropic({ baseURL, apiKey }),
  createOpenAICompatible({ name: 'switchgear', baseURL, apiKey }),
]
const offered = {
  weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `rain in ${city}` }),
  clock: tool({ inputSchema: z.object({ zone: z.string() }), execute: async ({ zone }) => `noon in ${zone}` }),
}
for (const [text, tools, error] of JSON.parse(names)) {
  for (const model of models) {
    console.log('said:', (await generateText({ model: model(text), prompt: 'Say hello', ...settings })).text)
    console.log('streamed:', await streamText({ model: model(text), prompt: 'Say hello', ...settings }).text)
    const wish = { tools: offered, stopWhen: stepCountIs(3), prompt: 'Weather?' }
    console.log('called:', (await generateText({ model: model(tools), ...wish, ...settings })).text)
    try {
      await generateText({ model: model(error), prompt: 'Say hello', ...settings })
    } catch (refused) {
      console.log('refused:', refused.statusCode)
    }
  }
}
