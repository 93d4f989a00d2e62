// What the tests import as 'vitest' during a mutation run: vitest's own `expect`, and `it` and `describe`
// that only note each test, so that any of them can be run again, by itself, at once.

import {
  chai,
  GLOBAL_EXPECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect'
import * as spy from '@vitest/spy'

/** Every test: its name, what it does, and the hooks around it, outermost first. */
export const tests = []

const newBlock = name => ({ name, beforeAll: [], beforeEach: [], afterEach: [] })
let blocks = [newBlock('')]

function addTest(name, ...rest) {
  const run = rest.find(value => typeof value === 'function')
  const names = [...blocks.map(block => block.name), String(name)]
  tests.push({ name: names.filter(Boolean).join(' > '), run, blocks })
}

function addBlock(name, ...rest) {
  const outer = blocks
  blocks = [...outer, newBlock(String(name))]
  rest.find(value => typeof value === 'function')()
  blocks = outer
}

/** vitest's placeholders: %s for the next value, %# for the place, $name for a member. */
function titled(title, values, place) {
  let next = 0
  const positional = String(title).replace(/%([sdifjo#%])/g, (_, kind) => {
    if (kind === '%') {
      return '%'
    }
    return kind === '#' ? String(place) : String(values[next++])
  })
  return positional.replace(/\$([\w.]+)/g, (whole, path) => {
    const member = path.split('.').reduce((value, key) => value?.[key], values[0])
    return member === undefined ? whole : String(member)
  })
}

/** `it` or `describe` with their forms for tables and for conditions. */
function withForms(add) {
  const skipped = Object.assign(() => {}, { each: () => () => {} })
  const each = rows => (title, run) => {
    const isTable = rows.every(Array.isArray)
    rows.forEach((row, place) => {
      const values = isTable ? row : [row]
      add(titled(title, values, place), () => run(...values))
    })
  }
  const forms = Object.assign(add, { each, skip: skipped })
  return Object.assign(forms, {
    skipIf: condition => (condition ? skipped : forms),
    runIf: condition => (condition ? forms : skipped),
  })
}

const hook = kind => run => {
  blocks.at(-1)[kind].push(run)
}

export const it = withForms(addTest)
export const test = it
export const describe = withForms(addBlock)
export const beforeAll = hook('beforeAll')
export const beforeEach = hook('beforeEach')
export const afterEach = hook('afterEach')
// The process ends with the run, and what ends with it needs no end of its own.
export const afterAll = () => {}
export const vi = { fn: spy.fn, spyOn: spy.spyOn, restoreAllMocks: spy.restoreAllMocks }
export const expectTypeOf = () =>
  new Proxy(() => {}, { get: () => expectTypeOf(), apply: () => {} })

chai.use(JestExtend)
chai.use(JestChaiExpect)
chai.use(JestAsymmetricMatchers)
export const expect = chai.expect
globalThis[GLOBAL_EXPECT] = expect
setState({ assertionCalls: 0, testPath: '', currentTestName: '' }, expect)
