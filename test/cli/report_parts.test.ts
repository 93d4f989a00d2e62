// What the report makes of a run before anything is drawn.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escapeHtml, Html, html } from '../../src/cli/report/html.ts'
import { lossCurve, smooth } from '../../src/cli/report/loss.ts'
import {
  bytes,
  decadeOf,
  duration,
  logarithmicEnds,
  percent,
  powerLabel,
  shortCount,
} from '../../src/cli/report/numbers.ts'
import { memoryVerdict, parameterRows } from '../../src/cli/report/parameters.ts'
import { placesOf } from '../../src/cli/report/places.ts'
import { compare, type Piece, samplesOf } from '../../src/cli/report/samples.ts'
import { commandLine, settingRows, shellWord, snippets } from '../../src/cli/report/settings.ts'
import { changeGrid, SHADES, spectra } from '../../src/cli/report/weights.ts'
import { madeUpLayers, madeUpReport } from './report_data.ts'

describe('html', () => {
  it('escapes texts and joins lists, and leaves HTML as it is', () => {
    const item = html`<li>${'a & "b"'}</li>`
    expect(html`<ul title="${"'x'"}">${[item, '<', 3, undefined]}</ul>`.text).toBe(
      '<ul title="&#39;x&#39;"><li>a &amp; &quot;b&quot;</li>&lt;3</ul>',
    )
    expect(html`${new Html('<b>')}`.text).toBe('<b>')
  })

  it('leaves no character of markup in any text', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        expect(escapeHtml(text)).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/)
      }),
    )
  })
})

describe('numbers', () => {
  it('are written as people read them', () => {
    expect([bytes(1234), bytes(12_345_678), bytes(2.5e9)]).toEqual([
      '0.00 MB',
      '12.35 MB',
      '2.50 GB',
    ])
    expect([
      percent(0),
      percent(0.07, 2),
      percent(0.1234),
      percent(1, 2),
      percent(12.5, 2),
    ]).toEqual(['0%', '7.0%', '12.3%', '100%', '1250%'])
    expect([duration(0.04), duration(99.9), duration(125), duration(3725)]).toEqual([
      '0.0 s',
      '99.9 s',
      '2 min 5 s',
      '1 h 2 min',
    ])
    expect([shortCount(1_234_567), shortCount(15_564_800)]).toEqual(['1,234,567', '15.6 M'])
    expect([powerLabel(1.0000000001e-3), powerLabel(1e-7), powerLabel(0.02)]).toEqual([
      '0.001',
      '1e-7',
      '',
    ])
    expect([decadeOf(0.00123), decadeOf(1), decadeOf(999)]).toEqual([-3, 0, 2])
  })
})

describe('a logarithmic axis', () => {
  it('has ends that are near, and at least two powers of ten', () => {
    expect(logarithmicEnds(0.029, 3)).toEqual([0.02, 5])
    expect(logarithmicEnds(2, 2)).toEqual([1, 10])
    expect(logarithmicEnds(0.3, 3)).toEqual([0.1, 10])
    expect(logarithmicEnds(1, 9.9)).toEqual([1, 10])
    expect(logarithmicEnds(0.9, 10)).toEqual([0.5, 20])
    const value = fc.double({ min: 1e-9, max: 1e9, noNaN: true })
    fc.assert(
      fc.property(value, value, (one, other) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)]
        const [least, most] = logarithmicEnds(low, high)
        expect(least <= low && high < most).toBe(true)
        expect(low / least <= 10 && most / high <= 10).toBe(true)
        expect(Math.floor(Math.log10(most)) - Math.ceil(Math.log10(least))).toBeGreaterThan(0)
      }),
    )
  })
})

describe('places', () => {
  it('are the block and the shortest name that is clear', () => {
    expect(placesOf(['model.layers.0.self_attn.q_proj', 'model.layers.11.mlp.up_proj'])).toEqual([
      { block: '0', projection: 'q_proj' },
      { block: '11', projection: 'up_proj' },
    ])
    const gpt2 = ['h.0.attn.c_attn', 'h.0.attn.c_proj', 'h.0.mlp.c_proj', 'h.1.mlp.c_proj']
    expect(placesOf(gpt2).map(({ projection }) => projection)).toEqual([
      'c_attn',
      'attn.c_proj',
      'mlp.c_proj',
      'mlp.c_proj',
    ])
  })

  it('tell several stacks, layers outside of blocks, and single layers apart', () => {
    expect(placesOf(['encoder.block.0.q', 'decoder.block.0.q', 'lm_head'])).toEqual([
      { block: 'encoder.block.0', projection: 'q' },
      { block: 'decoder.block.0', projection: 'q' },
      { block: '–', projection: 'lm_head' },
    ])
    expect(placesOf([''])).toEqual([{ block: '–', projection: 'layer' }])
    expect(placesOf(['net.0', 'net.2'])).toEqual([
      { block: '–', projection: '0' },
      { block: '–', projection: '2' },
    ])
    expect(placesOf([])).toEqual([])
  })
})

