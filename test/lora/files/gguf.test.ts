// Adapters as GGUF, against llama.cpp's own converter (golden family `export`).

import { describeFamily } from '../../support/conformance.ts'

await describeFamily('export')
