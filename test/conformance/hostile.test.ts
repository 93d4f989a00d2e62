// The golden cases of files that a reader must accept or refuse.

import { describeFamily } from '../support/conformance.ts'

await describeFamily('hostile')
