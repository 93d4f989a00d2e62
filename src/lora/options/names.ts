// What an adapter may be called: not what stands for no adapter in a batch of several, and without dots,
// which part the paths of its parameters (PyTorch's modules, and so PEFT's, refuse them too).

import { BASE_NAME } from '../active.ts'
import type { Extension } from '../extension.ts'

export const names: Extension = {
  name: 'names',
  parts({ adapterName, problems }) {
    if (adapterName === BASE_NAME || adapterName.includes('.')) {
      problems.push(
        `adapterName: expected a name without dots other than ${BASE_NAME}, got "${adapterName}"`,
      )
    }
    return []
  },
}