describe('the loss curve', () => {
  it('is smoothed without a bias at its start', () => {
    expect(smooth([3, 3, 3, 3], 7).every(value => Math.abs(value - 3) < 1e-15)).toBe(true)
    // α = 1/2: (½·1 + ½·½·0) / ¾ and so on.
    expect(smooth([0, 1], 3)).toEqual([0, 0.5 / 0.75])
  })

  it('has every step, the evaluations, and the step that was kept', () => {
    const curve = lossCurve(madeUpReport({ steps: 100, evals: 4 }))
    expect(curve.steps).toHaveLength(100)
    expect(curve.steps[0][0]).toBe(1)
    expect(curve.smoothed).toHaveLength(100)
    expect(curve.held.map(([step]) => step)).toEqual([25, 50, 75, 100])
    expect(curve.best).toBe(75)
    expect(curve.text).toMatch(/^Training loss from .* over 100 steps\. Lowest .* at step 75\.$/)
  })

  it('is drawn as it is when short, and without a kept step when nothing was held out', () => {
    const short = lossCurve(madeUpReport({ steps: 3, evals: 0 }))
    expect([short.smoothed, short.held, short.best]).toEqual([[], [], undefined])
    expect(lossCurve(madeUpReport({ steps: 1, evals: 0 })).text).toContain('the only step')
    expect(lossCurve(madeUpReport({ steps: 0, evals: 0 })).text).toBe('No step was trained.')
  })

  it('is logarithmic where it spans more than two decades', () => {
    const data = madeUpReport({ steps: 2, evals: 0 })
    const ending = (loss: number): unknown =>
      lossCurve({ ...data, run: { ...data.run, losses: [3, loss] } }).logarithmic
    expect([ending(0.031), ending(0.029), ending(0)]).toEqual([undefined, [0.02, 5], undefined])
  })
})

describe('the change of weights', () => {
  it('is a grid of projections and blocks', () => {
    const layers = madeUpLayers(3, 4)
    const grid = changeGrid(layers)
    expect(grid.blocks).toEqual(['0', '1', '2'])
    expect(grid.projections.slice(0, 2)).toEqual(['q_proj', 'k_proj'])
    expect(grid.cells[8]).toEqual({ block: 1, projection: 1, value: layers[8].relativeChange })
    expect(grid.largest).toBe(Math.max(...layers.map(({ relativeChange }) => relativeChange)))
    expect(grid.text).toMatch(
      /^21 adapted layers\. The largest change is .*%, in \w+ of block 2\.$/,
    )
  })

  it('leaves out what is no number and says when nothing changed', () => {
    const [layer] = madeUpLayers(1, 2)
    const infinite = { ...layer, relativeChange: Number.POSITIVE_INFINITY }
    expect(changeGrid([infinite]).cells).toEqual([])
    expect(changeGrid([{ ...layer, relativeChange: 0 }]).text).toBe('No change in 1 adapted layer.')
  })

  it('has one line of singular values per layer, shaded from first to last', () => {
    const { panels, shades, rank, ends } = spectra(madeUpLayers(20, 8))
    expect(panels.map(({ lines }) => lines.length)).toEqual(Array(7).fill(20))
    expect(shades).toHaveLength(SHADES)
    expect([shades[0], shades.at(-1)]).toEqual(['blocks 0 to 3', 'blocks 17 to 19'])
    const used = panels[0].lines.map(({ shade }) => shade)
    expect(used).toEqual([...used].sort((a, b) => a - b))
    expect(rank).toBe(8)
    const values = panels.flatMap(({ lines }) => lines.flatMap(line => line.values))
    expect(values.every(value => value >= ends[0] && value <= ends[1])).toBe(true)
    expect(spectra(madeUpLayers(2, 1)).shades).toEqual(['block 0', 'block 1'])
  })

  it('drops singular values that are rounding, and lines that are zero', () => {
    const [layer, other] = madeUpLayers(1, 2)
    const some = { ...layer, singularValues: [2, 1e-9] }
    const none = { ...other, singularValues: [0, 0], deltaNorm: 0 }
    const { panels, ends } = spectra([some, none])
    expect(panels).toEqual([
      { projection: 'q_proj', lines: [expect.objectContaining({ values: [2] })] },
    ])
    expect(ends).toEqual([1, 10])
    expect(spectra([none])).toMatchObject({ panels: [], text: 'Every update is zero.' })
  })
})

