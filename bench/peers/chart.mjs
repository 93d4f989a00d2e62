// The times of all engines as multiples of this library's, as bars on a logarithmic axis (SVG).
import { isPeer } from './goals.mjs'

const NAMES = {
  torch: 'PyTorch',
  'tfjs:tuned': 'tfjs-wasm, tuned',
  'tfjs:written': 'tfjs-wasm',
  'jax:tuned': 'jax-js, tuned',
  'jax:written': 'jax-js',
  'onnx:prepacked': 'ORT-web, prepacked',
}
const COLOURS = ['#8a8f98', '#2b6cb0', '#a3c4e8', '#b7791f', '#ecc98b', '#6b9e78']
const SHOWN = [/G\/512x512/, /G\/256x768x8/, /G\/1x2048/, /G\/8x768/, /L\/lora/, /^T/]

function labelOf(name) {
  return name
    .replace(/^T.*/, 'transformer step')
    .replace(/^L\/lora-(\d+)x.*/, 'LoRA layer step, $1')
    .replace(/^G\//, 'product ')
}

function multiples(workload, engine) {
  const ours = workload.engines.find(entry => entry.engine === 'lowrank')
  const other = workload.engines.find(entry => entry.engine === engine)
  const usable = ours?.median && other?.median && other.problems.length === 0
  return usable ? Number((other.median / ours.median).toFixed(2)) : null
}

const TITLE = "Time of each engine as a multiple of lowrank's"

/** The drawing without what only a page with a script would use, and with a title. */
function picture(svg) {
  return svg
    .replace(/<style[\s\S]*<\/style>\s*/, '')
    .replace(/ (class|ecmeta_\w+)="[^"]*"/g, '')
    .replace(/(<svg[^>]*>)/, `$1\n<title>${TITLE}</title>`)
}

export async function chart({ workloads }) {
  const { init } = await import('echarts')
  const shown = workloads.filter(({ name }) => SHOWN.some(pattern => pattern.test(name))).reverse()
  const engines = Object.keys(NAMES).filter(engine => engine === 'torch' || isPeer(engine))
  const drawing = init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: 900,
    height: 90 * shown.length + 90,
  })
  drawing.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    color: COLOURS,
    legend: { top: 8, itemGap: 26, textStyle: { fontSize: 11 } },
    grid: { left: 170, right: 60, top: 60, bottom: 50 },
    xAxis: {
      type: 'log',
      min: 0.1,
      name: "times lowrank's time (1 = as fast, more = slower)",
      nameLocation: 'middle',
      nameGap: 30,
    },
    yAxis: {
      type: 'category',
      data: shown.map(({ name }) => labelOf(name)),
      axisTick: { show: false },
    },
    series: engines.map((engine, i) => ({
      type: 'bar',
      name: NAMES[engine],
      data: shown.map(workload => multiples(workload, engine)),
      label: { show: true, position: 'right', fontSize: 10 },
      ...(i === 0 && {
        markLine: { symbol: 'none', silent: true, label: { show: false }, data: [{ xAxis: 1 }] },
      }),
    })),
  })
  const text = drawing.renderToSVGString()
  // A drawing that is kept keeps the process alive.
  drawing.dispose()
  return `${picture(text)}\n`
}
