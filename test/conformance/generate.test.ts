// The golden cases of greedy decoding and of the processors of scores, on every backend.

import { describeFamily } from '../support/conformance.ts'

await describeFamily('generate')
