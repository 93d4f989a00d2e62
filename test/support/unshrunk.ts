// Set-up for mutation runs: a property that fails has done its work, and looking for its smallest
// counterexample takes longer than all the tests; one seed, so that every mutant meets the same cases.

import fc from 'fast-check'

fc.configureGlobal({ endOnFailure: true, seed: 4711 })
