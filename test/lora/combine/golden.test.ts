// Adapters combined as PEFT combines them (golden family `merge`).

import { describeFamily } from '../../support/conformance.ts'

await describeFamily('merge')
