// What `lowrank finetune` is asked to do: the options of the command line with their defaults filled in.

export interface FinetuneArguments {
  readonly model: string
  readonly data: string
  readonly out: string
  readonly evalData?: string
  readonly r: number
  readonly loraAlpha: number
  readonly loraDropout: number
  readonly targetModules?: string
  readonly useRslora: boolean
  readonly lr: number
  readonly epochs: number
  readonly batchSize: number
  readonly gradientAccumulationSteps: number
  readonly weightDecay: number
  readonly maxGradNorm: number
  readonly schedule: 'constant' | 'linear' | 'cosine'
  readonly warmupRatio: number
  readonly maxTokens?: number
  readonly evalEvery?: number
  readonly seed: number
  readonly maxMemory?: number
  readonly samples: number
  readonly sampleData?: string
  readonly report?: string
  readonly trace?: string
  /** Whether lowrank.json goes beside the adapter. */
  readonly provenance?: boolean
  readonly resume: boolean
  readonly overwrite: boolean
}
