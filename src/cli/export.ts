// `lowrank export`: a PEFT adapter in the form that others read, or one of mlx-lm's as PEFT's.

import { basename, dirname } from 'node:path'
import { LowrankError } from '../core/errors.ts'
import { readJson } from '../io/index.ts'
import { exportGguf, exportMlx, exportPortable, importMlx } from '../lora/index.ts'
import { directory } from '../node/index.ts'
import type { Output } from './output.ts'

export const EXPORT_FORMATS = ['portable', 'gguf', 'mlx', 'peft'] as const

export interface ExportArguments {
  readonly adapter: string
  readonly to: (typeof EXPORT_FORMATS)[number]
  readonly out: string
  /** The base, whose config.json names the architecture; for GGUF. */
  readonly model?: string
  readonly outtype: 'f32' | 'f16'
  readonly overwrite: boolean
}

async function writeGguf(args: ExportArguments): Promise<void> {
  const { adapter, model, out, outtype, overwrite } = args
  if (model === undefined) {
    throw new LowrankError(
      'config',
      'export: GGUF needs the configuration of the base, got none (say where it is: --model)',
    )
  }
  const folder = directory(dirname(out))
  if (!overwrite && (await folder.has(basename(out)))) {
    throw new LowrankError(
      'file',
      `${out}: expected a new file, got one that is there (--overwrite)`,
    )
  }
  const base = (await readJson(directory(model), 'config.json')) as Record<string, unknown>
  const name = basename(adapter)
  await folder.write(basename(out), await exportGguf(directory(adapter), base, { outtype, name }))
}

export async function runExport(args: ExportArguments, output: Output): Promise<void> {
  const { adapter, to, out, overwrite } = args
  const source = directory(adapter)
  if (to === 'gguf') {
    await writeGguf(args)
  } else if (to === 'portable') {
    const warnings = await exportPortable(source, directory(out), { overwrite })
    for (const warning of warnings) {
      output.warn(warning)
    }
  } else {
    const write = to === 'mlx' ? exportMlx : importMlx
    await write(source, directory(out), { overwrite })
  }
  output.event('exported', { to, out })
  output.text(`Exported for ${to}: ${out}`)
}
