// The golden cases of whole models, on every backend.

import { describeFamily } from '../support/conformance.ts'

await describeFamily('models')
