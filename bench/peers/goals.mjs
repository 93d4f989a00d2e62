// What this library wants to reach, as ratios of medians of one run, and whether it did. Where a goal lies
// above what the CPU can do, 90 % of the ceiling probe counts as met.

const CEILING_SHARE = 0.9

const isPeer = engine => !engine.startsWith('lowrank') && !engine.startsWith('torch')
const asDocumented = engine => isPeer(engine) && /:(written|plain)$/.test(engine)
const isTuned = engine => isPeer(engine) && !asDocumented(engine)

/** The fastest of the engines that a test picks, which agree with the reference. */
function fastest(workload, pick) {
  const found = workload.engines.filter(e => e.median && e.problems.length === 0 && pick(e.engine))
  return found.toSorted((a, b) => a.median - b.median)[0]
}

function engineOf(workload, name) {
  return fastest(workload, engine => engine === name)
}

/** A goal that is a ratio of times: `other` over ours, at least `atLeast`. */
function faster(workload, name, other, atLeast, what) {
  const ours = engineOf(workload, name)
  if (!ours || !other) {
    return []
  }
  const ratio = other.median / ours.median
  const share = workload.flops / ours.median / workload.ceiling
  const met = ratio >= atLeast ? 'met' : share >= CEILING_SHARE ? 'met (ceiling)' : 'missed'
  const short = workload.name.replace(/^G\//, '')
  const label = name === 'lowrank' ? short : `${short}, ${name.slice(8)}`
  return [{ what: `${label}: ${what}`, goal: `≥ ${atLeast}`, value: ratio, share, met }]
}

/** A goal that is a part of something: at most or at least. */
function part(what, value, sign, limit) {
  if (!Number.isFinite(value)) {
    return []
  }
  const met = sign === '≤' ? value <= limit : value >= limit
  return [{ what, goal: `${sign} ${limit}`, value, met: met ? 'met' : 'missed' }]
}

function squareGoals(workload) {
  const best = fastest(workload, isPeer)
  if (workload.name.match(/G\/(64|128)x/)) {
    return ['lowrank', 'lowrank:nn', 'lowrank:nt', 'lowrank:tn'].flatMap(name =>
      faster(workload, name, best, 1.1, 'best JavaScript peer'),
    )
  }
  return ['lowrank', 'lowrank:nn', 'lowrank:nt', 'lowrank:tn'].flatMap(name => [
    ...faster(workload, name, best, 1.25, 'best JavaScript peer'),
    ...faster(workload, name, engineOf(workload, 'torch'), 0.5, 'torch'),
  ])
}

function productGoals(workload) {
  const [M, K, N] = workload.name.slice(2).split('x').map(Number)
  const best = fastest(workload, isPeer)
  if (M === K && K === N) {
    return squareGoals(workload)
  }
  if (K !== N) {
    return faster(workload, 'lowrank', best, 1.3, 'best JavaScript peer')
  }
  if (M > 1) {
    return faster(workload, 'lowrank', best, 1.25, 'best JavaScript peer')
  }
  const bf16 = engineOf(workload, 'lowrank:bf16')
  const f32 = engineOf(workload, 'lowrank')
  return [
    ...faster(workload, 'lowrank', best, 1, 'best JavaScript peer'),
    ...(K === 2048 && bf16
      ? part(`${workload.name}: f32 / bf16`, f32.median / bf16.median, '≥', 1.6)
      : []),
  ]
}

const LORA_GOALS = { 64: 3, 256: 1.7, 768: 1.4, 2048: 1.6 }

function stepGoals(workload) {
  const best = fastest(workload, isPeer)
  const torch = engineOf(workload, 'torch')
  if (workload.kind === 'transformer') {
    return [
      ...faster(workload, 'lowrank', best, 2, 'best peer, tuned'),
      ...faster(workload, 'lowrank', fastest(workload, asDocumented), 7, 'best peer as documented'),
      ...faster(workload, 'lowrank', torch, 0.58, 'torch'),
    ]
  }
  if (workload.kind !== 'lora') {
    return []
  }
  const width = Number(/lora-(\d+)/.exec(workload.name)[1])
  return [
    ...faster(workload, 'lowrank', best, LORA_GOALS[width], 'best JavaScript peer'),
    ...(width >= 768 ? faster(workload, 'lowrank', torch, 0.55, 'torch') : []),
  ]
}

/** LoRA against full fine-tuning of one layer, on this library. */
function againstFull(workloads) {
  const [lora, full] = ['L/lora-2048', 'L/full-2048'].map(start =>
    workloads.find(({ name }) => name.startsWith(start)),
  )
  const [a, b] = [lora, full].map(workload => workload && engineOf(workload, 'lowrank'))
  if (!a || !b) {
    return []
  }
  return [
    ...part('LoRA / full fine-tuning, 2048: time', a.median / b.median, '≤', 0.7),
    ...part('LoRA / full fine-tuning, 2048: peak of the heap', a.heap / b.heap, '≤', 0.45),
  ]
}

/** Every goal that the results say something about. */
export function goalsOf({ workloads, bandwidth = [], overhead }) {
  return [
    ...workloads.flatMap(workload =>
      workload.kind === 'product' ? productGoals(workload) : stepGoals(workload),
    ),
    ...againstFull(workloads),
    ...bandwidth.flatMap(({ name, share, bound }) =>
      part(`${name}, 1 M elements: share of ${bound}`, share, '≥', 0.6),
    ),
    ...(overhead ? part('one recorded op, forward and backward: µs', overhead, '≤', 3) : []),
  ]
}

export { asDocumented, engineOf, fastest, isPeer, isTuned }
