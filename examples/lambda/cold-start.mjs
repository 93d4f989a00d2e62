// What a cold start costs: a fresh process imports the handler and answers its first request, then a
// second one. Prints milliseconds; the start of Node itself is not counted.
//   node cold-start.mjs

const row = seed => Array.from({ length: 64 }, (_, i) => ((i * seed) % 19) / 19 - 0.5)
const event = { body: JSON.stringify({ x: [row(37)], y: [row(41)] }) }

const start = performance.now()
const { handler } = await import('./handler.mjs')
const imported = performance.now()
const first = await handler(event)
const answered = performance.now()
await handler(event)
const warm = performance.now()

const ms = (from, to) => Number((to - from).toFixed(2))
console.log(
  JSON.stringify({
    status: first.statusCode,
    import: ms(start, imported),
    first: ms(imported, answered),
    second: ms(answered, warm),
  }),
)
