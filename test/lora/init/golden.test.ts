// Fresh adapters as PEFT starts them (golden family `init`).

import { describeFamily } from '../../support/conformance.ts'

await describeFamily('init')
