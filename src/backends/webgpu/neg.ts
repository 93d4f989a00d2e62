// y = −x.

import type { KernelSources } from './machine.ts'
import { map } from './unary.ts'

export const negKernels: KernelSources = { neg: /* @__PURE__ */ map('-v') }
