// Clients of Node.js. The first half of this file does the same as case.py.
import { readFileSync } from 'node:fs'

const base = process.env.BASE
const model = process.env.MODEL
const { query, documents, ranking } = JSON.parse(process.env.CASE)
const tolerance = 1e-6

function check (results, topN = ranking.length) {
  const got = results.map(r => [r.index, r.score])
  const want = ranking.slice(0, topN)
  for (let i = 0; i < Math.max(got.length, want.length); i++) {
    if (got[i]?.[0] !== want[i]?.[0] || !(Math.abs(got[i][1] - want[i][1]) <= tolerance)) {
      throw new Error(`result ${i} is ${got[i]}, want ${want[i]}`)
    }
  }
}

async function cohereV1 () {
  const { CohereClient } = await import('cohere-ai')
  const response = await new CohereClient({ token: 'key', environment: base }).rerank({ query, documents, model, returnDocuments: true })
  check(response.results.map(r => ({ index: r.index, score: r.relevanceScore })))
  response.results.forEach((r, i) => {
    if (r.document?.text !== documents[ranking[i][0]]) throw new Error(`document ${i} is ${JSON.stringify(r.document)}`)
  })
}

async function cohereV2 () {
  const { CohereClientV2 } = await import('cohere-ai')
  const response = await new CohereClientV2({ token: 'key', environment: base }).rerank({ query, documents, model, topN: 3 })
  check(response.results.map(r => ({ index: r.index, score: r.relevanceScore })), 3)
}

async function langchain () {
  const { CohereRerank } = await import('@langchain/cohere')
  const { CohereClient } = await import('cohere-ai')
  const reranker = new CohereRerank({ client: new CohereClient({ token: 'key', environment: base }), model, topN: 3 })
  const results = await reranker.rerank(documents, query)
  check(results.map(r => ({ index: r.index, score: r.relevanceScore })), 3)
}

async function aiSDK () {
  const { rerank } = await import('ai')
  const { createCohere } = await import('@ai-sdk/cohere')
  const cohere = createCohere({ apiKey: 'key', baseURL: base + '/v2' })
  const { ranking: results } = await rerank({ model: cohere.reranking(model), query, documents, topN: 3 })
  check(results.map(r => ({ index: r.originalIndex, score: r.score })), 3)
}

let failed = false
for (const [client, name, call] of [
  ['cohere-ai CohereClient', 'cohere-ai', cohereV1],
  ['cohere-ai CohereClientV2', 'cohere-ai', cohereV2],
  ['@langchain/cohere CohereRerank', '@langchain/cohere', langchain],
  ['AI SDK rerank', '@ai-sdk/cohere', aiSDK]
]) {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`))
  let error = null
  try {
    await call()
  } catch (e) {
    error = e.stack
    failed = true
  }
  console.log(JSON.stringify({ client, package: name, version, error }))
}
process.exit(failed ? 1 : 0)