describe('samples', () => {
  const joined = (pieces: readonly Piece[], without: Piece['kind']): string =>
    pieces
      .filter(({ kind }) => kind !== without)
      .map(({ text }) => text)
      .join('')

  it('mark what differs: without the extra it is the wanted answer, without the missing the got', () => {
    const words = fc
      .array(fc.constantFrom('a', 'lamp', '"', ',', ' ', '<b>', '30', '\n'), { maxLength: 12 })
      .map(list => list.join(''))
    fc.assert(
      fc.property(words, words, (want, got) => {
        const pieces = compare(want, got)
        expect(joined(pieces, 'missing')).toBe(got)
        if (pieces.some(({ kind }) => kind === 'same')) {
          expect(joined(pieces, 'extra')).toBe(want)
        }
      }),
    )
  })

  it('put what stands there before what should', () => {
    expect(compare('dim the lamp now', 'dim the fan now')).toEqual([
      { kind: 'same', text: 'dim the ' },
      { kind: 'extra', text: 'fan' },
      { kind: 'missing', text: 'lamp' },
      { kind: 'same', text: ' now' },
    ])
  })

  it('mark an answer as a whole if it has little in common or too much to align', () => {
    expect(compare('dim the lamp', 'xyz')).toEqual([{ kind: 'extra', text: 'xyz' }])
    expect(compare('dim the lamp', '')).toEqual([])
    const long = Array.from({ length: 600 }, (_, i) => `w${i}`)
    const other = long.map(word => `x${word}`).join(' ')
    expect(compare(long.join(' '), other)).toEqual([{ kind: 'extra', text: other }])
  })

  it('leave exact answers unmarked, whatever their spaces, and cut what is endless', () => {
    const data = madeUpReport({ samples: 1 })
    const [sample] = data.after
    const exact = { ...sample, got: `\n{ "a": 1 }`, want: '{"a":1}', exact: true }
    const endless = { ...sample, got: 'la '.repeat(1000), exact: false }
    const [shown] = samplesOf({ ...data, before: [endless], after: [exact] })
    expect(shown.after).toEqual({ exact: true, pieces: [{ kind: 'same', text: '{ "a": 1 }' }] })
    expect(joined(shown.before.pieces, 'missing')).toMatch(/… \(\d+ more characters\)$/)
  })
})

describe('tables', () => {
  it('add up: r·(in + out) for each layer, and what else is trained', () => {
    const data = madeUpReport({ blocks: 3, r: 4 })
    const rows = parameterRows(data)
    expect(rows[0]).toEqual({
      projection: 'q_proj',
      layers: 3,
      shapes: '128 × 128',
      ranks: '4',
      parameters: 3 * 4 * 256,
    })
    expect(rows.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(data.trainable)
    const more = parameterRows({ ...data, trainable: data.trainable + 5 })
    expect(more.at(-1)).toMatchObject({ projection: 'others', parameters: 5 })
  })

  it('compare the peak with its plan', () => {
    const data = madeUpReport()
    const at = (share: number): string => memoryVerdict({ ...data, peak: data.plan.total * share })
    expect(at(1)).toBe('The measured peak is the planned one.')
    expect(at(1.1)).toBe('The measured peak is 10% above the plan.')
    expect(at(0.5)).toBe('The measured peak is 50% below the plan.')
  })

  it('repeat the run: every setting, in words that a shell takes', () => {
    const { args } = madeUpReport()
    const odd = { ...args, model: "it's a model", targetModules: '.*\\.q$', useRslora: true }
    const line = commandLine(odd)
    expect(line).toContain("--model 'it'\\''s a model' \\\n")
    expect(line).toContain("--target-modules '.*\\.q$'")
    expect(line).toMatch(/--use-rslora \\\n/)
    expect(line).toContain('--gradient-accumulation-steps 1')
    expect(line).not.toMatch(/undefined|--max-tokens|--report/)
    expect(shellWord('plain/path-1.json')).toBe('plain/path-1.json')
    expect(settingRows(args).find(([label]) => label === 'Longest sequence')?.[1]).toBe(
      'the limit of the model',
    )
    expect(snippets({ ...args, out: 'a"b' })[0][1]).toContain('from_pretrained(model, "a\\"b")')
  })
})
